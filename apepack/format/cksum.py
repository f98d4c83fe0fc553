"""The checksum of cksum(1), a CRC-32 that every POSIX system computes.

Specification: POSIX.1-2017, cksum. The polynomial is that of ZIP's CRC-32, but each byte is processed from its highest
bit, the length follows the data, and the register starts with zeros. The result therefore equals ZIP's CRC-32 of the
bit-reversed bytes.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["posix_cksum"]

_BIT_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ZERO_REGISTER: Final = 0xFFFFFFFF  # cancels zlib's initial value


def posix_cksum(data: bytes) -> int:
    """Return the first number that `cksum` prints for DATA; the second is its size."""
    size = len(data)
    data += size.to_bytes((size.bit_length() + 7) // 8, "little")
    return int(f"{zlib.crc32(data.translate(_BIT_REVERSED), _ZERO_REGISTER):032b}"[::-1], 2)
