"""The dd statements by which the scripts of other makers copy a Mach-O header over the start of their file.

Such a statement names its operands in the order bs, skip, count; every other dd in those scripts is written in another
order. The values were spelled in several ways over the years: `413`, in quotes, padded with blanks on either side, and
as `$((  413))`. Where a maker left macOS out, the digits are zeros or NUL bytes.
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
_OFFSET_END: Final = 1 << 31  # the tool that reads these, and some shells, count with 32 bits
_DIGITS_MAX: Final = 18
_MACHO_MAGIC: Final = b"\xcf\xfa\xed\xfe"

_BEFORE_NUMBER, _AFTER_NUMBER = rb"[\"' $(\0]*", rb"[\"' )\0]*"
_STATEMENT: Final = re.compile(
    rb"bs=%(open)s(\d+)%(close)s skip=%(open)s(\d+)%(close)s count=%(open)s(\d+)"
    % {b"open": _BEFORE_NUMBER, b"close": _AFTER_NUMBER}
)  # fmt: skip  # the pattern, then its parts


@dataclass(frozen=True, slots=True)
class DdStatement:
    """A dd statement that copies `count` blocks from block `skip` on to the start of the file."""

    at: int  # of its first operand in the file
    block_size: int
    skip: int
    count: int

    @property
    def offset(self) -> int:
        """Where the bytes lie that it copies."""
        return self.block_size * self.skip

    @property
    def size(self) -> int:
        """How many bytes it copies."""
        return self.block_size * self.count


def find_dd_statements(window: bytes) -> tuple[DdStatement, ...]:
    """Return the statements in WINDOW, the first 8192 bytes of an APE, that copy something.

    Like the scan for printf statements, this knows nothing of shell syntax, and NUL bytes do not end it.
    """
    found = (DdStatement(match.start(), *map(_to_number, match.groups())) for match in _STATEMENT.finditer(window))
    return tuple(statement for statement in found if statement.size)


def find_macho_statement(data: bytes | memoryview, cputype: int) -> DdStatement | None:
    """Return the first statement that leads to a Mach-O header for CPUTYPE, or None; DATA is the file.

    Raises:
        LayoutError: one leads outside of the file, and no other to such a header.
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
    # What is too long for Python to convert is too large for every file.
    return int(digits) if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX
