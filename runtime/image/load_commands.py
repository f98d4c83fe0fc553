"""The load commands of a Mach-O file: instructions for the kernel and dyld.

Specification: Apple's <mach-o/loader.h>, with its names. Other commands than those for starting and signing a program
(symbols, fix-ups, identifiers) are kept as bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self

from runtime.image.errors import ImageFormatError
from runtime.image.mach_header import MachHeader
from runtime.image.record import ImageRecord, cursor_at
from zipalign.record import U32, U64, Code

if TYPE_CHECKING:
    from zipalign.cursor import Cursor

__all__ = [
    "LINKEDIT",
    "BuildVersion",
    "Cmd",
    "EntryPoint",
    "LinkeditData",
    "LoadCommand",
    "NameReference",
    "Protection",
    "Section64",
    "Segment64",
    "ThreadState",
    "VersionMin",
    "read_command",
]

LINKEDIT: Final = b"__LINKEDIT"
_HEAD: Final = struct.Struct("<II")  # cmd and cmdsize, the first fields of every command
_CMDSIZE_OFFSET: Final = 4
_Name = Annotated[bytes, Code("16s")]


class Cmd(IntEnum):
    """cmd."""

    UNIXTHREAD = 0x5
    LOAD_DYLIB = 0xC
    LOAD_DYLINKER = 0xE
    SEGMENT_64 = 0x19
    CODE_SIGNATURE = 0x1D
    VERSION_MIN_MACOSX = 0x24
    VERSION_MIN_IPHONEOS = 0x25
    VERSION_MIN_TVOS = 0x2F
    VERSION_MIN_WATCHOS = 0x30
    BUILD_VERSION = 0x32
    LOAD_WEAK_DYLIB = 0x80000018
    MAIN = 0x80000028


class Protection(IntFlag):
    """maxprot and initprot."""

    R = 1
    W = 2
    X = 4


@dataclass(frozen=True, slots=True)
class LoadCommand(ImageRecord):
    """A load command: the fields of its kind behind cmd and cmdsize, if it is one of those below, and the rest."""

    NAME: ClassVar = "load command"

    cmd: int
    tail: bytes

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return name

    @classmethod
    def error(cls, message: str, name: str, at: int) -> ImageFormatError:
        """Return the error of the field NAME of the command at offset AT of the file."""
        return ImageFormatError(message, field=cls.field_name(name), offset=at + _HEAD.size + cls.OFFSETS[name])

    @property
    def size(self) -> int:
        """The command's size in bytes, its cmdsize."""
        return _HEAD.size + self.SIZE + len(self.tail)

    def pack(self) -> bytes:
        """Return the bytes of this command."""
        return _HEAD.pack(self.cmd, self.size) + ImageRecord.pack(self) + self.tail

    @classmethod
    def unpack(cls, cursor: Cursor) -> Self:
        """Read the command that takes all bytes of CURSOR.

        Raises:
            ImageFormatError: the command is too small for its kind, or contradicts itself.
        """
        at = cursor.offset
        cmd, cmdsize = cursor.unpack(_HEAD, "cmd")
        if cursor.remaining < cls.SIZE:
            reason = f"got {cmdsize}, expected {_HEAD.size + cls.SIZE} at least"
            raise ImageFormatError(reason, field="cmdsize", offset=at + _CMDSIZE_OFFSET)
        values = list(cls._take_values(cursor))
        command = cls(cmd, cursor.take(cursor.remaining, cls.NAME), *values)
        command._check_tail(at)
        return command

    def _check_tail(self, at: int) -> None:
        """Raise ImageFormatError when the fields of the command, at offset AT of the file, contradict its size."""


@dataclass(frozen=True, slots=True)
class Section64(ImageRecord):
    """A section_64; they follow the command of their segment."""

    NAME: ClassVar = "section_64"
    ZEROFILL: ClassVar = frozenset({0x1, 0xC, 0x12})  # types without bytes in the file

    sectname: _Name
    segname: _Name
    addr: U64
    size: U64
    offset: U32
    align: U32
    reloff: U32
    nreloc: U32
    flags: U32
    reserved1: U32
    reserved2: U32
    reserved3: U32

    @property
    def is_in_file(self) -> bool:
        """Return whether the section has bytes in the file."""
        return bool(self.size) and self.flags & 0xFF not in self.ZEROFILL


@dataclass(frozen=True, slots=True)
class Segment64(LoadCommand):
    """LC_SEGMENT_64: a mapped range of the file."""

    segname: _Name
    vmaddr: U64
    vmsize: U64
    fileoff: U64
    filesize: U64
    maxprot: U32
    initprot: U32
    nsects: U32
    flags: U32

    @property
    def name(self) -> bytes:
        """The name without its padding."""
        return self.segname.rstrip(b"\0")

    @property
    def sections(self) -> tuple[Section64, ...]:
        """The segment's sections."""
        return tuple(Section64.unpack(cursor_at(self.tail, at)) for at in range(0, len(self.tail), Section64.SIZE))

    @property
    def file_end(self) -> int:
        """The end of the segment in the file."""
        return self.fileoff + self.filesize

    @property
    def memory_end(self) -> int:
        """The end of the segment in memory."""
        return self.vmaddr + self.vmsize

    @property
    def is_executable(self) -> bool:
        """Return whether code can run in it; the kernel demands that it is readable, too."""
        return self.initprot & (Protection.R | Protection.X) == Protection.R | Protection.X

    @property
    def is_page_zero(self) -> bool:
        """Return whether it only reserves the addresses around the null pointer."""
        return not (self.vmaddr or self.filesize or self.maxprot or self.initprot) and self.vmsize > 0

    def _check_tail(self, at: int) -> None:
        if len(self.tail) != self.nsects * Section64.SIZE:
            room = f"the command has room for {len(self.tail) / Section64.SIZE:g}"
            raise self.error(f"got {self.nsects}, {room}", "nsects", at)


