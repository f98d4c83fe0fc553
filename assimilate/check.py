"""The check of a file: its programs for each platform, and their completeness (--check)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from apepack.errors import ApepackError, LayoutError
from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, parse_prologue
from assimilate.copies import reading
from assimilate.errors import AssimilateError, InterruptedConversionError, adding_path
from assimilate.identify import MACOS_AMD64, Kind, foreign_macho, identify
from assimilate.lief_oracle import READERS, load_lief, verify_with_lief
from assimilate.native import check_program, to_native, unpack_program
from assimilate.target import WINDOWS
from assimilate.view import file_view
from runtime.errors import RuntimePackageError
from runtime.image import linux_platform_name, read_image
from runtime.image.code_signature import check_code_signature
from runtime.image.elf import ELF_MAGIC, Elf, ElfHeader
from runtime.image.errors import UnsignedImageError
from runtime.image.mach_header import CpuType
from runtime.image.macho import Macho, read_macho
from runtime.image.pe import LFANEW_OFFSET, Pe, read_pe
from runtime.image.unpacking import unpacking_faults
from runtime.platforms import ImageFormat
from zipalign.errors import NotAnArchiveError, ZipFormatError
from zipalign.reader import read_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apepack.format.prologue import PrintfStatement
    from apepack.format.unpacked import UnpackedImage
    from assimilate.identify import Identity
    from runtime.platforms import Platform

__all__ = ["Form", "Program", "Report", "check"]


class Form(StrEnum):
    """The form of a program in the file."""

    MAPPED = "mapped"  # at its place, by the ELF header in a printf statement
    PE = "pe"  # the file itself
    UNPACKED = "unpacked"  # compressed
    HEADER = "header"  # a Mach-O header copied by a dd statement, for the program of the ELF header
    NATIVE = "native"  # at the start of the file


@dataclass(frozen=True, slots=True)
class Program:
    """A program in a file. Offsets and sizes are in bytes."""

    platform: str
    form: Form
    offset: int
    size: int  # in the file
    unpacked_size: int | None = None
    signature: str | None = None  # of a macOS program: ad-hoc, certificate or none
    fault: str | None = None  # the reason for which it cannot run


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    path: Path
    kind: Kind
    programs: tuple[Program, ...]
    keeps_head: bool
    members: int | None  # of its archive; None without one
    faults: tuple[str, ...]  # of the file, not of one program

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults and not any(program.fault for program in self.programs)


def check(path: Path, target: Platform | None = None, *, verified: bool = False) -> Report:
    """Check a file and all its programs.

    Args:
        path: the file.
        target: a platform for which it must contain a program.
        verified: compare with LIEF, too.

    Raises:
        AssimilateError: it is neither an APE nor a native program, or LIEF is not installed.
        OSError: it cannot be read.
    """
    with reading(path), adding_path(path):
        if verified:
            load_lief()
        data = file_view(path)
        identity = identify(data)
        programs = tuple(_programs(path, data, identity, verified=verified))
        faults = []
        if identity.kind == Kind.INTERRUPTED:
            faults.append(str(InterruptedConversionError(identity.names)))
        elif target is not None and target.name not in {program.platform for program in programs}:
            faults += _missing(data, target)
    members = None
    try:
        members = len(read_archive(path).entries)
    except NotAnArchiveError:
        pass
    except ZipFormatError as error:
        faults.append(f"its archive is damaged: {error}")
    return Report(path, identity.kind, programs, identity.keeps_head, members, tuple(faults))


def _programs(path: Path, data: memoryview, identity: Identity, *, verified: bool) -> Iterator[Program]:
    if identity.kind == Kind.INTERRUPTED:
        return
    if identity.kind != Kind.APE:
        yield _native(data, identity, verified=verified)
        return
    window = bytes(data[:SCAN_SIZE])
    prologue = parse_prologue(window)
    seen = set()
    for statement in prologue.statements:
        if statement.header.machine not in seen:  # loaders use the first for a machine
            seen.add(statement.header.machine)
            yield _mapped(data, statement, verified=verified)
    if WINDOWS in identity.platforms:
        yield _windows(data, verified=verified)
    for image in prologue.unpacked:
        yield _unpacked(data, image, verified=verified)
    yield from _foreign_macho(path, data, verified=verified)


def _missing(data: memoryview, target: Platform) -> list[str]:
    """Return why there is no program for TARGET; Cosmopolitan's programs may run on more platforms than are listed."""
    try:
        to_native(data, target, keep_osabi=False)
    except AssimilateError as error:
        return [str(error)]
    return []


