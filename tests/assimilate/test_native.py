"""From a file's bytes to those that make it native, and back."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.format.prologue import HEAD_SIZE, Magic, parse_prologue
from assimilate.errors import AlreadyError, AssimilateError, ForeignFileError, NoBackupError
from assimilate.identify import Identity, Kind, identify
from assimilate.native import Patch, to_ape, to_native
from runtime.image.elf import read_elf, read_elf_header
from runtime.platforms import PLATFORMS, Launch, Platform, platform_named
from tests.builders.ape import foreign_ape, linked, small_ape, small_program
from tests.builders.elf import AARCH64, exit_program, note, with_field, with_notes
from tests.builders.genuine import genuine_ape
from tests.builders.macho import static_macho
from tests.builders.pe import pe_program

if TYPE_CHECKING:
    from collections.abc import Callable

AMD64 = platform_named("linux-amd64")
ARM64 = platform_named("linux-arm64")
WINDOWS = platform_named("windows-amd64")
UNPACKED = [platform for platform in PLATFORMS if platform.launch == Launch.UNPACKED]
EVERY = tuple(platform.name for platform in PLATFORMS)


def patch_of(data: bytes, target: Platform = AMD64, *, keep_osabi: bool = False) -> Patch:
    return to_native(data, target, keep_osabi=keep_osabi)


@pytest.mark.needs_compiler
@pytest.mark.parametrize("magic", [Magic.MZ, Magic.NO_WINDOWS])
@pytest.mark.parametrize("target", [AMD64, ARM64], ids=lambda target: target.name)
def test_ours_becomes_a_sound_elf_and_comes_back(magic: Magic, target: Platform) -> None:
    data = linked(magic)
    patch = patch_of(data, target)
    native = patch.new + data[HEAD_SIZE:]

    assert (patch.old, len(patch.new)) == (data[:HEAD_SIZE], HEAD_SIZE)
    assert read_elf_header(native).osabi == 0
    assert read_elf(native).loads
    assert to_ape(native, None) == Patch(patch.new, patch.old)


@pytest.mark.needs_compiler
def test_osabi_is_kept_on_request() -> None:
    assert read_elf_header(patch_of(linked(), keep_osabi=True).new).osabi == 9


@pytest.mark.parametrize("magic", [b"MZqFpD='", b"jartsr='", b"APEDBG='"])
def test_other_makers_files(magic: bytes) -> None:
    data = foreign_ape(exit_program(), magic=magic)
    patch = patch_of(data)

    assert read_elf_header(patch.new).phoff == 0xB48
    assert to_ape(patch.new + data[HEAD_SIZE:], data[:HEAD_SIZE]).new == data[:HEAD_SIZE]


@pytest.mark.needs_compiler
@pytest.mark.parametrize("target", UNPACKED, ids=lambda target: target.name)
def test_a_complete_program_is_copied_as_it_is(target: Platform) -> None:
    data = small_ape(*EVERY)
    program = small_program(target.name)

    patch = patch_of(data, target)

    assert patch == Patch(data[: len(program)], program)
    assert identify(patch.new + data[len(program) :]) == Identity(
        Kind(target.image_format.value), (target.name,), keeps_head=False
    )
    with pytest.raises(AlreadyError, match=f"already an? .* program for {target.name}"):
        patch_of(program, target)
    with pytest.raises(ForeignFileError, match="no program for"):
        patch_of(linked(), target)


EXAMINED: dict[str, tuple[Callable[[], bytes], Identity]] = {
    "ours": (linked, Identity(Kind.APE, ("linux-amd64", "linux-arm64"), keeps_head=True)),
    "ours made native": (
        lambda: patch_of(linked()).new + linked()[64:],
        Identity(Kind.ELF, ("linux-amd64",), keeps_head=True),
    ),
    "with -b": (
        lambda: patch_of(linked(), keep_osabi=True).new + linked()[64:],
        Identity(Kind.ELF, ("linux-amd64",), keeps_head=True),
    ),
    "another maker's": (
        lambda: foreign_ape(exit_program(AARCH64)),
        Identity(Kind.APE, ("linux-arm64",), keeps_head=False),
    ),
    "native": (exit_program, Identity(Kind.ELF, ("linux-amd64",), keeps_head=False)),
    "another maker's made native": (
        lambda: with_notes(exit_program(), note("NetBSD") + note("OpenBSD")),
        Identity(Kind.ELF, ("linux-amd64",), keeps_head=False),
    ),
    "another machine": (
        lambda: with_field(exit_program(), "e_machine", 243),
        Identity(Kind.ELF, (), keeps_head=False),
    ),
    "Mach-O": (static_macho, Identity(Kind.MACHO, ("macos-amd64",), keeps_head=False)),
    "PE": (pe_program, Identity(Kind.PE, ("windows-amd64",), keeps_head=False)),
    "no program": (lambda: b"MZqFpD='\n", Identity(Kind.APE, (), keeps_head=False)),
}


@pytest.mark.needs_compiler
@pytest.mark.parametrize(("make", "identity"), EXAMINED.values(), ids=EXAMINED)
def test_identify(make: Callable[[], bytes], identity: Identity) -> None:
    assert identify(make()) == identity


def with_header(data: bytes, name: str, value: int) -> bytes:
    """Our APE with a field of its x86_64 printf header changed."""
    old = patch_of(data, keep_osabi=True).new
    octal = "".join(f"\\{byte:03o}" for byte in old[16:])
    new = "".join(f"\\{byte:03o}" for byte in with_field(old, name, value)[16:])
    changed = data.replace(octal.encode(), new.encode())
    assert changed != data
    return changed


REFUSED: dict[str, tuple[Callable[[], bytes], type[Exception], str]] = {
    "empty": (lambda: b"", ForeignFileError, "not an APE"),
    "text": (lambda: b"#!/bin/sh\n", ForeignFileError, "not an APE"),
    "native": (exit_program, AlreadyError, "already an ELF program for linux-amd64"),
    "native for another machine": (lambda: exit_program(AARCH64), ForeignFileError, "for linux-arm64, not an APE"),
    "native for another system": (lambda: small_program("netbsd-amd64"), ForeignFileError, "program for netbsd-amd64"),
    "a program of Windows": (pe_program, ForeignFileError, "a PE program for windows-amd64, not an APE"),
    "a damaged program of Windows": (lambda: pe_program()[:300], ForeignFileError, "at offset"),
    "32-bit": (lambda: with_field(exit_program(), "ei_class", 1), ForeignFileError, "EI_CLASS"),
    "no program for it": (lambda: foreign_ape(exit_program(AARCH64)), ForeignFileError, "no program for x86_64"),
    "cut off before the program headers": (lambda: linked()[:0x10000], ForeignFileError, "is it complete"),
    "cut off in the program headers": (lambda: linked()[:0x10050], ForeignFileError, "is it complete"),
    "cut off in the image": (lambda: linked()[:0x18000], ForeignFileError, "p_offset"),
    "cut off in the script": (lambda: linked()[:300], ForeignFileError, "no program for x86_64"),
    "e_phoff elsewhere": (lambda: with_header(linked(), "e_phoff", 1 << 60), ForeignFileError, "is it complete"),
    "e_phnum 0": (lambda: with_header(linked(), "e_phnum", 0), ForeignFileError, "0 program headers"),
    "e_entry outside": (lambda: with_header(linked(), "e_entry", 64), ForeignFileError, "e_entry"),
    "e_phentsize": (lambda: with_header(linked(), "e_phentsize", 32), ForeignFileError, "no program for x86_64"),
    "the image is something else": (
        lambda: linked()[:0x10040] + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 9, 8, 0) + linked()[0x10078:],
        ForeignFileError,
        "p_filesz",
    ),
}  # fmt: skip  # one row, one line


@pytest.mark.needs_compiler
@pytest.mark.parametrize(("make", "error", "word"), REFUSED.values(), ids=REFUSED)
def test_refusals(make: Callable[[], bytes], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        patch_of(make())


@pytest.mark.needs_compiler
def test_what_is_an_ape_needs_no_restoring() -> None:
    with pytest.raises(AlreadyError):
        to_ape(linked(), None)


@pytest.mark.parametrize(
    "backup", [None, b"", b"MZqFpD='\n", exit_program()[:64], bytes(64), b"MZqFpD='".ljust(65)],
    ids=["none", "empty", "short", "an ELF header", "zeros", "long"],
)  # fmt: skip  # the values in one line
def test_a_program_without_an_undo_record_is_unchanged(backup: bytes | None) -> None:
    with pytest.raises(NoBackupError):
        to_ape(exit_program(), backup)


@pytest.mark.needs_compiler
@pytest.mark.parametrize(
    ("data", "error"),
    [(b"text", ForeignFileError), (small_program("macos-arm64"), NoBackupError), (static_macho(), NoBackupError)],
    ids=["text", "Mach-O", "static Mach-O"],
)
def test_64_bytes_are_those_of_an_elf_header(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        to_ape(data, linked()[:64])


def test_a_damaged_complete_program_is_refused() -> None:
    data = bytearray(small_ape(*EVERY))
    (image,) = (image for image in parse_prologue(bytes(data)).unpacked if image.platform == "freebsd-amd64")
    data[image.stored_end - 100] ^= 1

    for bad in (bytes(data), bytes(data[: image.stored_end - 1])):
        with pytest.raises(ForeignFileError, match="program for freebsd-amd64 at"):
            patch_of(bad, platform_named("freebsd-amd64"))
    assert patch_of(bytes(data), AMD64).new


def test_a_program_of_another_platform_than_the_script_says_is_refused() -> None:
    data = small_ape("freebsd-amd64").replace(b'"FreeBSD amd64")', b'"OpenBSD amd64")')
    with pytest.raises(ForeignFileError, match="program for openbsd-amd64 is one for freebsd-amd64"):
        patch_of(data, platform_named("openbsd-amd64"))


@pytest.mark.needs_compiler
def test_every_prefix_is_refused() -> None:
    data = linked()
    for size in [*range(0, 9000, 61), *range(9000, len(data) // 2, 9973)]:
        with pytest.raises(AssimilateError):
            patch_of(data[:size])


@pytest.fixture(scope="module")
def with_windows() -> bytes:
    return small_ape("linux-amd64", "windows-amd64")


class TestWindows:
    def test_an_ape_is_a_windows_program_as_it_is(self, with_windows: bytes) -> None:
        assert identify(with_windows) == Identity(Kind.APE, ("linux-amd64", "windows-amd64"), keeps_head=True)
        with pytest.raises(AlreadyError, match="PE program for windows-amd64"):
            patch_of(with_windows, WINDOWS)

    @pytest.mark.needs_compiler
    def test_or_never(self) -> None:
        for data in (linked(), linked(Magic.NO_WINDOWS), foreign_ape(exit_program())):
            with pytest.raises(ForeignFileError, match="no program for windows-amd64"):
                patch_of(data, WINDOWS)

    def test_a_plain_program_is_one_already(self) -> None:
        with pytest.raises(AlreadyError, match="already a PE program"):
            patch_of(pe_program(), WINDOWS)

    def test_and_again_after_it_was_an_elf_program(self, with_windows: bytes) -> None:
        native = patch_of(with_windows).new + with_windows[HEAD_SIZE:]
        with pytest.raises(ForeignFileError, match="--restore"):
            patch_of(native, WINDOWS)

        assert to_ape(native, None).new + native[HEAD_SIZE:] == with_windows


@given(st.integers(0, 0x12000), st.binary(min_size=1, max_size=200), st.sampled_from(PLATFORMS))
def test_no_bytes_escape_our_errors(at: int, noise: bytes, target: Platform) -> None:
    for whole in (small_ape(*EVERY), genuine_ape("2024-02"), small_program(target.name)):
        data = whole[:at] + noise + whole[at + len(noise) :]
        with contextlib.suppress(AssimilateError):
            to_native(data, target, keep_osabi=False)
        with contextlib.suppress(AssimilateError):
            to_ape(data, None)
