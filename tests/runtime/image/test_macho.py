"""The Mach-O codec: valid programs, and each kind of invalid header."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.image import read_image
from runtime.image.code_signature import check_code_signature
from runtime.image.errors import ImageFormatError, NotAnImageError, UnsignedImageError
from runtime.image.load_commands import BuildVersion, EntryPoint, LoadCommand, Section64, Segment64, ThreadState
from runtime.image.mach_header import MachHeader, is_macho
from runtime.image.macho import MachPlatform, read_macho
from tests.builders.macho import (
    AMD64,
    ARM64,
    COMMANDS,
    build_version,
    command,
    entry_point,
    macho_program,
    macho_with,
    named,
    segment,
    static_macho,
    thread_state,
    version_min,
    with_command,
    with_header,
)
from zipalign.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[bytes], bytes]

TEXT, DATA, LINKEDIT = COMMANDS["__TEXT"], COMMANDS["__DATA"], COMMANDS["__LINKEDIT"]
SIGNATURE = 0x238  # LC_CODE_SIGNATURE of the signed program
HUGE = 1 << 64


def unsigned(*others: bytes, machine: int = ARM64, entry: bytes | None = None) -> Change:
    """A row that begins with another program than the signed one."""
    return lambda _: macho_program(machine, *others, entry=entry)


def changed_fat(count: int) -> Change:
    return lambda image: struct.pack(">II", 0xCAFEBABE, count) + image[8:]


ACCEPTED: dict[str, Change] = {
    "as built": lambda image: image,
    "unsigned": unsigned(),
    "bytes behind the program": lambda image: image + b"PK" * 1000,
    "minimum system missing": unsigned(command(0x2A, bytes(8))),
    "minimum system in the older form": unsigned(version_min(0x24)),
    "x86_64": unsigned(machine=AMD64),
    "started by the kernel": unsigned(machine=AMD64, entry=thread_state(AMD64, (1 << 32) + 0x400)),
    "header of an APE of another maker": lambda _: static_macho(),
    "an unknown command": unsigned(command(0x7FFFFFFF, b"12345678")),
    "a segment that is larger in memory": lambda image: with_command(image, LINKEDIT, vmsize=0x8000),
    "a section without bytes where the commands are": lambda image: with_command(
        with_command(image, TEXT, section_offset=0), TEXT, section_flags=1
    ),
}

# What is wrong, how it is made, which field the error names.
MALFORMED: dict[str, tuple[Change, str]] = {
    "fat": (changed_fat(2), "magic"),
    "fat of 64 bits": (lambda image: with_header(image, magic=b"\xca\xfe\xba\xbf")[:4] + bytes(4), "magic"),
    "32-bit": (lambda image: with_header(image, magic=b"\xce\xfa\xed\xfe"), "magic"),
    "big-endian": (lambda image: with_header(image, magic=b"\xfe\xed\xfa\xcf"), "magic"),
    "cut off in the header": (lambda image: image[:31], "magic"),
    "cputype": (lambda image: with_header(image, cputype=0x01000012), "cputype"),
    "cputype of 32 bits": (lambda image: with_header(image, cputype=7), "cputype"),
    "a library": (lambda image: with_header(image, filetype=6), "filetype"),
    "sizeofcmds too small for ncmds": (lambda image: with_header(image, sizeofcmds=0x218), "ncmds"),
    "sizeofcmds too large for ncmds": (lambda image: with_header(image, sizeofcmds=0x230), "sizeofcmds"),
    "ncmds too small": (lambda image: with_header(image, ncmds=2), "sizeofcmds"),
    "ncmds too large": (lambda image: with_header(image, ncmds=0xFFFFFFFF), "ncmds"),
    "sizeofcmds past the end": (lambda image: with_header(image, sizeofcmds=0x100000), "sizeofcmds"),
    "sizeofcmds beyond reason": (
        lambda image: with_header(image, sizeofcmds=0x10008) + bytes(0x10000), "sizeofcmds",
    ),
    "cmdsize below 8": (lambda image: with_command(image, TEXT, cmdsize=0), "cmdsize"),
    "cmdsize no multiple of 8": (lambda image: with_command(image, TEXT, cmdsize=156), "cmdsize"),
    "cmdsize past sizeofcmds": (lambda image: with_command(image, SIGNATURE, cmdsize=24), "cmdsize"),
    "cmdsize too small for the command": (lambda image: with_command(image, TEXT, cmdsize=64), "cmdsize"),
    "sections do not fit": (lambda image: with_command(image, TEXT, nsects=2), "nsects"),
    "segment past the end": (lambda image: with_command(image, LINKEDIT, filesize=0x1000), "fileoff"),
    "file range wraps around": (lambda image: with_command(image, DATA, fileoff=HUGE - 0x4000), "fileoff"),
    "filesize above vmsize": (lambda image: with_command(image, DATA, vmsize=0xFFF), "filesize"),
    "memory range wraps around": (lambda image: with_command(image, DATA, vmsize=HUGE - 0x4000), "vmaddr"),
    "vmaddr misaligned": (lambda image: with_command(image, DATA, vmaddr=(1 << 32) + 0x5000), "vmaddr"),
    "fileoff misaligned": (lambda image: with_command(image, DATA, fileoff=0x5000), "fileoff"),
    "segments overlap in memory": (lambda image: with_command(image, DATA, vmaddr=1 << 32), "vmaddr"),
    "segments overlap in the file": (lambda image: with_command(image, DATA, filesize=0x5000), "fileoff"),
    "no __PAGEZERO": (lambda image: with_command(image, 32, initprot=1), "__PAGEZERO"),
    "__PAGEZERO too small": (lambda image: with_command(image, 32, vmsize=0x4000), "__PAGEZERO"),
    "no segment begins with the file": (
        lambda image: with_command(image, TEXT, filesize=0), "fileoff",
    ),
    "header not executable": (lambda image: with_command(image, TEXT, initprot=1), "initprot"),
    "neither LC_MAIN nor LC_UNIXTHREAD": (unsigned(entry=command(0x2A, bytes(8))), "LC_MAIN"),
    "both LC_MAIN and LC_UNIXTHREAD": (
        unsigned(thread_state(AMD64, (1 << 32) + 0x400), machine=AMD64), "LC_MAIN",
    ),
    "two LC_MAIN": (unsigned(entry_point()), "LC_MAIN"),
    "LC_MAIN outside of the code": (unsigned(entry=entry_point(0x4000)), "entryoff"),
    "registers of another machine": (unsigned(entry=thread_state(AMD64, (1 << 32) + 0x400)), "flavor"),
    "too few registers": (unsigned(entry=command(0x5, struct.pack("<II8s", 6, 2, b""))), "count"),
    "count of registers": (unsigned(entry=command(0x5, struct.pack("<II8s", 6, 68, b""))), "count"),
    "rip outside of the code": (unsigned(machine=AMD64, entry=thread_state(AMD64, 0x400)), "rip"),
    "pc outside of the code": (unsigned(entry=thread_state(ARM64, 0x400)), "pc"),
    "__LINKEDIT not last": (
        lambda image: with_command(with_command(image, LINKEDIT, segname=b"__OTHER"), DATA, segname=b"__LINKEDIT"),
        "segname",
    ),
    "data after the signature": (lambda image: with_command(image, SIGNATURE, datasize=0x10), "datasize"),
    "signature outside of __LINKEDIT": (lambda image: with_command(image, SIGNATURE, dataoff=0x4000), "dataoff"),
    "signature past the end": (lambda image: with_command(image, SIGNATURE, dataoff=0xFFFFFF00), "dataoff"),
    "two signatures": (
        unsigned(build_version(), *2 * [command(0x1D, struct.pack("<II", 0x8000, 0x100))]), "LC_CODE_SIGNATURE",
    ),
    "no room for a load command": (lambda image: with_command(image, TEXT, section_offset=0x240), "sizeofcmds"),
    "a name that does not end": (lambda image: with_command(image, COMMANDS["dylinker"], name=32), "name"),
    "a name before its command": (lambda image: with_command(image, COMMANDS["dylinker"], name=4), "name"),
    "two minimum systems": (unsigned(build_version(), version_min(0x24)), "LC_BUILD_VERSION"),
    "cut off in the last segment": (lambda image: image[:-1], "fileoff"),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_but_sound_programs_are_read(change: Change) -> None:
    image = change(macho_program(signature=True))
    macho = read_macho(image)

    assert macho.file_end == len(image.removesuffix(b"PK" * 1000))
    assert macho.pack() == image[: macho.commands_end]


@pytest.mark.parametrize(("change", "field"), MALFORMED.values(), ids=MALFORMED)
def test_lies_are_named(change: Change, field: str) -> None:
    image = change(macho_program(signature=True))
    with pytest.raises(ImageFormatError) as caught:
        read_macho(image)

    assert caught.value.field == field
    assert 0 <= caught.value.offset < len(image)


def test_a_fat_file_says_how_it_is_made_thin() -> None:
    with pytest.raises(ImageFormatError, match="lipo FILE -thin arm64"):
        read_image(changed_fat(2)(macho_program()))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xcf\xfa\xed", b"\x7fELF" + bytes(100), struct.pack(">IHH", 0xCAFEBABE, 0, 61) + bytes(100)],
    ids=["empty", "short", "ELF", "a class of Java"],
)
def test_other_files_are_absent_not_damaged(data: bytes) -> None:
    assert not is_macho(data)
    with pytest.raises(NotAnImageError):
        read_macho(data)


def outcome(image: bytes) -> str:
    """What becomes of a program that may be damaged: only answers that are ours are possible."""
    try:
        macho = read_macho(image)
        check_code_signature(image, macho)
    except (ImageFormatError, NotAnImageError, UnsignedImageError) as error:
        return type(error).__name__
    assert macho.file_end <= len(image)
    return "read"


@pytest.mark.slow
def test_every_prefix_is_refused() -> None:
    image = macho_program(signature=True)

    outcomes = {outcome(image[:size]) for size in range(len(image))}

    assert outcomes == {"ImageFormatError", "NotAnImageError"}


def test_changed_bytes_are_refused_or_read() -> None:
    image = macho_program(signature=True)
    chance = random.Random(20260)
    places = [*range(SIGNATURE + 16), *range(len(image) - 404, len(image))]
    outcomes = set()
    for _ in range(500):
        damaged = bytearray(image)
        damaged[chance.choice(places)] ^= chance.randint(1, 255)
        outcomes.add(outcome(bytes(damaged)))

    # A few fields of a code directory are in no hash of an ad-hoc signature, and mean nothing here.
    assert outcomes == {"read", "ImageFormatError", "NotAnImageError", "UnsignedImageError"}


@given(st.binary(max_size=200), st.integers(0, SIGNATURE + 16))
def test_no_bytes_escape_our_errors(noise: bytes, at: int) -> None:
    image = bytearray(macho_program(signature=True))
    image[at : at + len(noise)] = noise

    assert outcome(bytes(image)) in {"read", "ImageFormatError", "NotAnImageError", "UnsignedImageError"}


@given(st.binary(min_size=1, max_size=80), st.integers(0, 403))
def test_no_bytes_of_a_signature_escape_our_errors(noise: bytes, at: int) -> None:
    image = bytearray(macho_program(signature=True))
    start = len(image) - 404
    image[start + at : start + at + len(noise)] = noise[: 404 - at]

    assert outcome(bytes(image)) in {"read", "ImageFormatError"}


def test_structures_have_the_sizes_of_the_specification() -> None:
    assert MachHeader.STRUCT.size == MachHeader.SIZE == 32
    assert Section64.STRUCT.size == Section64.SIZE == 80
    assert [8 + kind.STRUCT.size for kind in (Segment64, EntryPoint, ThreadState, BuildVersion)] == [72, 24, 16, 24]


def test_a_program_is_its_commands() -> None:
    libraries = (named(0xC, "/usr/lib/libSystem.B.dylib", 3), named(0x80000018, "/usr/lib/libweak.dylib", 3))
    macho = read_macho(macho_program(ARM64, build_version(), *libraries))

    assert [segment.name for segment in macho.segments] == [b"__PAGEZERO", b"__TEXT", b"__DATA", b"__LINKEDIT"]
    (section,) = macho.segments[1].sections
    assert (section.sectname.rstrip(b"\0"), section.offset, section.is_in_file) == (b"__text", 0x400, True)
    assert section.pack() == macho.segments[1].tail
    assert macho.of_kind(EntryPoint)[0].entryoff == 0x400
    assert (macho.dylinker, macho.dylibs) == ("/usr/lib/dyld", ("/usr/lib/libSystem.B.dylib",))
    assert macho.weak_dylibs == ("/usr/lib/libweak.dylib",)
    assert (macho.is_dynamic, macho.page_size, macho.code_signature) == (True, 0x4000, None)
    assert [at for at, _ in macho.with_offsets(Segment64)] == [32, TEXT, DATA, LINKEDIT]


def test_a_program_without_dyld_is_its_commands() -> None:
    macho = read_macho(static_macho())

    assert (macho.is_dynamic, macho.dylinker, macho.platform, macho.page_size) == (False, None, None, 0x1000)
    assert macho.of_kind(ThreadState)[0].register(16) == 0x400000


@pytest.mark.parametrize(
    ("commands", "platform"),
    [
        ([build_version()], MachPlatform.MACOS),
        ([build_version(2)], MachPlatform.IOS),
        ([version_min(0x24)], MachPlatform.MACOS),
        ([version_min(0x25)], MachPlatform.IOS),
        ([version_min(0x2F)], MachPlatform.TVOS),
        ([version_min(0x30)], MachPlatform.WATCHOS),
        ([command(0x2A, bytes(8))], None),
    ],
    ids=["new", "new iOS", "old", "old iOS", "old tvOS", "old watchOS", "none"],
)
def test_the_platform_is_that_of_the_linker(commands: list[bytes], platform: MachPlatform | None) -> None:
    assert read_macho(macho_program(ARM64, *commands)).platform == platform


def test_an_empty_program_has_no_entry() -> None:
    zero, text = segment("__PAGEZERO", (0, 1 << 32), (0, 0), 0), segment("__TEXT", (1 << 32, 0x4000), (0, 0x4000), 5)
    image = macho_with(ARM64, [zero, text], 0x4000)

    with pytest.raises(ImageFormatError, match="neither it nor LC_UNIXTHREAD"):
        read_macho(image)
    assert Segment64.unpack(Cursor(image[32:104], 32)).pack() == zero
    assert LoadCommand(0x1B, b"12345678").pack() == command(0x1B, b"12345678")
