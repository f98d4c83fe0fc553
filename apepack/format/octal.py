r"""Encodes bytes as the format of a printf(1) statement, and decodes them.

The encoder writes ASCII letters and three-digit escapes up to \377, which all printf commands decode alike: shorter
escapes are ambiguous before a digit, larger numbers are undefined (busybox decodes them differently). The decoder
accepts everything that loaders accept.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["decode_octal", "encode_octal"]

_TOKEN: Final = re.compile(rb"\\([0-7]{1,3})|(.)", re.DOTALL)


def encode_octal(data: bytes) -> str:
    """Return DATA as the format of a printf statement, for use between single quotes."""
    return "".join(chr(byte) if chr(byte).isalpha() and byte < 128 else f"\\{byte:03o}" for byte in data)


def decode_octal(text: bytes) -> bytes:
    r"""Return the bytes that printf writes for TEXT.

    Only octal escapes are decoded; any other backslash is a literal character. Of an escape, the low eight bits count,
    because Cosmopolitan's linker writes numbers such as \720.
    """
    return bytes(int(octal, 8) & 0xFF if octal else literal[0] for octal, literal in _TOKEN.findall(text))
