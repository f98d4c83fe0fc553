"""Mach-O, 64-bit, little-endian and thin: the fields of macOS programs that starting and signing them needs.

Specification: Apple's <mach-o/loader.h>, and the checks of its kernel (XNU, bsd/kern/mach_loader.c), with their names.
Programs started by dyld and static programs are read. Libraries, object files, 32-bit, big-endian and fat files are
refused; symbols and fix-ups are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, TypeVar

from runtime.image.errors import ImageFormatError
from runtime.image.load_commands import (
    LINKEDIT,
    BuildVersion,
    Cmd,
    EntryPoint,
    LinkeditData,
    LoadCommand,
    NameReference,
    Segment64,
    ThreadState,
    VersionMin,
    read_command,
)
from runtime.image.mach_header import MACHINES, MachHeader, read_mach_header
from zipalign.alignment import align_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MachPlatform", "Macho", "read_macho"]

_COMMANDS_SIZE_MAX: Final = 1 << 16  # twice the limit of older versions of dyld
_ADDRESS_END: Final = 1 << 64


class MachPlatform(IntEnum):
    """Platform of LC_BUILD_VERSION."""

    MACOS = 1
    IOS = 2
    TVOS = 3
    WATCHOS = 4


_PLATFORMS: Final[dict[int, MachPlatform]] = {
    Cmd.VERSION_MIN_MACOSX: MachPlatform.MACOS,
    Cmd.VERSION_MIN_IPHONEOS: MachPlatform.IOS,
    Cmd.VERSION_MIN_TVOS: MachPlatform.TVOS,
    Cmd.VERSION_MIN_WATCHOS: MachPlatform.WATCHOS,
}


_Kind = TypeVar("_Kind", bound=LoadCommand)


@dataclass(frozen=True, slots=True)
class Macho:
    """The header and the load commands of a macOS program."""

    header: MachHeader
    commands: tuple[LoadCommand, ...]

    def of_kind(self, kind: type[_Kind]) -> tuple[_Kind, ...]:
        """Return the load commands of one kind."""
        return tuple(command for command in self.commands if isinstance(command, kind))

    @property
    def segments(self) -> tuple[Segment64, ...]:
        """The segments, in the order of their commands."""
        return self.of_kind(Segment64)

    @property
    def page_size(self) -> int:
        """The size of the machine's pages."""
        return MACHINES[self.header.cputype].page_size

    @property
    def code_signature(self) -> LinkeditData | None:
        """The place of the code signature, if there is one."""
        return next(iter(self.of_kind(LinkeditData)), None)

    @property
    def platform(self) -> int | None:
        """The platform of the build; None in old programs, and in static ones."""
        for build in self.of_kind(BuildVersion):
            return build.platform
        for minimum in self.of_kind(VersionMin):
            return _PLATFORMS[minimum.cmd]
        return None

    @property
    def is_dynamic(self) -> bool:
        """Return whether dyld starts it, and not the kernel alone."""
        return bool(self.of_kind(EntryPoint))

    @property
    def dylinker(self) -> str | None:
        """The path of the dynamic linker, if there is one."""
        return next((one.name for one in self.of_kind(NameReference) if one.cmd == Cmd.LOAD_DYLINKER), None)

    @property
    def dylibs(self) -> tuple[str, ...]:
        """The paths of the libraries that it needs to start."""
        return self._names(Cmd.LOAD_DYLIB)

    @property
    def weak_dylibs(self) -> tuple[str, ...]:
        """The paths of the libraries that it starts without."""
        return self._names(Cmd.LOAD_WEAK_DYLIB)

    def _names(self, cmd: Cmd) -> tuple[str, ...]:
        return tuple(one.name for one in self.of_kind(NameReference) if one.cmd == cmd)

    @property
    def commands_end(self) -> int:
        """The end of the load commands in the file."""
        return MachHeader.SIZE + self.header.sizeofcmds

    @property
    def file_end(self) -> int:
        """The end of the program in the file, including its signature."""
        return max([self.commands_end, *(segment.file_end for segment in self.segments)])

    def with_offsets(self, kind: type[_Kind]) -> Iterator[tuple[int, _Kind]]:
        """Yield the load commands of one kind, each after its offset in the file."""
        offsets = accumulate((command.size for command in self.commands), initial=MachHeader.SIZE)
        for at, command in zip(offsets, self.commands, strict=False):  # the last offset is the end of all
            if isinstance(command, kind):
                yield at, command

    def pack(self) -> bytes:
        """Return header and load commands."""
        return self.header.pack() + b"".join(command.pack() for command in self.commands)


def read_macho(data: bytes | memoryview) -> Macho:
    """Read and check header and load commands of the macOS program DATA. Bytes after the program are allowed.

    Raises:
        NotAnImageError: DATA is not a Mach-O file.
        ImageFormatError: it is damaged, or of an unsupported variety.
    """
    header = read_mach_header(data)
    macho = Macho(header, tuple(_read_commands(data, header)))
    _check_segments(macho, len(data))
    _check_apart(macho)
    _check_header_segment(macho)
    _check_entry(macho)
    _check_linkedit(macho)
    versions = [*macho.with_offsets(BuildVersion), *macho.with_offsets(VersionMin)]
    for name, found in (("LC_BUILD_VERSION", versions), ("LC_CODE_SIGNATURE", list(macho.with_offsets(LinkeditData)))):
        if len(found) > 1:
            raise ImageFormatError(
                "there are several, expected one at most", field=name, offset=max(at for at, _ in found)
            )
    return macho


