"""The PE codec: valid programs, and each kind of invalid header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.image import read_image
from runtime.image.errors import ImageFormatError, NotAnImageError
from runtime.image.pe import CoffHeader, DirectoryIndex, OptionalHeader, Section, read_pe
from runtime.platforms import platform_named
from tests.builders.pe import PE_SIZE, pe_program, with_directory, with_pe_field, with_section
from tests.builders.programs import everywhere

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPTED: dict[str, Callable[[bytes], bytes]] = {
    "as built": lambda image: image,
    "bytes behind the program": lambda image: image + b"PK" * 1000,
    "a checksum that is wrong": lambda image: with_pe_field(image, "CheckSum", 12345),
    "no relocations but ASLR": lambda image: with_pe_field(image, "Characteristics", 0x23),
    "a symbol table past the end": lambda image: with_pe_field(image, "PointerToSymbolTable", 1 << 30),
    "a certificate table past the end": lambda image: with_directory(image, 4, PE_SIZE, 100),
    "a certificate table in an archive behind the program": lambda image: (
        with_directory(image, 4, PE_SIZE, 9) + b"PK" * 9
    ),
}

# What is wrong, how it is made, which field the error names.
MALFORMED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off in the DOS header": (lambda image: image[:63], "e_magic"),
    "cut off before the signature": (lambda image: image[:0x80], "e_lfanew"),
    "e_lfanew past the end": (lambda image: with_pe_field(image, "e_lfanew", 1 << 28), "e_lfanew"),
    "e_lfanew in the DOS header": (lambda image: with_pe_field(image, "e_lfanew", 0x38), "e_lfanew"),
    "e_lfanew misaligned": (lambda image: with_pe_field(image, "e_lfanew", 0x84), "e_lfanew"),
    "no signature": (lambda image: with_pe_field(image, "Signature", b"NE\0\0"), "Signature"),
    "a DLL": (lambda image: with_pe_field(image, "Characteristics", 0x2022), "Characteristics"),
    "an object file": (lambda image: with_pe_field(image, "Characteristics", 0x20), "Characteristics"),
    "optional header size": (lambda image: with_pe_field(image, "SizeOfOptionalHeader", 96), "SizeOfOptionalHeader"),
    "32-bit": (lambda image: with_pe_field(image, "Magic", 0x10B), "Magic"),
    "too many directories": (lambda image: with_pe_field(image, "NumberOfRvaAndSizes", 17), "NumberOfRvaAndSizes"),
    "no section": (lambda image: with_pe_field(image, "NumberOfSections", 0), "NumberOfSections"),
    "97 sections": (lambda image: with_pe_field(image, "NumberOfSections", 97), "NumberOfSections"),
    "cut off in the section table": (lambda image: image[:0x1A0], "NumberOfSections"),
    "FileAlignment 0": (lambda image: with_pe_field(image, "FileAlignment", 0), "FileAlignment"),
    "FileAlignment odd": (lambda image: with_pe_field(image, "FileAlignment", 0x300), "FileAlignment"),
    "SectionAlignment too small": (lambda image: with_pe_field(image, "SectionAlignment", 0x100), "SectionAlignment"),
    "SectionAlignment odd": (lambda image: with_pe_field(image, "SectionAlignment", 0x1800), "SectionAlignment"),
    "SizeOfHeaders too small": (lambda image: with_pe_field(image, "SizeOfHeaders", 0), "SizeOfHeaders"),
    "SizeOfHeaders odd": (lambda image: with_pe_field(image, "SizeOfHeaders", 0x420), "SizeOfHeaders"),
    "SizeOfHeaders too large": (lambda image: with_pe_field(image, "SizeOfHeaders", 0x1200), "SizeOfHeaders"),
    "raw data past the end": (lambda image: with_section(image, 1, SizeOfRawData=0x600), "PointerToRawData"),
    "raw data in the headers": (lambda image: with_section(image, 0, PointerToRawData=0x200), "PointerToRawData"),
    "raw data misaligned": (lambda image: with_section(image, 0, PointerToRawData=0x410), "PointerToRawData"),
    "raw data overlaps": (lambda image: with_section(image, 1, PointerToRawData=0x400), "PointerToRawData"),
    "sections overlap in memory": (lambda image: with_section(image, 1, VirtualAddress=0x1000), "VirtualAddress"),
    "a gap between sections": (lambda image: with_section(image, 0, VirtualSize=0x1001), "VirtualAddress"),
    "SizeOfImage": (lambda image: with_pe_field(image, "SizeOfImage", 0x6000), "SizeOfImage"),
    "entry in data": (lambda image: with_pe_field(image, "AddressOfEntryPoint", 0x2000), "AddressOfEntryPoint"),
    "cut off in the last section": (lambda image: image[:-1], "PointerToRawData"),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_but_sound_programs_are_read(change: Callable[[bytes], bytes]) -> None:
    pe = read_pe(change(pe_program()))

    assert [section.name.rstrip(b"\0") for section in pe.sections] == [b".text", b".rdata", b".bss"]
    assert pe.file_end == PE_SIZE


@pytest.mark.parametrize(("change", "field"), MALFORMED.values(), ids=MALFORMED)
def test_lies_are_named(change: Callable[[bytes], bytes], field: str) -> None:
    with pytest.raises(ImageFormatError) as caught:
        read_pe(change(pe_program()))

    assert caught.value.field == field


@pytest.mark.parametrize("data", [b"", b"M", b"\x7fELF" + bytes(100)])
def test_other_files_are_absent_not_damaged(data: bytes) -> None:
    with pytest.raises(NotAnImageError):
        read_pe(data)


def test_every_prefix_is_refused() -> None:
    image = pe_program()
    for size in range(0, len(image), 7):
        with pytest.raises((ImageFormatError, NotAnImageError)):
            read_pe(image[:size])


@given(st.binary(max_size=100), st.integers(0, 0x200))
def test_no_bytes_escape_our_errors(noise: bytes, at: int) -> None:
    image = bytearray(pe_program())
    image[at : at + len(noise)] = noise
    try:
        pe = read_pe(bytes(image))
    except (ImageFormatError, NotAnImageError):
        return
    assert pe.file_end <= len(image)


@pytest.mark.needs_compiler
def test_headers_survive_a_round_trip() -> None:
    for image in (pe_program(), everywhere(platform_named("windows-amd64")).read_bytes()):
        pe = read_pe(image)
        at = int.from_bytes(image[0x3C:0x40], "little")
        assert pe.pack() == image[at : at + len(pe.pack())]


def test_structures_have_the_sizes_of_the_specification() -> None:
    for structure, size in ((CoffHeader, 24), (OptionalHeader, 112), (Section, 40)):
        assert structure.STRUCT.size == structure.SIZE == size


def test_addresses_lead_to_the_file() -> None:
    pe = read_pe(pe_program())

    assert pe.directory(DirectoryIndex.DEBUG) == (0x2020, 56)
    assert pe.file_offset(0x2020, 56) == 0x620
    assert pe.file_offset(0x3000, 1) is None  # .bss
    assert pe.file_offset(0x23F0, 0x20) is None  # beyond the section's bytes
    assert pe.file_offset(0x10, 1) is None


@pytest.mark.parametrize(
    ("machine", "word"), [(0xAA64, "Machine 0xaa64"), (0x14C, "Machine 0x14c")], ids=["arm64", "i386"]
)
def test_programs_for_other_machines_are_refused_by_name(machine: int, word: str) -> None:
    with pytest.raises(NotAnImageError, match=word):
        read_image(with_pe_field(pe_program(), "Machine", machine))
