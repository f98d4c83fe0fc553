"""The prologue: parts of ours, and parsing of all known dialects."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.errors import LayoutError, NoProgramError, NotAnApeError
from apepack.format.octal import encode_octal
from apepack.format.prologue import (
    HEAD_COPY_OFFSET,
    HEAD_SIZE,
    PROLOGUE_SIZE,
    Magic,
    original_head,
    parse_prologue,
    render_prologue,
)
from runtime.image.elf import Machine, read_elf
from tests.builders.ape import foreign_ape, linked
from tests.builders.elf import AARCH64, X86_64, exit_program, with_field

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = [Magic.MZ, Magic.NO_WINDOWS]
HEADER = exit_program()[:64]


def statement(data: bytes) -> bytes:
    return f"printf '{encode_octal(data)}' >&7\n".encode()


@pytest.mark.needs_compiler
@pytest.mark.parametrize("magic", OURS)
class TestOurs:
    def test_the_first_line_is_the_magic_alone(self, magic: Magic) -> None:
        assert linked(magic).split(b"\n", 1)[0] == magic.value

    def test_everything_up_to_the_scripts_end_is_printable(self, magic: Magic) -> None:
        script = linked(magic)[: linked(magic).index(b"\0")]

        assert re.fullmatch(rb"[\n -~]+", script)
        assert script.endswith(b"\nexit 126\n")

    def test_bytes_that_windows_reads_lead_nowhere(self, magic: Magic) -> None:
        # Windows follows no offset of 256 MiB or more.
        assert int.from_bytes(linked(magic)[0x3C:0x40], "little") >= 1 << 28

    def test_the_quote_is_closed_by_the_line_that_other_tools_look_for(self, magic: Magic) -> None:
        data = linked(magic)

        assert data.index(b"'", 8) == data.index(b"\n'\n#'\"\n") + 1
        assert data.index(b"\n#'\"\n") < 4096

    def test_no_here_document(self, magic: Magic) -> None:
        assert b"<<" not in linked(magic)[:PROLOGUE_SIZE]

    def test_statements_are_found_early_and_there_is_one_for_each_machine(self, magic: Magic) -> None:
        data = linked(magic)
        starts = [match.start() for match in re.finditer(rb"printf '", data[:PROLOGUE_SIZE])]

        assert len(starts) == 2
        assert all(data.index(b"'", start + 8) < HEAD_COPY_OFFSET for start in starts)
        # The loaders themselves hold those words; nothing that anyone takes for a header follows them.
        assert [found.offset for found in parse_prologue(data).statements] == starts

    def test_dd_is_not_written_the_way_that_means_mach_o(self, magic: Magic) -> None:
        # Genuine assimilate takes the first dd with its operands in this order for the place of a Mach-O header.
        assert not re.search(rb"bs=[\"' $(]*(\d+)[\"' )]* skip=", linked(magic)[:8192])

    def test_it_reads_back(self, magic: Magic) -> None:
        data = linked(magic)
        prologue = parse_prologue(data)

        assert prologue.magic == magic
        assert prologue.machines == ("x86_64", "aarch64")
        for machine in Machine:
            header = prologue.program(machine).header
            assert header.osabi == 9
            assert (header.shoff, header.shnum, header.shstrndx, header.flags) == (0, 0, 0, 0)
            assert header.phoff % 65536 == 64

    def test_the_first_bytes_are_kept(self, magic: Magic) -> None:
        data = linked(magic)

        assert original_head(data) == data[:HEAD_SIZE]
        assert original_head(HEADER + data[HEAD_SIZE:]) == data[:HEAD_SIZE]


def test_a_script_may_fill_the_prologue_and_not_more() -> None:
    room = HEAD_COPY_OFFSET - HEAD_SIZE - len(b"\n'\n#'\"\n")

    assert len(render_prologue(Magic.MZ, "#" * room)) == PROLOGUE_SIZE
    with pytest.raises(LayoutError, match="script ends at 0xfc1"):
        render_prologue(Magic.MZ, "#" * (room + 1))


ACCEPTED: dict[str, bytes] = {
    "MZ": b"MZqFpD='\n" + statement(HEADER),
    "jartsr": b"jartsr='\n" + statement(HEADER),
    "APEDBG": b"APEDBG='\n" + statement(HEADER),
    "another maker's": foreign_ape(exit_program()),
    "NUL before the statement": b"MZqFpD='\n\0\0\0\n" + statement(HEADER),
    "no newline behind the magic": b"MZqFpD='" + statement(HEADER),
    "escapes of one digit": b"MZqFpD='\nprintf '" + re.sub(rb"\\0+(\d)(?=\\|')", rb"\\\1", statement(HEADER)[8:]),
    "a decoy of 63 bytes before": b"MZqFpD='\n" + statement(HEADER[:63]) + statement(HEADER),
    "a decoy of 65 bytes before": b"MZqFpD='\n" + statement(HEADER + b"x") + statement(HEADER),
    "a 32-bit one before": b"MZqFpD='\n" + statement(with_field(HEADER, "ei_class", 1)) + statement(HEADER),
    "another machine before": b"MZqFpD='\n" + statement(exit_program(AARCH64)[:64]) + statement(HEADER),
    "an unclosed one before": b"MZqFpD='\n# printf '\n" + statement(HEADER),
    "ends at byte 8191": b"MZqFpD='\n".ljust(8192 - len(statement(HEADER)), b"#") + statement(HEADER),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_the_program_is_found(data: bytes) -> None:
    found = parse_prologue(data).program(Machine.X86_64)

    assert found.header.entry == read_elf(exit_program()).header.entry
    assert data[found.offset :].startswith(b"printf '")


NO_PROGRAM: dict[str, bytes] = {
    "no statement": b"MZqFpD='\n#'\"\necho hello\n",
    "none for the machine": b"MZqFpD='\n" + statement(exit_program(AARCH64)[:64]),
    "begins behind byte 8192": b"MZqFpD='\n".ljust(8192, b"#") + statement(HEADER),
    "ends behind byte 8192": b"MZqFpD='\n".ljust(8192 - 100, b"#") + statement(HEADER),
    "cut off": b"MZqFpD='\n" + statement(HEADER)[:-40],
    "63 bytes": b"MZqFpD='\n" + statement(HEADER[:63]),
    "escapes other than octal": b"MZqFpD='\nprintf '" + encode_octal(HEADER).replace("\\001", "\\n").encode() + b"'\n",
    "double quotes": b"MZqFpD='\n" + statement(HEADER).replace(b"'", b'"'),
    "two spaces": b"MZqFpD='\n" + statement(HEADER).replace(b"printf ", b"printf  "),
    "a quote inside": b"MZqFpD='\nprintf '\\177ELF'" + statement(HEADER)[15:],
    "the magic alone": b"MZqFpD='",
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize("data", NO_PROGRAM.values(), ids=NO_PROGRAM)
def test_an_ape_without_a_program_for_the_machine(data: bytes) -> None:
    with pytest.raises(NoProgramError) as caught:
        parse_prologue(data).program(Machine.X86_64)

    assert caught.value.wanted == "x86_64"
    assert "x86_64" not in caught.value.available


@pytest.mark.parametrize("data", [b"", b"MZqFpD=", b"MZqFpD=\n" + statement(HEADER), b"MZ\x90\0" * 40, exit_program()])
def test_what_is_no_ape(data: bytes) -> None:
    with pytest.raises(NotAnApeError):
        parse_prologue(data)


@pytest.mark.needs_compiler
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: HEAD_COPY_OFFSET + 63],
        lambda data: data.replace(b"#'\"", b"#''"),
        lambda data: data[:HEAD_COPY_OFFSET] + bytes(64) + data[PROLOGUE_SIZE:],
    ],
    ids=["cut off", "no marker", "no copy"],
)
def test_a_head_that_is_not_kept(change: Callable[[bytes], bytes]) -> None:
    assert original_head(change(linked())) is None


def test_other_makers_keep_no_head() -> None:
    assert original_head(foreign_ape(exit_program(X86_64))) is None


@pytest.mark.needs_compiler
@given(st.binary(max_size=300), st.integers(0, 4096))
def test_no_bytes_escape_our_errors(noise: bytes, at: int) -> None:
    data = bytearray(linked()[:8192])
    data[at : at + len(noise)] = noise
    with contextlib.suppress(NotAnApeError, NoProgramError):
        parse_prologue(bytes(data)).program(Machine.AARCH64)
    original_head(bytes(data))