def _read_commands(data: bytes | memoryview, header: MachHeader) -> Iterator[LoadCommand]:
    at, end = MachHeader.SIZE, MachHeader.SIZE + header.sizeofcmds
    if end > len(data):
        raise header.error(f"the load commands end at {end:#x}, the file at {len(data):#x}", "sizeofcmds", 0)
    if header.sizeofcmds > _COMMANDS_SIZE_MAX:
        raise header.error(f"got {header.sizeofcmds}, at most {_COMMANDS_SIZE_MAX} is supported", "sizeofcmds", 0)
    for _ in range(header.ncmds):
        command = read_command(data, at, end)
        yield command
        at += command.size
    if at != end:
        raise header.error(f"{header.ncmds} load commands end at {at:#x}, expected {end:#x}", "sizeofcmds", 0)


def _check_segments(macho: Macho, file_size: int) -> None:
    for at, segment in macho.with_offsets(Segment64):
        if segment.file_end > file_size:
            raise segment.error(f"the segment ends at {segment.file_end:#x}, the file at {file_size:#x}", "fileoff", at)
        if segment.filesize > segment.vmsize:
            raise segment.error(f"got {segment.filesize:#x}, more than vmsize {segment.vmsize:#x}", "filesize", at)
        if segment.memory_end > _ADDRESS_END:
            raise segment.error(f"the segment wraps around at {segment.vmaddr:#x}", "vmaddr", at)
        if segment.vmaddr % macho.page_size:
            raise segment.error(f"got {segment.vmaddr:#x}, no multiple of {macho.page_size}", "vmaddr", at)
        if segment.fileoff % macho.page_size:
            raise segment.error(f"got {segment.fileoff:#x}, no multiple of {macho.page_size}", "fileoff", at)


def _check_apart(macho: Macho) -> None:
    """Check that segments do not overlap in memory, as the kernel demands, nor in the file, as dyld does."""
    placed = list(macho.with_offsets(Segment64))
    in_memory = sorted((one.vmaddr, align_up(one.memory_end, macho.page_size), at) for at, one in placed if one.vmsize)
    in_file = sorted((one.fileoff, one.file_end, at) for at, one in placed if one.filesize)
    for ranges, field in ((in_memory, "vmaddr"), (in_file, "fileoff")):
        for before, after in pairwise(ranges):
            if after[0] < before[1]:
                raise Segment64.error(f"two segments overlap at {after[0]:#x}", field, after[2])


def _check_header_segment(macho: Macho) -> None:
    least = MACHINES[macho.header.cputype].page_zero_size
    if not any(segment.is_page_zero and segment.vmsize >= least for segment in macho.segments):
        raise ImageFormatError(
            f"no segment keeps the first {least:#x} bytes of memory from use",
            field="__PAGEZERO",
            offset=MachHeader.SIZE,
        )
    heads = [(at, segment) for at, segment in macho.with_offsets(Segment64) if segment.filesize and not segment.fileoff]
    if not heads:
        raise ImageFormatError("no segment begins with the file", field="fileoff", offset=MachHeader.SIZE)
    at, head = heads[0]
    if not head.is_executable:
        raise head.error("the segment that begins with the file is not executable", "initprot", at)
    room = min([head.file_end, *(section.offset for section in head.sections if section.is_in_file)])
    if macho.commands_end > room:
        raise macho.header.error(
            f"the load commands end at {macho.commands_end:#x}, they have room to {room:#x}", "sizeofcmds", 0
        )


def _check_entry(macho: Macho) -> None:
    entries: Sequence[tuple[int, LoadCommand]] = [*macho.with_offsets(EntryPoint), *macho.with_offsets(ThreadState)]
    if len(entries) != 1:
        what = (
            "there is both it and LC_UNIXTHREAD, or one twice" if entries else "there is neither it nor LC_UNIXTHREAD"
        )
        raise ImageFormatError(what, field="LC_MAIN", offset=max([MachHeader.SIZE, *(at for at, _ in entries)]))
    at, entry = entries[0]
    code = [segment for segment in macho.segments if segment.is_executable]
    if isinstance(entry, EntryPoint):
        if not any(segment.fileoff <= entry.entryoff < segment.file_end for segment in code):
            raise entry.error(f"{entry.entryoff:#x} is in no executable segment", "entryoff", at)
    elif isinstance(entry, ThreadState):
        machine = MACHINES[macho.header.cputype]
        if entry.flavor != machine.flavor:
            raise entry.error(f"got {entry.flavor}, expected {machine.flavor}", "flavor", at)
        if entry.count < 2 * (machine.program_counter_index + 1):
            raise entry.error(f"got {entry.count}, too few for the program counter", "count", at)
        program_counter = entry.register(machine.program_counter_index)
        if not any(segment.vmaddr <= program_counter < segment.memory_end for segment in code):
            raise ImageFormatError(
                f"{program_counter:#x} is in no executable segment",
                field=machine.program_counter,
                offset=at + entry.register_offset(machine.program_counter_index),
            )


def _check_linkedit(macho: Macho) -> None:
    """Check that the signature is the end of the program: it covers all bytes before it."""
    linkedits = [(at, segment) for at, segment in macho.with_offsets(Segment64) if segment.name == LINKEDIT]
    for at, linkedit in linkedits:
        if any(one.fileoff > linkedit.fileoff or one.vmaddr > linkedit.vmaddr for one in macho.segments):
            raise linkedit.error("__LINKEDIT is not the last segment", "segname", at)
    for at, signature in macho.with_offsets(LinkeditData):
        if not any(one.fileoff <= signature.dataoff and signature.file_end <= one.file_end for _, one in linkedits):
            raise signature.error(f"{signature.dataoff:#x}-{signature.file_end:#x} is not in __LINKEDIT", "dataoff", at)
        if signature.file_end != macho.file_end:
            raise signature.error(
                f"the signature ends at {signature.file_end:#x}, the program at {macho.file_end:#x}", "datasize", at
            )
