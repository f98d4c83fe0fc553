"""The programs of a finished APE, read back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from apepack.errors import LayoutError, NotAnApeError
from apepack.format.inspect import check_programs, read_platforms
from apepack.format.prologue import Magic
from apepack.packing.pack import PackInputs, pack
from apepack.packing.runtime_part import link_runtime, read_runtime
from tests.builders.ape import foreign_ape
from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.builders.gguf import TinyModel
from tests.builders.macho import macho_program
from tests.builders.pe import pe_program
from zipalign.errors import InputFileError
from zipalign.input_file import map_file

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.packing.runtime_part import RuntimePart

PLATFORMS = ("linux-amd64", "linux-arm64", "windows-amd64", "macos-arm64")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, RuntimePart]:
    """An APE with a program of each kind, and where they lie."""
    folder = tmp_path_factory.mktemp("linked")
    programs = [exit_program(X86_64), exit_program(AARCH64), pe_program(), macho_program(signature=True)]
    for name, program in zip(PLATFORMS, programs, strict=True):
        (folder / name).write_bytes(program)
    part = link_runtime([folder / name for name in PLATFORMS], folder / "ape")
    return (folder / "ape").read_bytes(), part


def test_every_kind_is_found(linked: tuple[bytes, RuntimePart], tmp_path: Path) -> None:
    data, part = linked
    assert part.platforms == PLATFORMS
    assert read_platforms(memoryview(data)) == PLATFORMS
    check_programs(memoryview(data))
    (tmp_path / "ape").write_bytes(data)
    read = read_runtime(tmp_path / "ape")
    assert (read.platforms, read.size, read.members, read.linked) == (PLATFORMS, part.size, (), None)


@pytest.mark.parametrize(
    ("platform", "offset", "word"),
    [
        ("linux-amd64", 64 + 32, "p_filesz"),
        ("linux-arm64", 64 + 32, "p_filesz"),
        ("macos-arm64", 4096 - 8, "macos-arm64"),
    ],
)
def test_damage_is_found(linked: tuple[bytes, RuntimePart], platform: str, offset: int, word: str) -> None:
    data, part = linked
    assert part.linked is not None
    (image,) = [image for image in part.linked.images if image.platform.name == platform]
    damaged = bytearray(data)
    damaged[image.span.offset + offset : image.span.offset + offset + 8] = b"\xff" * 8
    with pytest.raises(LayoutError, match=word):
        check_programs(memoryview(bytes(damaged)))


def test_damaged_windows_headers_are_found(linked: tuple[bytes, RuntimePart]) -> None:
    data, _ = linked
    (lfanew,) = struct.unpack_from("<I", data, 0x3C)
    damaged = bytearray(data)
    damaged[lfanew + 6] = 97  # NumberOfSections
    with pytest.raises(LayoutError, match="NumberOfSections"):
        check_programs(memoryview(bytes(damaged)))


def test_windows_headers_are_those_of_an_x86_64_program(linked: tuple[bytes, RuntimePart]) -> None:
    data, _ = linked
    (lfanew,) = struct.unpack_from("<I", data, 0x3C)
    for end, machine in ((len(data), b"\x64\xaa"), (lfanew + 20, b"\x64\x86")):
        changed = data[: lfanew + 4] + machine + data[lfanew + 6 : end]
        assert read_platforms(memoryview(changed)) == tuple(name for name in PLATFORMS if name != "windows-amd64")
    assert read_platforms(data) == PLATFORMS


def test_a_file_that_is_cut_off(linked: tuple[bytes, RuntimePart]) -> None:
    data, part = linked
    assert part.linked is not None
    for image in part.linked.images:
        with pytest.raises(LayoutError):
            check_programs(memoryview(data[: image.span.offset + 64]))


def test_a_llamafile_of_another_maker(tmp_path: Path) -> None:
    runtime = tmp_path / "theirs"
    runtime.write_bytes(foreign_ape(exit_program(X86_64)))
    assert read_runtime(runtime).platforms == ("linux-amd64",)
    model = TinyModel().write(tmp_path / "tiny.gguf")
    packed = pack(PackInputs(model), tmp_path / "out", runtime=runtime)
    assert (packed.runtime.platforms, packed.findings) == (("linux-amd64",), ())


def test_what_is_no_ape() -> None:
    for data in (b"", b"MZ", b"\x7fELF" + bytes(100)):
        with pytest.raises(NotAnApeError):
            read_platforms(memoryview(data))
    assert read_platforms(memoryview(Magic.MZ.value)) == ()


def test_files_that_cannot_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert bytes(map_file(tmp_path / "empty")) == b""
    with pytest.raises(InputFileError):
        map_file(tmp_path)
