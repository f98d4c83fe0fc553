"""The dd statements of other makers' scripts: every spelling, and what does not count as one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.errors import LayoutError
from apepack.format.dd import DdStatement, find_dd_statements, find_macho_statement
from runtime.image.mach_header import CpuType
from tests.builders.ape import linked, small_ape
from tests.builders.genuine import genuine_macho_header

SPELLINGS = {
    "plain": b"bs=8 skip=413 count=66",
    "padded on the right": b"bs=8    skip=413        count=66        conv=notrunc",
    "quoted, padded on the left": b'bs=8 skip="     413" count="      66"',
    "everything quoted": b"bs='8' skip='413' count='66'",
    "arithmetic": b"bs=8 skip=$((  413)) count=$((   66))",
    "arithmetic in quotes": b'bs="$((8))" skip="$(( 413 ))" count="$((66))"',
    "in a line": b'if [ x ]; then dd if="$o" of="$o" bs=8 skip=413 count=66 conv=notrunc; fi',
    "behind NUL bytes": b"\0\0\0 bs=8 skip=413 count=66",
    "NUL bytes between": b'bs=8 skip="\0\0\0 413" count="\0\0\0\0\0\x0066"',
    "leading zeros": b"bs=08 skip=0413 count=0066",
    "at the end of what is read": b"bs=8 skip=413 count=66".rjust(8192),
}

NONE = {
    "nothing": b"",
    "another order": b"skip=413 count=66 bs=8",
    "two operands": b"bs=8 skip=413",
    "no number": b"bs=8 skip=$x count=66",
    "NUL bytes for digits": b'bs=8 skip="\0\0\0\0" count="\0\0\0\0"',
    "zeros": b'bs="0" skip="0" count="0"',
    "a count of zero": b"bs=8 skip=413 count=0",
    "another operand between": b"bs=8 conv=notrunc skip=413 count=66",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings(text: bytes) -> None:
    (found,) = find_dd_statements(text)

    assert found == DdStatement(text.index(b"bs="), 8, 413, 66)
    assert (found.offset, found.size) == (3304, 528)


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_what_copies_nothing(text: bytes) -> None:
    assert find_dd_statements(text) == ()


def file_with(*statements: str, header: bytes | None = None) -> bytes:
    """A file of 0x3000 bytes that has these statements, and a Mach-O header at 0x1400."""
    header = genuine_macho_header() if header is None else header
    return ("\n".join(statements).encode().ljust(0x1400, b"\0") + header).ljust(0x3000, b"\0")


GOOD = f"bs=1 skip={0x1400} count={len(genuine_macho_header())}"


def test_the_header_is_found() -> None:
    found = find_macho_statement(file_with(GOOD), CpuType.X86_64)

    assert found is not None
    assert (found.offset, found.size) == (0x1400, len(genuine_macho_header()))


def test_none_for_another_machine() -> None:
    assert find_macho_statement(file_with(GOOD), CpuType.ARM64) is None
    assert find_macho_statement(file_with(""), CpuType.X86_64) is None


# Each stands in front of the right one: the tool that these scripts were made for looks at the first only.
BEFORE = {
    "something else": "bs=64 skip=10 count=8",
    "zeros": "bs=8 skip=0 count=0",
    "from the start of the file": "bs=8 skip=1 count=66",
    "too few bytes": f"bs=1 skip={0x1400} count=31",
    "behind the end": "bs=8 skip=99999 count=66",
    "more than 32 bits": "bs=8 skip=2147483648 count=66",
    "more than Python converts": f"bs=8 skip={'9' * 5000} count=66",
}


@pytest.mark.parametrize("statement", BEFORE.values(), ids=BEFORE)
def test_all_statements_are_looked_at(statement: str) -> None:
    found = find_macho_statement(file_with(statement, GOOD), CpuType.X86_64)

    assert found is not None
    assert found.offset == 0x1400


@pytest.mark.parametrize("name", list(BEFORE)[2:])
def test_one_that_leads_nowhere_is_damage(name: str) -> None:
    with pytest.raises(LayoutError, match="dd statement at 0x0 copies"):
        find_macho_statement(file_with(BEFORE[name]), CpuType.X86_64)


@pytest.mark.needs_compiler
def test_our_files_have_none() -> None:
    assert find_dd_statements(linked()[:8192]) == ()
    assert find_dd_statements(small_ape("macos-amd64", "macos-arm64")[:8192]) == ()


@given(st.lists(st.one_of(st.sampled_from([b"bs=", b" skip=", b" count=", b"8", b"\0", b'"', b" "]), st.binary())))
def test_no_bytes_escape_our_errors(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for statement in find_dd_statements(data):
        assert statement.size
    with contextlib.suppress(LayoutError):
        find_macho_statement(data, CpuType.X86_64)