def _inspected(blank: Program, work: Callable[[], Program]) -> Program:
    """Return the result of WORK, or BLANK with the error as its fault."""
    try:
        return work()
    except (ApepackError, AssimilateError, RuntimePackageError) as error:
        return replace(blank, fault=str(error))


def _mapped(data: memoryview, statement: PrintfStatement, *, verified: bool) -> Program:
    header = statement.header
    blank = Program(linux_platform_name(header.machine) or f"e_machine {header.machine}", Form.MAPPED, header.phoff, 0)

    def work() -> Program:
        elf = check_program(header, data)
        if verified:
            verify_with_lief(header.pack() + bytes(data[HEAD_SIZE : elf.file_end]), ImageFormat.ELF)
        offset = _image_offset(elf, data)
        return replace(blank, offset=offset, size=elf.file_end - offset)

    return _inspected(blank, work)


def _image_offset(elf: Elf, data: memoryview) -> int:
    """Return the start of a mapped program; in our dialect, that of its own ELF header, to which no offset points."""
    own_header = elf.header.phoff - ElfHeader.SIZE
    if own_header > 0 and bytes(data[own_header : own_header + 4]) == ELF_MAGIC:
        return own_header
    return min(load.offset for load in elf.loads)


def _windows(data: memoryview, *, verified: bool) -> Program:
    blank = Program(WINDOWS, Form.PE, int.from_bytes(data[LFANEW_OFFSET:HEAD_SIZE], "little"), 0)

    def work() -> Program:
        pe = read_pe(data)
        if verified:
            verify_with_lief(data, ImageFormat.PE)
        offset = min(section.pointer_to_raw_data for section in pe.sections if section.size_of_raw_data)
        return replace(blank, offset=offset, size=pe.file_end - offset)

    return _inspected(blank, work)


def _unpacked(data: memoryview, image: UnpackedImage, *, verified: bool) -> Program:
    blank = Program(image.platform, Form.UNPACKED, image.offset, image.stored_size, image.size)

    def work() -> Program:
        program = unpack_program(data, image)
        native = read_image(program)
        if verified:
            verify_with_lief(program, native.platform.image_format)
        faults = tuple(unpacking_faults(native, program))
        return replace(_signed(blank, program, native.headers), fault="; ".join(faults) or None)

    return _inspected(blank, work)


def _foreign_macho(path: Path, data: memoryview, *, verified: bool) -> Iterator[Program]:
    """Check the program with the Mach-O header of a dd statement."""
    blank = Program(MACOS_AMD64, Form.HEADER, 0, 0)
    try:
        found = foreign_macho(data)
    except LayoutError as error:
        yield replace(blank, fault=str(error))
        return
    if found is None:
        return

    def work() -> Program:
        result = file_view(path, bytes(data[found.offset : found.offset + found.size]))
        read_macho(result)
        if verified:
            verify_with_lief(result, ImageFormat.MACHO)
        return replace(blank, offset=found.offset, size=found.size)

    yield _inspected(replace(blank, offset=found.offset), work)


def _native(data: memoryview, identity: Identity, *, verified: bool) -> Program:
    blank = Program(identity.names, Form.NATIVE, 0, 0)

    def work() -> Program:
        headers = READERS[ImageFormat(identity.kind.value)](data)
        if verified:
            verify_with_lief(data, ImageFormat(identity.kind.value))
        return _signed(replace(blank, size=headers.file_end), data, headers)

    return _inspected(blank, work)


def _signed(program: Program, data: bytes | memoryview, headers: Elf | Pe | Macho) -> Program:
    """Return PROGRAM with the kind of its signature, if it is one for macOS.

    Raises:
        ImageFormatError: the signature is damaged, or that of another program.
    """
    if not isinstance(headers, Macho):
        return program
    try:
        signature = check_code_signature(data, headers)
    except UnsignedImageError as error:
        fault = str(error) if headers.header.cputype == CpuType.ARM64 else None  # macOS kills such programs
        return replace(program, signature="none", fault=fault)
    return replace(program, signature="ad-hoc" if signature.is_adhoc else "certificate")