@dataclass(frozen=True, slots=True)
class EntryPoint(LoadCommand):
    """LC_MAIN: the entry point for dyld, relative to the header."""

    entryoff: U64
    stacksize: U64


@dataclass(frozen=True, slots=True)
class ThreadState(LoadCommand):
    """LC_UNIXTHREAD: the initial registers of a static program; the tail has their values."""

    flavor: U32
    count: U32  # of 32-bit words

    def register_offset(self, index: int) -> int:
        """Return the offset of the 64-bit register INDEX in the command."""
        return _HEAD.size + self.SIZE + 8 * index

    def register(self, index: int) -> int:
        """Return the 64-bit register INDEX, in the order of the flavor; the caller checked the count."""
        return int.from_bytes(self.tail[8 * index : 8 * index + 8], "little")

    def _check_tail(self, at: int) -> None:
        if self.count * 4 != len(self.tail):
            raise self.error(f"got {self.count}, expected {len(self.tail) // 4}", "count", at)


@dataclass(frozen=True, slots=True)
class BuildVersion(LoadCommand):
    """LC_BUILD_VERSION: the system of the build, and the oldest version that can run it."""

    platform: U32
    minos: U32  # X.Y.Z as 16, 8 and 8 bits
    sdk: U32
    ntools: U32


@dataclass(frozen=True, slots=True)
class VersionMin(LoadCommand):
    """LC_VERSION_MIN_…: the same, as linkers wrote it before 2018; the command names the system."""

    version: U32
    sdk: U32


@dataclass(frozen=True, slots=True)
class LinkeditData(LoadCommand):
    """LC_CODE_SIGNATURE: the place of the signature in __LINKEDIT."""

    dataoff: U32
    datasize: U32

    @property
    def file_end(self) -> int:
        """The end of the bytes in the file."""
        return self.dataoff + self.datasize


@dataclass(frozen=True, slots=True)
class NameReference(LoadCommand):
    """LC_LOAD_DYLINKER, LC_LOAD_DYLIB and LC_LOAD_WEAK_DYLIB: the path of a file that the program needs, or can use."""

    name_offset: U32  # from the command's start

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return "name" if name == "name_offset" else name

    @property
    def name(self) -> str:
        """The file's path."""
        start = self.name_offset - _HEAD.size - self.SIZE
        return self.tail[start : self.tail.index(b"\0", start)].decode(errors="replace")

    def _check_tail(self, at: int) -> None:
        start = self.name_offset - _HEAD.size - self.SIZE
        if start < 0 or b"\0" not in self.tail[start:]:
            raise self.error(
                f"got {self.name_offset}, where no name begins that ends in the command", "name_offset", at
            )


_KINDS: Final[dict[int, type[LoadCommand]]] = {
    Cmd.SEGMENT_64: Segment64,
    Cmd.MAIN: EntryPoint,
    Cmd.UNIXTHREAD: ThreadState,
    Cmd.BUILD_VERSION: BuildVersion,
    Cmd.VERSION_MIN_MACOSX: VersionMin,
    Cmd.VERSION_MIN_IPHONEOS: VersionMin,
    Cmd.VERSION_MIN_TVOS: VersionMin,
    Cmd.VERSION_MIN_WATCHOS: VersionMin,
    Cmd.CODE_SIGNATURE: LinkeditData,
    Cmd.LOAD_DYLINKER: NameReference,
    Cmd.LOAD_DYLIB: NameReference,
    Cmd.LOAD_WEAK_DYLIB: NameReference,
}


def read_command(data: bytes | memoryview, at: int, end: int) -> LoadCommand:
    """Read the load command at offset AT of a file DATA whose load commands end at END.

    Raises:
        ImageFormatError: it is cut off, or has an invalid size.
    """
    if at + _HEAD.size > end:
        raise MachHeader.error(f"a command should be at {at:#x}, but sizeofcmds ends at {end:#x}", "ncmds", 0)
    cursor = cursor_at(memoryview(data)[:end], at)
    cmd, cmdsize = cursor.unpack(_HEAD, "cmd")
    if cmdsize < _HEAD.size or cmdsize % 8:
        reason = f"got {cmdsize}, expected a multiple of 8, not 0"
        raise ImageFormatError(reason, field="cmdsize", offset=at + _CMDSIZE_OFFSET)
    if at + cmdsize > end:
        reason = f"the command ends at {at + cmdsize:#x}, sizeofcmds at {end:#x}"
        raise ImageFormatError(reason, field="cmdsize", offset=at + _CMDSIZE_OFFSET)
    return _KINDS.get(cmd, LoadCommand).unpack(cursor_at(memoryview(data)[: at + cmdsize], at))
