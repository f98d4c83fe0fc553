"""Real programs for all platforms: our codecs compared with other readers of the same formats."""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runtime.image import read_image
from runtime.image.code_signature import SignatureFlag, check_code_signature
from runtime.image.elf import Elf
from runtime.image.embedding import check_embeddable
from runtime.image.errors import ImageFormatError, NotEmbeddableError
from runtime.image.load_commands import EntryPoint, LinkeditData
from runtime.image.macho import Macho
from runtime.image.os_brand import read_brand, read_notes
from runtime.image.pe import Pe
from runtime.image.unpacking import check_unpackable
from runtime.platforms import PLATFORMS, ImageFormat, Launch, Platform, platform_named
from tests.builders.programs import everywhere
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs_compiler

BY_FORMAT = {
    kind: [pytest.param(one, id=one.name) for one in PLATFORMS if one.image_format == kind] for kind in ImageFormat
}
EVERY = [parameter for parameters in BY_FORMAT.values() for parameter in parameters]
MACOS_ARM64 = platform_named("macos-arm64")


@pytest.fixture(scope="module")
def lief() -> Any:
    import lief

    lief.logging.disable()
    return lief


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env={"LC_ALL": "C"}).stdout


def elf_of(path: Path) -> Elf:
    headers = read_image(path.read_bytes()).headers
    assert isinstance(headers, Elf)
    return headers


def macho_of(data: bytes) -> Macho:
    headers = read_image(data).headers
    assert isinstance(headers, Macho)
    return headers


@pytest.mark.parametrize("platform", EVERY)
def test_the_formats_of_programs_are_recognised(platform: Platform) -> None:
    data = everywhere(platform).read_bytes()
    image = read_image(memoryview(data))

    assert image.platform is platform
    assert image.headers.file_end <= len(data)
    if platform.launch == Launch.MAPPED:
        assert isinstance(image.headers, Elf)
        check_embeddable(image.headers)
    if platform.launch == Launch.UNPACKED:
        check_unpackable(image, data)


@pytest.mark.parametrize("platform", BY_FORMAT[ImageFormat.ELF])
def test_lief_agrees_on_elf(platform: Platform, lief: Any) -> None:
    path = everywhere(platform)
    elf, other = elf_of(path), lief.ELF.parse(str(path))

    assert (elf.header.entry, elf.header.machine) == (other.header.entrypoint, int(other.header.machine_type))
    assert [(one.type, one.offset, one.filesz, one.vaddr, one.memsz, one.align) for one in elf.segments] == [
        (int(one.type), one.file_offset, one.physical_size, one.virtual_address, one.virtual_size, one.alignment)
        for one in other.segments
    ]
    brand = read_brand(path.read_bytes(), elf)
    assert (brand.interpreter or "") == (other.interpreter if other.has_interpreter else "")
    assert [note.owner for note in read_notes(path.read_bytes(), elf)] == [note.name.encode() for note in other.notes]


@pytest.mark.parametrize("platform", BY_FORMAT[ImageFormat.ELF])
def test_readelf_agrees(platform: Platform) -> None:
    path = everywhere(platform)
    elf = elf_of(path)
    shown = output_of(tool("readelf"), "--wide", "--file-header", "--program-headers", "--notes", path)

    assert f"Entry point address:               {elf.header.entry:#x}\n" in shown
    numbers = re.findall(r"^  [A-Z_]+ +((?:0x[0-9a-f]+ ){5})", shown, re.MULTILINE)
    assert [[int(number, 16) for number in row.split()] for row in numbers] == [
        [one.offset, one.vaddr, one.paddr, one.filesz, one.memsz] for one in elf.segments
    ]
    brand = read_brand(path.read_bytes(), elf)
    assert brand.interpreter is None or f"program interpreter: {brand.interpreter}]" in shown
    assert brand.has_note == bool(re.search(rf"^  {platform.system}\s+0x00000004", shown, re.MULTILINE))
    assert brand.has_note == (platform.system != "Linux")


@pytest.mark.parametrize("platform", BY_FORMAT[ImageFormat.PE])
def test_objdump_agrees_on_pe(platform: Platform) -> None:
    path = everywhere(platform)
    pe = read_image(path.read_bytes()).headers
    assert isinstance(pe, Pe)
    shown = output_of(tool("objdump"), "--private-headers", "--section-headers", path)

    named = dict(re.findall(r"^(AddressOfEntryPoint|SizeOfImage|SizeOfHeaders)\s+([0-9a-f]+)$", shown, re.MULTILINE))
    assert {name: int(number, 16) for name, number in named.items()} == {
        "AddressOfEntryPoint": pe.optional.address_of_entry_point,
        "SizeOfImage": pe.optional.size_of_image,
        "SizeOfHeaders": pe.optional.size_of_headers,
    }
    rows = re.findall(r"^ +\d+ (\.\w+) +\w+ +(\w+) +\w+ +(\w+) ", shown, re.MULTILINE)
    base = pe.optional.image_base
    assert [(name, int(address, 16) - base, int(offset, 16)) for name, address, offset in rows] == [
        (one.name.rstrip(b"\0").decode(), one.virtual_address, one.pointer_to_raw_data) for one in pe.sections
    ]


