"""From a file's first bytes to the change that makes it native, or an APE again: no file is touched here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from apepack.errors import ApepackError, NotAnApeError
from apepack.prologue import HEAD_SIZE, Magic, kept_head, parse_prologue
from assimilate.errors import AlreadyError, ForeignFileError, NoBackupError
from assimilate.target import WINDOWS, machine_of, platform_of
from runtime.image.elf import ELF_MAGIC, Elf, ElfHeader, OsAbi, read_segments
from runtime.image.errors import ImageFormatError
from runtime.image.pe import LFANEW_OFFSET, CoffHeader, PeMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.platforms import Platform

    Reader = Callable[[int, int], bytes]  # of so many bytes from an offset, fewer at the file's end

__all__ = ["KIND_APE", "KIND_ELF", "Patch", "Subject", "examine", "to_ape", "to_native"]

KIND_APE: Final = "ape"
KIND_ELF: Final = "elf"


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes at the start of a file, and what replaces them."""

    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """What a file is, by its first bytes."""

    kind: str  # KIND_APE or KIND_ELF
    platforms: tuple[str, ...]  # that it has programs for
    keeps_head: bool  # does it hold the bytes that becoming native overwrites?


def examine(window: bytes, read: Reader) -> Subject:
    """Say what the file is that begins with WINDOW, its first 8192 bytes, and whose other bytes READ returns.

    Raises:
        ForeignFileError: nothing that this package knows.
    """
    keeps = kept_head(window) is not None
    if window.startswith(ELF_MAGIC):
        name = platform_of(_native_header(window).machine)
        return Subject(KIND_ELF, (name,) if name else (), keeps)
    try:
        prologue = parse_prologue(window)
    except NotAnApeError as error:
        raise ForeignFileError(str(error)) from error
    names = [platform_of(statement.header.machine) for statement in prologue.statements]
    if prologue.magic == Magic.MZ and _is_windows_program(window, read):
        names.append(WINDOWS)
    return Subject(KIND_APE, tuple(dict.fromkeys(name for name in names if name)), keeps)


def to_native(window: bytes, size: int, read: Reader, target: Platform, *, keep_osabi: bool) -> Patch:
    """Return the change that makes a file the native program of TARGET.

    Args:
        window: the file's first 8192 bytes.
        size: the file's size.
        read: returns its bytes.
        target: the platform.
        keep_osabi: leave EI_OSABI as it stands in the APE, where only FreeBSD reads it.

    Raises:
        AlreadyError: it is one already.
        ForeignFileError: it has no program for TARGET, or a damaged one.
    """
    subject = examine(window, read)
    if subject.kind == KIND_ELF:
        if subject.platforms == (target.name,):
            raise AlreadyError(f"is already an ELF program for {target.name}")
        names = ", ".join(subject.platforms) or "another machine"
        raise ForeignFileError(f"is an ELF program for {names}, not an APE (--restore makes it one where it was one)")
    if target.name == WINDOWS:
        raise _windows_answer(subject)
    try:
        statement = parse_prologue(window).program(machine_of(target))
        _check_program(statement.header, size, read)
    except (ApepackError, ImageFormatError) as error:
        raise ForeignFileError(str(error)) from error
    header = statement.raw if keep_osabi else replace(statement.header, osabi=OsAbi.SYSV).pack()
    return Patch(window[:HEAD_SIZE], header)


def _windows_answer(subject: Subject) -> Exception:
    """Windows starts an APE as it is or never: there is nothing to change."""
    if WINDOWS in subject.platforms:
        return AlreadyError("is a PE program for windows-amd64 already, while it is an APE")
    return ForeignFileError("holds no program for windows-amd64 (give one to apepack)")


def to_ape(window: bytes, read: Reader, backup: bytes | None) -> Patch:
    """Return the change that makes a file the APE it was before; BACKUP is what was kept outside of it.

    Raises:
        AlreadyError: it is an APE.
        NoBackupError: nobody knows what its first bytes were.
    """
    if examine(window, read).kind == KIND_APE:
        raise AlreadyError("is an APE already")
    original = kept_head(window) or backup
    if original is None:
        raise NoBackupError("is an ELF program, and nothing is kept of what it was before")
    if len(original) != HEAD_SIZE or not any(original.startswith(magic.value) for magic in Magic):
        raise NoBackupError("what was kept of the first bytes is not the beginning of an APE")
    return Patch(window[:HEAD_SIZE], original)


def _native_header(window: bytes) -> ElfHeader:
    try:
        return ElfHeader.unpack(window)
    except ImageFormatError as error:
        raise ForeignFileError(str(error)) from error


def _is_windows_program(window: bytes, read: Reader) -> bool:
    offset = int.from_bytes(window[LFANEW_OFFSET:HEAD_SIZE], "little")
    coff = read(offset, CoffHeader.SIZE)
    return coff.startswith(b"PE\0\0" + PeMachine.AMD64.to_bytes(2, "little")) and len(coff) == CoffHeader.SIZE


def _check_program(header: ElfHeader, size: int, read: Reader) -> None:
    """Raise ImageFormatError unless HEADER leads to a complete program: a file may have been cut off."""
    table = read(header.phoff, header.phdrs_size) if header.phoff + header.phdrs_size <= size else b""
    if len(table) < header.phdrs_size or not header.phnum:
        raise ImageFormatError(
            f"{header.phnum} program headers at {header.phoff:#x} of a file of {size:#x} bytes: is it complete?",
            field="e_phoff",
            offset=32,
        )
    elf = Elf(header, read_segments(table, header.phoff, size))
    if not any(load.vaddr <= header.entry < load.memory_end for load in elf.loads):
        raise ImageFormatError(f"{header.entry:#x} is in no segment", field="e_entry", offset=24)
