"""Which programs of macOS and the BSDs can be carried to be unpacked: those that their kernels will start."""

from __future__ import annotations

import struct

import pytest

from runtime.image import read_image
from runtime.image.errors import NotEmbeddableError
from runtime.image.unpacking import check_unpackable, unpacking_faults
from tests.builders.elf import exit_program, note, with_field, with_interpreter, with_notes
from tests.builders.macho import (
    AMD64,
    ARM64,
    COMMANDS,
    build_version,
    command,
    macho_program,
    named,
    signature_at,
    signed,
    static_macho,
    thread_state,
    with_command,
    with_header,
    with_signature_bytes,
)

SYSTEMS = {
    "FreeBSD": "/libexec/ld-elf.so.1",
    "NetBSD": "/usr/libexec/ld.elf_so",
    "OpenBSD": "/usr/libexec/ld.so",
}


def bsd(owner: str) -> bytes:
    return with_interpreter(with_notes(exit_program(), note(owner)), SYSTEMS[owner])


def needing(library: str, machine: int = ARM64) -> bytes:
    return signed(macho_program(machine, build_version(), named(0xC, library, 3)))


def far_headers(image: bytes) -> bytes:
    """The program with its program headers moved to its end."""
    padded = image.ljust(-(-len(image) // 8) * 8, b"\0")
    return with_field(padded + image[64 : 64 + 6 * 56], "e_phoff", len(padded))


SOUND: dict[str, bytes] = {
    "macOS arm64, ad-hoc": macho_program(ARM64, signature=True),
    "macOS arm64, pages of 16 KiB": signed(macho_program(ARM64), page_size=14),
    "macOS arm64, certificate": signed(macho_program(ARM64), flags=0, others={0x10000: struct.pack(">IIQ", 0, 16, 0)}),
    "macOS arm64, system libraries": needing("/usr/lib/libSystem.B.dylib"),
    "macOS arm64, bytes behind": macho_program(ARM64, signature=True) + b"PK" * 9,
    "macOS amd64, unsigned": macho_program(AMD64),
    "macOS amd64, ad-hoc": macho_program(AMD64, signature=True),
    "macOS amd64, without dyld": static_macho(),
    "FreeBSD": bsd("FreeBSD"),
    "FreeBSD, position-independent": with_field(bsd("FreeBSD"), "e_type", 3),
    "FreeBSD, static": with_notes(exit_program(), note("FreeBSD")),
    "FreeBSD, without a note": with_interpreter(exit_program(), SYSTEMS["FreeBSD"]),
    "NetBSD": bsd("NetBSD"),
    "NetBSD, static": with_notes(exit_program(), note("NetBSD")),
    "OpenBSD": with_field(bsd("OpenBSD"), "e_type", 3),
    "OpenBSD, static": with_notes(exit_program(), note("OpenBSD")),
}

# What is wrong, the program, words of the fault, and what it says to do.
FAULTS: dict[str, tuple[bytes, str, str]] = {
    "unsigned": (macho_program(ARM64), "no code signature", "codesign -f -s - FILE"),
    "changed after signing": (
        with_header(macho_program(ARM64, signature=True), flags=0x200084), "code slot 0", "codesign -f -s - FILE",
    ),
    "damaged signature": (
        with_signature_bytes(macho_program(ARM64, signature=True), 0, "I", 0), "magic", "codesign -f -s - FILE",
    ),
    "damaged signature where none is needed": (
        with_signature_bytes(macho_program(AMD64, signature=True), 0, "I", 0), "magic", "codesign -f -s - FILE",
    ),
    "arm64e": (signed(with_header(macho_program(ARM64), cpusubtype=0x80000002)), "for arm64e", "-arch arm64"),
    "arm64 without dyld": (
        signed(macho_program(ARM64, entry=thread_state(ARM64, (1 << 32) + 0x400))), "without dyld", "libSystem",
    ),
    "arm64 at a fixed address": (signed(with_header(macho_program(ARM64), flags=0x85)), "position-independent", "-pie"),
    "no dynamic linker": (
        signed(with_command(macho_program(ARM64), COMMANDS["dylinker"], cmd=0x2A)), "is none", "/usr/lib/dyld",
    ),
    "another dynamic linker": (
        macho_program(AMD64).replace(b"/usr/lib/dyld", b"/opt/lib/dyld"), "is /opt/lib/dyld", "/usr/lib/dyld",
    ),
    "a library beside it": (needing("@rpath/libomp.dylib"), "needs @rpath/libomp.dylib", "statically"),
    "a BSD object file": (with_field(bsd("FreeBSD"), "e_type", 1), "e_type is 1", "link it as a program"),
    "a BSD library": (with_field(with_field(bsd("NetBSD"), "e_type", 3), "e_entry", 0), "e_entry 0x0", "a program"),
    "an entry in data": (with_field(bsd("OpenBSD"), "e_entry", 0x1022000), "e_entry 0x1022000", "a program"),
    "NetBSD without a note": (with_interpreter(exit_program(), SYSTEMS["NetBSD"]), "no note that says NetBSD", "crt0"),
    "OpenBSD without a note": (
        with_interpreter(exit_program(), SYSTEMS["OpenBSD"]), "no note that says OpenBSD", "crt0",
    ),
    "FreeBSD with headers far behind": (far_headers(bsd("FreeBSD")), "FreeBSD reads up to 0x1000", "ld.lld"),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)
def test_sound_programs_have_no_fault(data: bytes) -> None:
    assert list(unpacking_faults(read_image(data), data)) == []
    check_unpackable(read_image(data), memoryview(data))


@pytest.mark.parametrize(("data", "words", "advice"), FAULTS.values(), ids=FAULTS)
def test_faults_say_what_to_do(data: bytes, words: str, advice: str) -> None:
    (fault,) = unpacking_faults(read_image(data), data)

    assert words in fault
    assert advice in fault
    with pytest.raises(NotEmbeddableError) as caught:
        check_unpackable(read_image(data), data)
    assert caught.value.faults == (fault,)


def test_all_faults_are_told_at_once() -> None:
    library = with_field(with_interpreter(exit_program(), SYSTEMS["NetBSD"]), "e_entry", 0)
    unsigned = with_header(macho_program(ARM64, build_version(), named(0xC, "@rpath/a.dylib", 3)), flags=0)

    assert len(list(unpacking_faults(read_image(library), library))) == 2
    assert len(list(unpacking_faults(read_image(unsigned), unsigned))) == 3


def test_a_signature_is_over_everything_in_front_of_it() -> None:
    image = macho_program(ARM64, signature=True)

    for at in (0x400, 0x4000, signature_at(image) - 1):
        damaged = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        with pytest.raises(NotEmbeddableError, match="changed after it was signed"):
            check_unpackable(read_image(damaged), damaged)


def test_commands_are_signed_with_the_rest() -> None:
    image = signed(macho_program(ARM64, build_version(), command(0x1B, bytes(16))))

    with pytest.raises(NotEmbeddableError, match="code slot 0"):
        check_unpackable(read_image(image), image.replace(command(0x1B, bytes(16)), command(0x1B, b"\1" * 16)))
