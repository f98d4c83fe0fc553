"""The patches that convert a file to a native program, or back to an APE; computed without I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from apepack.errors import ApepackError, LayoutError, NoProgramError
from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, Magic, original_head, parse_prologue
from apepack.format.unpacked import decompress_image
from assimilate.errors import AlreadyError, ForeignFileError, NoBackupError
from assimilate.identify import MACOS_AMD64, Kind, foreign_macho, identify
from assimilate.target import WINDOWS, machine_of
from runtime.image import read_image
from runtime.image.elf import ELF_MAGIC, Elf, ElfHeader, OsAbi, read_segments
from runtime.image.errors import ImageFormatError, NotAnImageError
from runtime.platforms import ImageFormat, Launch

if TYPE_CHECKING:
    from apepack.format.prologue import Prologue
    from apepack.format.unpacked import UnpackedImage
    from runtime.platforms import Platform

__all__ = ["Patch", "check_program", "to_ape", "to_native", "unpack_program"]


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes at the start of a file, and their replacement; `old` is shorter if the file is."""

    old: bytes
    new: bytes


def to_native(data: bytes | memoryview, target: Platform, *, keep_osabi: bool) -> Patch:
    """Return the patch that converts the file DATA to the native program of TARGET.

    Args:
        data: the file.
        target: the platform.
        keep_osabi: keep EI_OSABI of the APE, which only FreeBSD reads.

    Raises:
        AlreadyError: it is one already.
        ForeignFileError: it has no program for TARGET, or a damaged one.
    """
    identity = identify(data)
    if identity.kind == Kind.APE and target.name == WINDOWS:
        # For Windows, an APE is a program already or never.
        if WINDOWS in identity.platforms:
            raise AlreadyError("is a PE program for windows-amd64 already, while it is an APE")
        raise ForeignFileError("contains no program for windows-amd64 (give one to apepack)")
    if identity.kind != Kind.APE:
        if target.name in identity.platforms:
            raise AlreadyError(f"is already {identity.kind.words} for {target.name}")
        raise ForeignFileError(
            f"is {identity.kind.words} for {identity.names}, not an APE (--restore converts it back if it was one)"
        )
    try:
        new = _first_bytes(data, target, keep_osabi=keep_osabi)
    except ImageFormatError as error:
        raise ForeignFileError.damaged(error) from error
    except (ApepackError, NotAnImageError) as error:
        raise ForeignFileError(str(error)) from error
    return Patch(bytes(data[: len(new)]), new)


def _first_bytes(data: bytes | memoryview, target: Platform, *, keep_osabi: bool) -> bytes:
    window = bytes(data[:SCAN_SIZE])
    prologue = parse_prologue(window)
    unpacked = next((image for image in prologue.unpacked if image.platform == target.name), None)
    if unpacked is not None:
        return unpack_program(data, unpacked)
    ours = original_head(window) is not None
    if target.launch == Launch.MAPPED or (target.image_format == ImageFormat.ELF and not ours):
        # Cosmopolitan's programs run on all systems from one header; FreeBSD requires its EI_OSABI in it.
        keep_osabi = keep_osabi or target.name.startswith("freebsd")
        return _elf_header(data, prologue, target, keep_osabi=keep_osabi)
    header = foreign_macho(data) if target.name == MACOS_AMD64 else None
    if header is None:
        raise NoProgramError(target.name, identify(data).platforms)
    return bytes(data[header.offset : header.offset + header.size])


def unpack_program(data: bytes | memoryview, unpacked: UnpackedImage) -> bytes:
    """Return the decompressed program UNPACKED of the file DATA, if it is complete and for the platform in the script.

    Raises:
        LayoutError: the script describes another program.
        ImageError: it is a damaged program.
    """
    program = decompress_image(bytes(data[unpacked.offset : unpacked.stored_end]), unpacked)
    image = read_image(program)
    if image.platform.name != unpacked.platform:
        raise LayoutError(f"the program for {unpacked.platform} is one for {image.platform.name}")
    return program


def _elf_header(data: bytes | memoryview, prologue: Prologue, target: Platform, *, keep_osabi: bool) -> bytes:
    statement = prologue.program(machine_of(target))
    check_program(statement.header, data)
    return statement.raw if keep_osabi else replace(statement.header, osabi=OsAbi.SYSV).pack()


def check_program(header: ElfHeader, data: bytes | memoryview) -> Elf:
    """Return the program of HEADER in the file DATA.

    Raises:
        ImageFormatError: it is incomplete, for instance because the file is truncated.
    """
    table = data[header.phoff : header.phoff + header.phdrs_size]
    if len(table) < header.phdrs_size or not header.phnum:
        raise ImageFormatError(
            f"{header.phnum} program headers at {header.phoff:#x} of a file of {len(data):#x} bytes: is it complete?",
            field="e_phoff",
            offset=32,
        )
    elf = Elf(header, read_segments(table, header.phoff, len(data)))
    if not any(load.vaddr <= header.entry < load.memory_end for load in elf.loads):
        raise ImageFormatError(f"{header.entry:#x} is in no segment", field="e_entry", offset=24)
    return elf


def to_ape(data: bytes | memoryview, backup: bytes | None) -> Patch:
    """Return the patch that converts DATA, an ELF program by its first 64 bytes, back to the original APE.

    Args:
        data: the file.
        backup: the original bytes from a backup, if there is one.

    Raises:
        AlreadyError: it is an APE.
        ForeignFileError: it is neither an APE nor a program.
        NoBackupError: its original first bytes are unknown.
    """
    window = bytes(data[:SCAN_SIZE])
    if any(window.startswith(magic.value) for magic in Magic):
        raise AlreadyError("is an APE already")
    original = original_head(window) or backup
    if original is None or not window.startswith(ELF_MAGIC):
        raise NoBackupError(f"is {identify(data).kind.words}, and nothing is kept of what it was before")
    if len(original) != HEAD_SIZE or not any(original.startswith(magic.value) for magic in Magic):
        raise NoBackupError("the backup of the first bytes is not the beginning of an APE")
    return Patch(window[:HEAD_SIZE], original)
