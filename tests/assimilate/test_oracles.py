"""Other tools read the same values from converted files."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from assimilate.conversion import assimilate
from runtime.image.elf import SegmentType, read_elf
from runtime.image.load_commands import EntryPoint
from runtime.image.macho import read_macho
from runtime.image.pe import read_pe
from runtime.platforms import PLATFORMS, ImageFormat, platform_named
from tests.builders.ape import small_ape
from tests.builders.elf import AARCH64, X86_64
from tests.builders.genuine import genuine_ape
from tests.conftest import tool
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

EVERY = tuple(platform.name for platform in PLATFORMS)
ELF = [("ours", platform.name) for platform in PLATFORMS if platform.image_format == ImageFormat.ELF]
MACHO = [("ours", platform.name) for platform in PLATFORMS if platform.image_format == ImageFormat.MACHO]
GENUINE_ELF = [("genuine", "linux-amd64"), ("genuine", "linux-arm64"), ("genuine", "freebsd-amd64")]
GENUINE_MACHO = [("genuine", "macos-amd64")]


def converted(folder: Path, maker: str, name: str) -> Path:
    path = folder / maker
    path.write_bytes(small_ape(*EVERY) if maker == "ours" else genuine_ape("2023-10", (X86_64, AARCH64)))
    add_files(path, [Member("weights", b"weights" * 9999)])
    assimilate(path, platform_named(name))
    return path


def output(*command: str | Path) -> str:
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "rror" not in result.stderr, result.stderr
    return result.stdout


@pytest.mark.parametrize(("maker", "name"), [*ELF, *GENUINE_ELF])
def test_readelf(maker: str, name: str, tmp_path: Path) -> None:
    path = converted(tmp_path, maker, name)
    elf = read_elf(path.read_bytes())

    header = output(tool("readelf"), "-hW", path)
    table = output(tool("readelf"), "-lW", path)

    assert int(re.findall(r"Entry point address:\s+0x(\w+)", header)[0], 16) == elf.header.entry
    assert int(re.findall(r"Start of program headers:\s+(\d+)", header)[0]) == elf.header.phoff
    loads = re.findall(r"LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x(\w+) (.{3})", table)
    assert [tuple(int(number, 16) for number in load[:4]) for load in loads] == [
        (load.offset, load.vaddr, load.filesz, load.memsz) for load in elf.segments if load.type == SegmentType.LOAD
    ]
    assert [load[4].replace(" ", "") for load in loads] == [
        "".join(letter for bit, letter in ((4, "R"), (2, "W"), (1, "E")) if load.flags & bit) for load in elf.loads
    ]


# Debian's objdump knows the formats of its own machine only.
@pytest.mark.parametrize(("maker", "name"), [pair for pair in [*ELF, *GENUINE_ELF] if pair[1] != "linux-arm64"])
def test_objdump(maker: str, name: str, tmp_path: Path) -> None:
    path = converted(tmp_path, maker, name)
    elf = read_elf(path.read_bytes())

    text = output(tool("objdump"), "-p", path)

    offsets = [int(offset, 16) for offset in re.findall(r"LOAD off +0x(\w+)", text)]
    assert offsets == [load.offset for load in elf.segments if load.type == SegmentType.LOAD]


@pytest.mark.parametrize(("maker", "name"), [*MACHO, *GENUINE_MACHO])
def test_llvm_on_macho(maker: str, name: str, tmp_path: Path) -> None:
    path = converted(tmp_path, maker, name)
    macho = read_macho(path.read_bytes())

    text = output(tool("llvm-readobj"), "--file-headers", "--macho-segment", path)

    assert re.findall(r"CpuType: (.*) \(", text) == ["Arm64" if name == "macos-arm64" else "X86-64"]
    for field, ours in (("fileoff", "fileoff"), ("filesize", "filesize"), ("vmaddr", "vmaddr"), ("vmsize", "vmsize")):
        numbers = [int(number, 0) for number in re.findall(rf"\b{field}: (\w+)", text)]
        assert numbers == [getattr(segment, ours) for segment in macho.segments]
    if macho.of_kind(EntryPoint):
        commands = output(tool("llvm-objdump"), "--macho", "--private-headers", path)
        assert [int(offset) for offset in re.findall(r"entryoff (\d+)", commands)] == [
            main.entryoff for main in macho.of_kind(EntryPoint)
        ]


def test_llvm_on_a_program_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "ours.exe"
    path.write_bytes(small_ape(*EVERY))
    pe = read_pe(path.read_bytes())

    text = output(tool("llvm-readobj"), "--file-headers", "--sections", path)

    assert int(re.findall(r"AddressOfEntryPoint: (\w+)", text)[0], 0) == pe.optional.address_of_entry_point
    for field, numbers in (
        ("VirtualAddress", [section.virtual_address for section in pe.sections]),
        ("PointerToRawData", [section.pointer_to_raw_data for section in pe.sections]),
        ("RawDataSize", [section.size_of_raw_data for section in pe.sections]),
    ):
        assert [int(number, 0) for number in re.findall(rf"\b{field}: (\w+)", text)] == numbers


@pytest.mark.parametrize("name", ["linux-amd64", "macos-arm64", "openbsd-amd64"])
def test_zip_readers_find_the_archive(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ours.zip"
    path.write_bytes(small_ape(*EVERY))
    add_files(path, [Member("weights", b"weights" * 9999)])
    assimilate(path, platform_named(name))

    assert "No errors detected" in output(tool("unzip"), "-tq", path)
    assert "NOTICES" in output(tool("bsdtar"), "-tf", path)
