"""The checksum that cksum(1) prints, which every POSIX system has: a CRC-32, but not the one of ZIP.

Specification: POSIX.1-2017, cksum. The polynomial is the same as ZIP's, with each byte's highest bit first, the length
behind the data, and a register that begins with zeros. So it is ZIP's CRC of the bytes with their bits reversed.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["posix_cksum"]

_BIT_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ZERO_REGISTER: Final = 0xFFFFFFFF  # cancels what zlib begins with


def posix_cksum(data: bytes) -> int:
    """Return the first number that `cksum` prints for DATA; the second is its size."""
    size = len(data)
    data += size.to_bytes((size.bit_length() + 7) // 8, "little")
    return int(f"{zlib.crc32(data.translate(_BIT_REVERSED), _ZERO_REGISTER):032b}"[::-1], 2)
