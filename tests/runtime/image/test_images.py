"""The platform of a native program, by its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.image import read_image
from runtime.image.elf import read_elf
from runtime.image.errors import ImageFormatError, NotAnImageError
from runtime.image.os_brand import Note, read_brand, read_notes
from runtime.platforms import PLATFORMS
from tests.builders.elf import (
    AARCH64,
    NOTES_OFFSET,
    X86_64,
    exit_program,
    note,
    with_field,
    with_interpreter,
    with_notes,
    with_segment,
)
from tests.builders.macho import AMD64, ARM64, build_version, macho_program, static_macho
from tests.builders.pe import pe_program, with_pe_field

if TYPE_CHECKING:
    from collections.abc import Callable

GNU_PROPERTY = note("GNU", 5, bytes(16), alignment=8)


def bsd(owner: str, path: str, osabi: int = 0, machine: int = X86_64) -> bytes:
    program = with_notes(exit_program(machine), note(owner)) if owner else exit_program(machine)
    return with_field(with_interpreter(program, path) if path else program, "ei_osabi", osabi)


PLATFORM: dict[str, tuple[bytes, str]] = {
    "Linux": (exit_program(), "linux-amd64"),
    "Linux on arm64": (exit_program(AARCH64), "linux-arm64"),
    "Linux, marked": (bsd("", "", osabi=3), "linux-amd64"),
    "Linux, dynamic": (bsd("", "/lib64/ld-linux-x86-64.so.2"), "linux-amd64"),
    "Linux, with a note": (with_notes(exit_program(), note("GNU", 1, bytes(16))), "linux-amd64"),
    "Linux, with a note of 8": (with_notes(exit_program(), GNU_PROPERTY, 8), "linux-amd64"),
    "Linux, with a BSD's note of another type": (with_notes(exit_program(), note("NetBSD", 5)), "linux-amd64"),
    "Linux, notes filled up with zeros": (with_notes(exit_program(), note("GNU") + bytes(20)), "linux-amd64"),
    "FreeBSD": (bsd("FreeBSD", "/libexec/ld-elf.so.1"), "freebsd-amd64"),
    "FreeBSD, marked twice": (bsd("FreeBSD", "/libexec/ld-elf.so.1", osabi=9), "freebsd-amd64"),
    "FreeBSD, static": (bsd("FreeBSD", ""), "freebsd-amd64"),
    "FreeBSD, without a note": (bsd("", "/libexec/ld-elf.so.1", osabi=9), "freebsd-amd64"),
    "FreeBSD, linker elsewhere": (bsd("FreeBSD", "/usr/local/libexec/ld-elf.so.1"), "freebsd-amd64"),
    "NetBSD": (bsd("NetBSD", "/usr/libexec/ld.elf_so"), "netbsd-amd64"),
    "NetBSD, linker as zig has it": (bsd("NetBSD", "/libexec/ld.elf_so"), "netbsd-amd64"),
    "NetBSD, static": (bsd("NetBSD", ""), "netbsd-amd64"),
    "NetBSD, behind other notes": (with_notes(exit_program(), note("PaX", 3) + note("NetBSD")), "netbsd-amd64"),
    "OpenBSD": (bsd("OpenBSD", "/usr/libexec/ld.so"), "openbsd-amd64"),
    "OpenBSD, static": (bsd("OpenBSD", ""), "openbsd-amd64"),
    "Windows": (pe_program(), "windows-amd64"),
    "macOS": (macho_program(AMD64), "macos-amd64"),
    "macOS on arm64": (macho_program(ARM64, signature=True), "macos-arm64"),
    "macOS, without dyld": (static_macho(), "macos-amd64"),
}  # fmt: skip  # one row, one line

# What it is, its bytes, a word of the refusal.
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a native program"),
    "text": (b"#!/bin/sh\n", "not a native program"),
    "another machine": (with_field(exit_program(), "e_machine", 243), "e_machine 243"),
    "another system": (with_field(exit_program(), "ei_osabi", 6), "EI_OSABI 6"),
    "the head of an APE": (with_field(exit_program(), "ei_osabi", 9), r"EI_OSABI 9 \(FreeBSD\).*assimilate --restore"),
    "FreeBSD on arm64": (bsd("FreeBSD", "", machine=AARCH64), "FreeBSD on arm64"),
    "DragonFly": (bsd("DragonFly", "/usr/libexec/ld-elf.so.2"), "DragonFly on amd64"),
    "for several systems": (
        with_notes(exit_program(), note("OpenBSD") + note("NetBSD")), r"several systems \(NetBSD, OpenBSD\)",
    ),
    "Windows on arm64": (with_pe_field(pe_program(), "Machine", 0xAA64), "Machine 0xaa64"),
    "iOS": (macho_program(ARM64, build_version(2)), "platform 2"),
}  # fmt: skip  # one row, one line

DAMAGED: dict[str, tuple[bytes, str]] = {
    "notes past the end": (with_segment(bsd("FreeBSD", ""), 5, p_filesz=1 << 40), "p_offset"),
    "notes beyond reason": (with_segment(bsd("FreeBSD", "") + bytes(1 << 21), 5, p_filesz=1 << 21), "p_filesz"),
    "notes beyond reason together": (
        with_segment(with_notes(exit_program(), note("GNU") + bytes(20)) + bytes(1 << 20), 0, p_type=4, p_offset=0x3010,
                     p_filesz=1 << 20),
        "p_filesz",
    ),
    "a note that is cut off": (with_segment(bsd("FreeBSD", ""), 5, p_filesz=10), "n_namesz"),
    "a name past the end": (with_notes(exit_program(), b"\xff\0\0\0" + bytes(20)), "n_namesz"),
    "a description past the end": (with_notes(exit_program(), note("NetBSD")[:-4]), "n_descsz"),
    "sizes that wrap around": (with_notes(exit_program(), b"\xff" * 24), "n_namesz"),
    "a path past the end": (with_segment(bsd("", "/lib/ld.so"), 0, p_offset=1 << 40), "p_offset"),
    "a path that does not end": (with_segment(bsd("", "/lib/ld.so"), 0, p_filesz=5), "PT_INTERP"),
    "no path": (with_segment(bsd("", "/lib/ld.so"), 0, p_filesz=0), "PT_INTERP"),
    "a path beyond reason": (with_segment(bsd("", "/lib/ld.so"), 0, p_filesz=1025), "p_filesz"),
    "marks that contradict": (bsd("FreeBSD", "/usr/libexec/ld.so"), "PT_INTERP"),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize(("data", "name"), PLATFORM.values(), ids=PLATFORM)
def test_the_platform_is_read_from_the_program(data: bytes, name: str) -> None:
    assert read_image(data).platform.name == name
    assert read_image(memoryview(data)).headers.file_end <= len(data)


def test_each_platform_is_read_from_some_program() -> None:
    assert {name for _, name in PLATFORM.values()} == {platform.name for platform in PLATFORMS}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_other_programs_are_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(NotAnImageError, match=words):
        read_image(data)


@pytest.mark.parametrize(("data", "field"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_marks_are_named(data: bytes, field: str) -> None:
    with pytest.raises(ImageFormatError) as caught:
        read_image(data)

    assert caught.value.field == field
    assert 0 < caught.value.offset < len(data)


def test_notes_are_read_in_their_order() -> None:
    notes = note("FreeBSD", 1, b"\xb4\x5e\x15\0") + note("FreeBSD", 4, b"12345") + note("", 7, b"")
    image = with_notes(exit_program(), notes)

    assert list(read_notes(image, read_elf(image))) == [
        Note(b"FreeBSD\0", 1, b"\xb4\x5e\x15\0"), Note(b"FreeBSD\0", 4, b"12345"), Note(b"\0", 7, b""),
    ]  # fmt: skip  # a list


def test_a_brand_says_where_it_comes_from() -> None:
    image = bsd("", "/usr/libexec/ld.so")
    brand = read_brand(image, read_elf(image))

    assert (brand.system, brand.has_note, brand.interpreter) == ("OpenBSD", False, "/usr/libexec/ld.so")


@given(st.binary(max_size=100), st.integers(0, 0x500))
def test_no_bytes_escape_our_errors(noise: bytes, at: int) -> None:
    image = bytearray(bsd("NetBSD", "/usr/libexec/ld.elf_so"))
    image[at : at + len(noise)] = noise
    check_only_our_errors(bytes(image))


@given(st.binary(max_size=100))
def test_no_notes_escape_our_errors(notes: bytes) -> None:
    check_only_our_errors(with_notes(exit_program(), notes))


def check_only_our_errors(data: bytes) -> None:
    try:
        image = read_image(data)
    except (ImageFormatError, NotAnImageError):
        return
    assert image.headers.file_end <= len(data)


CHANGES: dict[str, Callable[[bytes, int], bytes]] = {
    "cut off": lambda data, at: data[:at],
    "flipped": lambda data, at: data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :],
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_damaged_programs_of_all_platforms_are_read_or_refused(change: Callable[[bytes, int], bytes]) -> None:
    for data, _ in PLATFORM.values():
        for at in range(0, min(len(data), NOTES_OFFSET + 0x40), 3):
            check_only_our_errors(change(data, at))