@pytest.mark.parametrize("platform", BY_FORMAT[ImageFormat.PE])
def test_lief_agrees_on_pe(platform: Platform, lief: Any) -> None:
    path = everywhere(platform)
    pe, other = read_image(path.read_bytes()).headers, lief.PE.parse(str(path))
    assert isinstance(pe, Pe)

    assert pe.optional.address_of_entry_point == other.optional_header.addressof_entrypoint
    assert [(one.pointer_to_raw_data, one.size_of_raw_data, one.virtual_address) for one in pe.sections] == [
        (one.pointerto_raw_data, one.sizeof_raw_data, one.virtual_address) for one in other.sections
    ]


@pytest.mark.parametrize("platform", BY_FORMAT[ImageFormat.MACHO])
def test_lief_agrees_on_macho(platform: Platform, lief: Any) -> None:
    path = everywhere(platform)
    macho, other = macho_of(path.read_bytes()), lief.MachO.parse(str(path)).at(0)

    assert (macho.header.cputype, macho.header.flags) == (int(other.header.cpu_type), int(other.header.flags))
    assert [(command.cmd, command.size) for command in macho.commands] == [
        (int(command.command), command.size) for command in other.commands
    ]
    assert [
        (one.name.decode(), one.vmaddr, one.vmsize, one.fileoff, one.filesize, one.initprot, one.nsects)
        for one in macho.segments
    ] == [
        (one.name, one.virtual_address, one.virtual_size, one.file_offset, one.file_size, int(one.init_protection),
         one.numberof_sections)
        for one in other.segments
    ]  # fmt: skip  # place, then kind
    assert [section.offset for one in macho.segments for section in one.sections] == [
        section.offset for one in other.segments for section in one.sections
    ]
    assert macho.of_kind(EntryPoint)[0].entryoff == other.main_command.entrypoint
    assert macho.platform == int(other.build_version.platform)
    assert (macho.dylinker, list(macho.dylibs)) == (other.dylinker.name, [one.name for one in other.libraries])
    signature = macho.code_signature
    assert (signature is not None) == other.has_code_signature
    if signature:
        assert (signature.dataoff, signature.datasize) == (
            other.code_signature.data_offset,
            other.code_signature.data_size,
        )


@pytest.mark.parametrize("platform", BY_FORMAT[ImageFormat.MACHO])
def test_the_file_is_the_image(platform: Platform) -> None:
    data = everywhere(platform).read_bytes()
    macho = macho_of(data)

    assert macho.file_end == len(data)
    assert macho.pack() == data[: macho.commands_end]
    if shutil.which("llvm-objdump"):
        shown = output_of("llvm-objdump", "--macho", "--private-headers", everywhere(platform))
        assert shown.count("cmdsize") == macho.header.ncmds
        assert [int(offset) for offset in re.findall(r"^ +fileoff (\d+)$", shown, re.MULTILINE)] == [
            one.fileoff for one in macho.segments
        ]


def page_hashes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each page's hash as the signature has it, and as it is: found without our codec."""
    at = data.index(b"\xfa\xde\x0c\x02", data.index(b"\xfa\xde\x0c\xc0"))
    (hash_offset,) = struct.unpack_from(">I", data, at + 16)
    count, limit = struct.unpack_from(">II", data, at + 28)
    page_size = 1 << data[at + 39]
    for index in range(count):
        stored = at + hash_offset + index * 32
        page = data[index * page_size : min((index + 1) * page_size, limit)]
        yield data[stored : stored + 32], hashlib.sha256(page).digest()


def test_arm64_programs_are_signed_by_the_linker() -> None:
    data = everywhere(MACOS_ARM64).read_bytes()
    signature = check_code_signature(data, macho_of(data))

    (directory,) = signature.directories
    assert directory.flags == SignatureFlag.ADHOC | SignatureFlag.LINKER_SIGNED
    pairs = list(page_hashes(data))
    assert len(pairs) == directory.n_code_slots
    assert all(stored == computed for stored, computed in pairs)


def test_a_change_of_any_page_is_found() -> None:
    data = everywhere(MACOS_ARM64).read_bytes()
    macho = macho_of(data)
    place = macho.code_signature
    assert place is not None
    for index, at in enumerate(range(0x3FFF, place.dataoff, 0x4000)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(ImageFormatError) as caught:
            check_code_signature(damaged, macho)
        assert caught.value.field == f"code slot {index}"


def test_a_signature_that_was_taken_away_is_missed() -> None:
    data = everywhere(MACOS_ARM64).read_bytes()
    ((at, command),) = macho_of(data).with_offsets(LinkeditData)
    data = data[:at] + replace(command, cmd=0x2A).pack() + data[at + 16 :]  # LC_SOURCE_VERSION, which is as long

    with pytest.raises(NotEmbeddableError, match="no code signature"):
        check_unpackable(read_image(data), data)
