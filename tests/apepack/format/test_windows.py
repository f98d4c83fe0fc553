"""A Windows program in an APE: headers in the prologue, sections behind the images of Linux."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from apepack.errors import InputError, LayoutError
from apepack.format.link import link
from apepack.format.prologue import (
    HEAD_COPY_OFFSET,
    PROLOGUE_SIZE,
    Magic,
    original_head,
    parse_prologue,
    render_prologue,
)
from apepack.format.windows import check_pe, embed_pe, relocated_pe_headers
from runtime.image.errors import NotEmbeddableError
from runtime.image.pe import read_pe
from runtime.platforms import platform_named
from tests.builders.ape import LINUX, compiled, linked
from tests.builders.elf import exit_program
from tests.builders.pe import PE_SIZE, pe_program, with_directory, with_pe_field, with_section
from tests.builders.programs import everywhere
from zipalign.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = 0x90000
# With a Windows program four bytes of the head are binary: ksh and yash refuse that, mksh any MZ that is typed.


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    output = tmp_path / "probe.exe"
    link([everywhere(platform_named("windows-amd64")), *(compiled("probe.cpp", name) for name in LINUX)], output)
    return output


@pytest.mark.needs_compiler
class TestFile:
    def test_windows_finds_its_headers(self, ape: Path) -> None:
        data = ape.read_bytes()
        pe, alone = read_pe(data), read_pe(everywhere(platform_named("windows-amd64")).read_bytes())

        (lfanew,) = struct.unpack("<I", data[0x3C:0x40])
        assert data[lfanew:].startswith(b"PE\0\0")
        assert 0 <= HEAD_COPY_OFFSET - lfanew - len(pe.pack()) < 64
        assert pe.optional.size_of_headers == PROLOGUE_SIZE
        assert [section.virtual_address for section in pe.sections] == [
            section.virtual_address for section in alone.sections
        ]
        assert pe.optional.size_of_image == alone.optional.size_of_image
        assert len(data) == max(section.raw_end for section in pe.sections)

    def test_every_section_has_its_bytes(self, ape: Path) -> None:
        data, before = ape.read_bytes(), everywhere(platform_named("windows-amd64")).read_bytes()
        for old, new in zip(read_pe(before).sections, read_pe(data).sections, strict=True):
            moved = data[new.pointer_to_raw_data : new.raw_end]
            if old.name.rstrip(b"\0") != b".buildid":  # the debug directory holds an offset of the file
                assert moved == before[old.pointer_to_raw_data : old.raw_end]

    def test_the_script_ends_before_the_headers(self, ape: Path) -> None:
        data = ape.read_bytes()

        headers_offset = int.from_bytes(data[0x3C:0x40], "little")
        assert data[:headers_offset].rstrip(b"\0").endswith(b"\nexit 126\n")
        assert data.index(b"'", 8) == 0x41  # nothing in the head closes the quote
        assert b" and Windows, not for $m" in data[:headers_offset]

    def test_linux_is_as_without_it(self, ape: Path) -> None:
        data = ape.read_bytes()

        assert data[0x10000 : len(linked())] == linked()[0x10000:]
        assert parse_prologue(data).statements[0].header == parse_prologue(linked()).statements[0].header
        assert original_head(data) == data[:64]

    def test_other_readers_agree(self, ape: Path) -> None:
        import lief

        lief.logging.disable()
        before: Any = lief.PE.parse(str(everywhere(platform_named("windows-amd64"))))
        after: Any = lief.PE.parse(str(ape))

        assert [entry.name for entry in after.imports] == [entry.name for entry in before.imports]
        assert [len(entry.entries) for entry in after.imports] == [len(entry.entries) for entry in before.imports]
        assert [len(entry.entries) for entry in after.relocations] == [
            len(entry.entries) for entry in before.relocations
        ]
        assert after.tls.addressof_callbacks == before.tls.addressof_callbacks
        for old, new in zip(before.debug, after.debug, strict=True):
            moved = new.pointerto_rawdata - old.pointerto_rawdata
            assert moved == (BASE if old.pointerto_rawdata else 0)

    @pytest.mark.needs_compiler
    def test_a_windows_program_alone(self, tmp_path: Path) -> None:
        link([everywhere(platform_named("windows-amd64"))], tmp_path / "out")

        result = subprocess.run(["sh", tmp_path / "out"], check=False, capture_output=True, text=True)
        assert "this program is for Windows, not for Linux" in result.stderr
        assert result.returncode == 127


class TestHeaders:
    def test_changed_and_unchanged_bytes(self) -> None:
        image = with_pe_field(
            with_pe_field(with_pe_field(pe_program(), "CheckSum", 5), "PointerToSymbolTable", 99), "NumberOfSymbols", 9
        )
        before = read_pe(image)
        headers = relocated_pe_headers(before, BASE)
        data = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + headers
        after = type(before).unpack(Cursor(data[0x40:], 0x40))

        assert [section.pointer_to_raw_data for section in after.sections] == [BASE + 0x400, BASE + 0x600, 0]
        assert (after.coff.pointer_to_symbol_table, after.coff.number_of_symbols) == (0, 0)
        assert (after.optional.size_of_headers, after.optional.check_sum) == (PROLOGUE_SIZE, 0)
        assert after.directories == before.directories
        assert after.optional.address_of_entry_point == before.optional.address_of_entry_point

    def test_the_debug_directory_is_moved_where_it_has_a_place_in_the_file(self) -> None:
        moved = embed_pe(pe_program(), read_pe(pe_program()), BASE)

        assert struct.unpack_from("<I", moved, 0x620 + 24) == (0x700 + BASE,)
        assert struct.unpack_from("<I", moved, 0x63C + 24) == (0,)
        assert sum(a != b for a, b in zip(moved, pe_program(), strict=True)) <= 4

    def test_a_debug_directory_outside_of_the_sections_is_left_alone(self) -> None:
        image = with_directory(pe_program(), 6, 0x3000, 28)

        assert embed_pe(image, read_pe(image), BASE) == image

    def test_windows_counts_to_four_gigabytes(self) -> None:
        pe = read_pe(pe_program())

        assert relocated_pe_headers(pe, (1 << 32) - 0x10000)
        with pytest.raises(NotEmbeddableError, match="0x100000000"):
            relocated_pe_headers(pe, 1 << 32)


def packed_tightly(image: bytes) -> bytes:
    """The program with sections that lie in memory as in the file, the first at 0x400."""
    for index, (address, size) in enumerate([(0x400, 0x200), (0x600, 0x400), (0xA00, 0x200)]):
        image = with_section(image, index, VirtualAddress=address, VirtualSize=size)
    for name, value in {"SectionAlignment": 0x200, "SizeOfImage": 0xC00, "AddressOfEntryPoint": 0x410}.items():
        image = with_pe_field(image, name, value)
    return image


FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "signed": (lambda image: with_directory(image, 4, PE_SIZE, 100), "it is signed"),
    "first section below the prologue's end": (packed_tightly, "first section is at 0x400"),
}


@pytest.mark.parametrize(("change", "word"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_become_part_of_an_ape(tmp_path: Path, change: Callable[[bytes], bytes], word: str) -> None:
    image = change(pe_program())
    (tmp_path / "bad.exe").write_bytes(image)

    with pytest.raises(NotEmbeddableError, match=word):
        check_pe(read_pe(image))
    with pytest.raises(InputError, match=word) as caught:
        link([tmp_path / "bad.exe"], tmp_path / "out")
    assert caught.value.path == tmp_path / "bad.exe"


def test_without_windows_there_is_no_windows_program(tmp_path: Path) -> None:
    (tmp_path / "program.exe").write_bytes(pe_program())
    (tmp_path / "program").write_bytes(exit_program())

    with pytest.raises(InputError, match="Windows runs only what begins with MZ"):
        link([tmp_path / "program", tmp_path / "program.exe"], tmp_path / "out", magic=Magic.NO_WINDOWS)


@pytest.mark.parametrize(("size", "offset"), [(4, 0xF80), (0x220, 0xD80), (0x3C0, 0xC00)])
def test_a_script_has_the_room_that_a_windows_program_leaves(size: int, offset: int) -> None:
    headers = b"PE\0\0".ljust(size, b"x")
    data = render_prologue(Magic.MZ, "#" * (offset - 0x47), headers)

    assert len(data) == PROLOGUE_SIZE
    assert data[offset : offset + size] == headers
    assert data[0x3C:0x40] == data[0xFFC:] == struct.pack("<I", offset)
    with pytest.raises(LayoutError, match=f"{offset + 1:#x}"):
        render_prologue(Magic.MZ, "#" * (offset - 0x46), headers)
