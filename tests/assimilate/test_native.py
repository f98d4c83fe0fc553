"""From first bytes to the change that makes a file native, and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from apepack.link import link
from apepack.prologue import HEAD_SIZE, WINDOW_SIZE, Magic
from assimilate.errors import AlreadyError, ForeignFileError, NoBackupError
from assimilate.native import KIND_APE, KIND_ELF, Patch, Subject, examine, to_ape, to_native
from assimilate.target import target_named
from runtime.image.elf import ElfHeader, read_elf
from tests.builders.ape import foreign_ape, linked
from tests.builders.elf import AARCH64, exit_program, with_field
from tests.builders.pe import pe_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.platforms import Platform

AMD64 = target_named("linux-amd64")
ARM64 = target_named("linux-arm64")
WINDOWS = target_named("windows-amd64")


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: data[offset : offset + size]


def patch_of(data: bytes, target: Platform = AMD64, *, keep_osabi: bool = False) -> Patch:
    return to_native(
        data[:WINDOW_SIZE],
        len(data),
        reader(data),
        target,
        keep_osabi=keep_osabi,
    )


@pytest.mark.parametrize("magic", [Magic.MZ, Magic.NO_WINDOWS])
@pytest.mark.parametrize("target", [AMD64, ARM64], ids=lambda target: target.name)
def test_ours_becomes_a_sound_elf_and_comes_back(magic: Magic, target: Platform) -> None:
    data = linked(magic)
    patch = patch_of(data, target)
    native = patch.new + data[HEAD_SIZE:]

    assert (patch.old, len(patch.new)) == (data[:HEAD_SIZE], HEAD_SIZE)
    assert ElfHeader.unpack(native).osabi == 0
    assert read_elf(native).loads
    assert to_ape(native[:WINDOW_SIZE], reader(native), None) == Patch(patch.new, patch.old)


def test_osabi_is_kept_on_request() -> None:
    assert ElfHeader.unpack(patch_of(linked(), keep_osabi=True).new).osabi == 9


@pytest.mark.parametrize("magic", [b"MZqFpD='", b"jartsr='", b"APEDBG='"])
def test_other_makers_files(magic: bytes) -> None:
    data = foreign_ape(exit_program(), magic=magic)
    patch = patch_of(data)

    assert ElfHeader.unpack(patch.new).phoff == 0xB48
    assert to_ape(patch.new + data[HEAD_SIZE:WINDOW_SIZE], reader(data), data[:HEAD_SIZE]).new == data[:HEAD_SIZE]


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        (linked(), Subject(KIND_APE, ("linux-amd64", "linux-arm64"), keeps_head=True)),
        (exit_program()[:64] + linked()[64:], Subject(KIND_ELF, ("linux-amd64",), keeps_head=True)),
        (foreign_ape(exit_program(AARCH64)), Subject(KIND_APE, ("linux-arm64",), keeps_head=False)),
        (exit_program(), Subject(KIND_ELF, ("linux-amd64",), keeps_head=False)),
        (with_field(exit_program(), "e_machine", 243), Subject(KIND_ELF, (), keeps_head=False)),
        (b"MZqFpD='\n", Subject(KIND_APE, (), keeps_head=False)),
    ],
    ids=["ours", "ours made native", "another maker's", "native", "another machine", "no program"],
)
def test_examine(data: bytes, subject: Subject) -> None:
    assert examine(data[:WINDOW_SIZE], reader(data)) == subject


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


@pytest.mark.parametrize(("make", "error", "word"), REFUSED.values(), ids=REFUSED)
def test_refusals(make: Callable[[], bytes], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        patch_of(make())


def test_what_is_an_ape_needs_no_restoring() -> None:
    with pytest.raises(AlreadyError):
        to_ape(linked()[:WINDOW_SIZE], reader(linked()), None)


@pytest.mark.parametrize(
    "backup", [None, b"", b"MZqFpD='\n", exit_program()[:64], bytes(64), b"MZqFpD='".ljust(65)],
    ids=["none", "empty", "short", "an ELF header", "zeros", "long"],
)  # fmt: skip  # the values in one line
def test_a_program_of_which_nothing_is_kept_stays_what_it_is(backup: bytes | None) -> None:
    with pytest.raises(NoBackupError):
        to_ape(exit_program(), reader(exit_program()), backup)


def test_every_prefix_is_refused_or_sound() -> None:
    data = linked()
    for size in [*range(0, 9000, 61), *range(9000, len(data) // 2, 9973)]:
        with pytest.raises(ForeignFileError):
            patch_of(data[:size])


@pytest.fixture(scope="module")
def with_windows(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("windows")
    (folder / "linux").write_bytes(exit_program())
    (folder / "windows").write_bytes(pe_program())
    link([folder / "linux", folder / "windows"], folder / "ape")
    return (folder / "ape").read_bytes()


class TestWindows:
    def test_an_ape_is_a_windows_program_as_it_is(self, with_windows: bytes) -> None:
        assert examine(with_windows[:WINDOW_SIZE], reader(with_windows)) == Subject(
            KIND_APE, ("linux-amd64", "windows-amd64"), keeps_head=True
        )
        with pytest.raises(AlreadyError, match="PE program for windows-amd64"):
            patch_of(with_windows, WINDOWS)

    def test_or_never(self) -> None:
        for data in (linked(), linked(Magic.NO_WINDOWS), foreign_ape(exit_program())):
            with pytest.raises(ForeignFileError, match="no program for windows-amd64"):
                patch_of(data, WINDOWS)

    def test_and_again_after_it_was_an_elf_program(self, with_windows: bytes) -> None:
        native = patch_of(with_windows).new + with_windows[HEAD_SIZE:]
        with pytest.raises(ForeignFileError, match="--restore"):
            patch_of(native, WINDOWS)

        patch = to_ape(native[:WINDOW_SIZE], reader(native), None)

        assert patch.new + native[HEAD_SIZE:] == with_windows
