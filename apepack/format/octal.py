r"""Bytes as the text of a printf(1) statement, and back.

Written are three-digit escapes up to \377 and capital and small letters, which every printf decodes alike: one digit
less is ambiguous before a digit, one bit more is undefined (and decoded differently by busybox). Read is what loaders
in the field read.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["decode_octal", "encode_octal"]

_TOKEN: Final = re.compile(rb"\\([0-7]{1,3})|(.)", re.DOTALL)


def encode_octal(data: bytes) -> str:
    """Return DATA as the format of a printf statement, to be put between single quotes."""
    return "".join(chr(byte) if chr(byte).isalpha() and byte < 128 else f"\\{byte:03o}" for byte in data)


def decode_octal(text: bytes) -> bytes:
    r"""Return the bytes that printf writes for TEXT.

    Only octal escapes are known: any other backslash stands for itself. The low eight bits of an escape count, since
    the generator most files in the field were made with writes numbers like \720.
    """
    return bytes(int(octal, 8) & 0xFF if octal else literal[0] for octal, literal in _TOKEN.findall(text))
