"""The ELF codec: valid programs, and each kind of invalid header."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.image.elf import Elf, ElfHeader, Machine, ProgramHeader, SegmentType, read_elf, read_elf_header
from runtime.image.errors import ImageFormatError, NotAnImageError
from tests.builders.elf import AARCH64, IMAGE_SIZE, exit_program, with_field, with_segment
from zipalign.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE = 1 << 64

ACCEPTED: dict[str, Callable[[bytes], bytes]] = {
    "as built": lambda image: image,
    "section headers past the end": lambda image: with_field(with_field(image, "e_shoff", 1 << 40), "e_shnum", 30),
    "bytes behind the program": lambda image: image + b"PK" * 1000,
    "no alignment": lambda image: with_segment(image, 2, p_align=0),
    "an unknown segment type": lambda image: with_segment(image, 5, p_type=0x65041580),
    "an unknown OSABI": lambda image: with_field(image, "ei_osabi", 200),
    "a segment that is not loaded outside of the file": lambda image: with_segment(image, 0, p_offset=1 << 40),
}

# What is wrong, how it is made, which field the error names.
MALFORMED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off in the header": (lambda image: image[:63], "e_ident"),
    "fewer than 16 bytes": (lambda image: image[:15], "e_ident"),
    "32-bit": (lambda image: with_field(image, "ei_class", 1), "EI_CLASS"),
    "big-endian": (lambda image: with_field(image, "ei_data", 2), "EI_DATA"),
    "identification of another version": (lambda image: with_field(image, "ei_version", 0), "EI_VERSION"),
    "another version": (lambda image: with_field(image, "e_version", 2), "e_version"),
    "header size": (lambda image: with_field(image, "e_ehsize", 52), "e_ehsize"),
    "program header size": (lambda image: with_field(image, "e_phentsize", 32), "e_phentsize"),
    "no program headers": (lambda image: with_field(image, "e_phnum", 0), "e_phnum"),
    "PN_XNUM": (lambda image: with_field(image, "e_phnum", 0xFFFF), "e_phnum"),
    "program headers past the end": (lambda image: with_field(image, "e_phoff", IMAGE_SIZE & -8), "e_phoff"),
    "program headers wrap around": (lambda image: with_field(image, "e_phoff", HUGE - 8), "e_phoff"),
    "too many program headers": (lambda image: with_field(image, "e_phnum", 0xFFFE), "e_phoff"),
    "misaligned program headers": (lambda image: with_field(image, "e_phoff", 65), "e_phoff"),
    "p_filesz above p_memsz": (lambda image: with_segment(image, 2, p_memsz=1), "p_filesz"),
    "segment past the end": (lambda image: with_segment(image, 4, p_filesz=0x11), "p_offset"),
    "file range wraps around": (lambda image: with_segment(image, 4, p_offset=HUGE - 0xD000), "p_offset"),
    "memory range wraps around": (lambda image: with_segment(image, 4, p_memsz=HUGE - 1), "p_vaddr"),
    "address and offset incongruent": (lambda image: with_segment(image, 3, p_vaddr=0x1020000), "p_vaddr"),
    "p_align not a power of two": (lambda image: with_segment(image, 3, p_align=48), "p_align"),
    "cut off in the last segment": (lambda image: image[:-1], "p_offset"),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_but_sound_programs_are_read(change: Callable[[bytes], bytes]) -> None:
    elf = read_elf(change(exit_program()))

    assert elf.header.entry == 0x1011000
    assert [load.vaddr for load in elf.loads] == [0x1000000, 0x1011000, 0x1022000, 0x1043000]


@pytest.mark.parametrize(("change", "field"), MALFORMED.values(), ids=MALFORMED)
def test_lies_are_named(change: Callable[[bytes], bytes], field: str) -> None:
    with pytest.raises(ImageFormatError) as caught:
        read_elf(change(exit_program()))

    assert caught.value.field == field
    assert 0 <= caught.value.offset < IMAGE_SIZE


ABSENT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off in the magic": lambda image: image[:3],
    "magic": lambda image: with_field(image, "magic", b"\x7fELG"),
    "another format": lambda _: b"MZ" * 40,
}


@pytest.mark.parametrize("change", ABSENT.values(), ids=ABSENT)
def test_other_files_are_absent_not_damaged(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(NotAnImageError):
        read_elf(change(exit_program()))


def test_every_prefix_is_refused_or_read() -> None:
    image = exit_program()
    for size in [*range(500), *range(500, len(image), 97)]:
        with pytest.raises((ImageFormatError, NotAnImageError)):
            read_elf(image[:size])


@given(st.binary(max_size=600), st.integers(0, 399))
def test_no_bytes_escape_our_errors(noise: bytes, at: int) -> None:
    image = bytearray(exit_program())
    image[at : at + len(noise)] = noise
    try:
        elf = read_elf(bytes(image))
    except (ImageFormatError, NotAnImageError):
        return
    assert elf.file_end <= len(image)


def test_headers_survive_a_round_trip() -> None:
    image = with_field(with_field(exit_program(AARCH64), "ei_osabi", 9), "e_flags", 0x101CA75)
    elf = read_elf(image)

    assert elf.header.pack() == image[:64]
    assert b"".join(segment.pack() for segment in elf.segments) == image[64 : 64 + 6 * 56]


@given(st.integers(0, HUGE - 1), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_any_numbers_survive_a_round_trip(wide: int, half: int, word: int) -> None:
    header = ElfHeader(half & 0xFF, half >> 8, half, half, wide, wide, wide, word, half, half, half, half)
    segment = ProgramHeader(word, word, wide, wide, wide, wide, wide, wide)

    assert read_elf_header(header.pack()) == header
    assert ProgramHeader.unpack(Cursor(segment.pack())) == segment


def test_structures_have_the_sizes_of_the_specification() -> None:
    assert (ElfHeader.STRUCT.size, ProgramHeader.STRUCT.size) == (ElfHeader.SIZE, ProgramHeader.SIZE) == (64, 56)


def test_what_is_loaded_ends_where_the_last_segment_does() -> None:
    elf = read_elf(exit_program() + b"symbols")

    assert elf.file_end == IMAGE_SIZE
    assert elf.has(SegmentType.PHDR)
    assert not elf.has(SegmentType.INTERP)


def test_a_segment_without_memory_is_not_loaded() -> None:
    assert len(read_elf(with_segment(exit_program(), 3, p_memsz=0, p_filesz=0)).loads) == 3


def test_an_elf_is_its_headers() -> None:
    image = exit_program()

    assert read_elf(memoryview(image)) == Elf(
        ElfHeader(0, 0, 2, Machine.X86_64, 0x1011000, 64, 0, 0, 6, 0, 0, 0),
        tuple(ProgramHeader(*struct.unpack_from("<IIQQQQQQ", image, 64 + 56 * index)) for index in range(6)),
    )
