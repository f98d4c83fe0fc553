"""The dd statements in the scripts of other linkers, which copy a Mach-O header to the start of the file.

Such a statement has the operands bs, skip, count in this order; no other dd in these scripts has. Versions of the
linkers differ in the spelling of the values: `413`, quoted, padded with blanks on either side, or `$((  413))`. In
files without a program for macOS the digits are zeros or NUL bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from apepack.errors import LayoutError
from apepack.format.prologue import SCAN_SIZE

__all__ = ["DdStatement", "find_dd_statements", "find_macho_statement"]

_HEAD_SIZE_MIN: Final = 32  # a Mach-O header without commands
_OFFSET_MIN: Final = 64
_OFFSET_END: Final = 1 << 31  # some shells, and the tool that interprets these statements, have 32-bit numbers
_DIGITS_MAX: Final = 18
_MACHO_MAGIC: Final = b"\xcf\xfa\xed\xfe"

_BEFORE_NUMBER, _AFTER_NUMBER = rb"[\"' $(\0]*", rb"[\"' )\0]*"
_STATEMENT: Final = re.compile(
    rb"bs=%(open)s(\d+)%(close)s skip=%(open)s(\d+)%(close)s count=%(open)s(\d+)"
    % {b"open": _BEFORE_NUMBER, b"close": _AFTER_NUMBER}
)  # fmt: skip  # the pattern, then its parts


@dataclass(frozen=True, slots=True)
class DdStatement:
    """A dd statement that copies `count` blocks, starting with block `skip`, to the start of the file."""

    at: int  # offset of its first operand in the file
    block_size: int
    skip: int
    count: int

    @property
    def offset(self) -> int:
        """The offset of the copied bytes."""
        return self.block_size * self.skip

    @property
    def size(self) -> int:
        """The number of bytes copied."""
        return self.block_size * self.count


def find_dd_statements(window: bytes) -> tuple[DdStatement, ...]:
    """Return the statements in WINDOW, the first 8192 bytes of an APE, that copy at least one byte.

    Like the search for printf statements, this ignores shell syntax and continues after NUL bytes.
    """
    found = (DdStatement(match.start(), *map(_to_number, match.groups())) for match in _STATEMENT.finditer(window))
    return tuple(statement for statement in found if statement.size)


def find_macho_statement(data: bytes | memoryview, cputype: int) -> DdStatement | None:
    """Return the first statement in the file DATA that copies a Mach-O header for CPUTYPE, or None.

    Raises:
        LayoutError: a statement copies invalid bytes, and no other one copies such a header.
    """
    faults = []
    for statement in find_dd_statements(bytes(data[:SCAN_SIZE])):
        fault = _fault(statement, len(data))
        if fault is not None:
            faults.append(fault)
        elif data[statement.offset : statement.offset + 8] == _MACHO_MAGIC + cputype.to_bytes(4, "little"):
            return statement
    if faults:
        raise LayoutError(faults[0])
    return None


def _fault(statement: DdStatement, file_size: int) -> str | None:
    place = f"the dd statement at {statement.at:#x}"
    end = statement.offset + statement.size
    if end > _OFFSET_END:
        return f"{place} copies up to {end:#x} (expected less than {_OFFSET_END:#x})"
    if end > file_size:
        return f"{place} copies up to {end:#x}, the file ends at {file_size:#x}: is it complete?"
    if statement.offset < _OFFSET_MIN:
        return f"{place} copies from {statement.offset:#x} (expected {_OFFSET_MIN:#x} at least)"
    if statement.size < _HEAD_SIZE_MIN:
        return f"{place} copies {statement.size} bytes (expected {_HEAD_SIZE_MIN} at least)"
    return None


def _to_number(digits: bytes) -> int:
    # Python refuses to convert very long numbers. A number of this size is beyond the end of any file.
    return int(digits) if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX
