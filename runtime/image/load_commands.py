"""The load commands of a Mach-O file: what its header tells the kernel and dyld to do.

Specification: Apple's <mach-o/loader.h>; names are its own. Commands that starting and signing a program do not depend
on (symbols, fix-ups, identifiers) are kept as bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import ClassVar, Final, Self

from runtime.image.errors import ImageFormatError

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
_HEAD: Final = struct.Struct("<II")  # cmd and cmdsize, with which every command begins


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
    MAIN = 0x80000028


class Protection(IntFlag):
    """maxprot and initprot."""

    R = 1
    W = 2
    X = 4


@dataclass(frozen=True, slots=True)
class LoadCommand:
    """A load command: the fields of its kind, if it is one of those below, and the bytes that follow them."""

    STRUCT: ClassVar = struct.Struct("")

    cmd: int
    tail: bytes

    @property
    def size(self) -> int:
        """The command's size in bytes, its cmdsize."""
        return _HEAD.size + self.STRUCT.size + len(self.tail)

    def pack(self) -> bytes:
        """Return the bytes of this command."""
        values = [getattr(self, field.name) for field in fields(self)[2:]]
        return _HEAD.pack(self.cmd, self.size) + self.STRUCT.pack(*values) + self.tail

    @classmethod
    def unpack(cls, data: bytes | memoryview, at: int, cmdsize: int) -> Self:
        """Read the command at offset AT of DATA, which the caller has found to be CMDSIZE bytes long.

        Raises:
            ImageFormatError: its kind has another size, or what it says of itself does not fit into it.
        """
        (cmd,) = struct.unpack_from("<I", data, at)
        tail_offset = _HEAD.size + cls.STRUCT.size
        if cmdsize < tail_offset:
            raise ImageFormatError(f"got {cmdsize}, expected {tail_offset} at least", field="cmdsize", offset=at + 4)
        values = cls.STRUCT.unpack_from(data, at + _HEAD.size)
        command = cls(cmd, bytes(data[at + tail_offset : at + cmdsize]), *values)
        command._check_tail(at)
        return command

    def _check_tail(self, at: int) -> None:
        """Raise ImageFormatError when the command, at offset AT of the file, does not hold what it says."""


@dataclass(frozen=True, slots=True)
class Section64:
    """One section_64, as they follow their segment's command."""

    STRUCT: ClassVar = struct.Struct("<16s16sQQIIIIIIII")
    SIZE: ClassVar = 80
    ZEROFILL: ClassVar = frozenset({0x1, 0xC, 0x12})  # the types without bytes in the file

    sectname: bytes
    segname: bytes
    addr: int
    size: int
    offset: int
    align: int
    reloff: int
    nreloc: int
    flags: int
    reserved1: int
    reserved2: int
    reserved3: int

    @property
    def is_in_file(self) -> bool:
        """Say whether the section has bytes in the file."""
        return bool(self.size) and self.flags & 0xFF not in self.ZEROFILL

    def pack(self) -> bytes:
        """Return the 80 bytes of this section."""
        return self.STRUCT.pack(*(getattr(self, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Segment64(LoadCommand):
    """LC_SEGMENT_64: bytes of the file that are mapped."""

    STRUCT: ClassVar = struct.Struct("<16sQQQQIIII")

    segname: bytes
    vmaddr: int
    vmsize: int
    fileoff: int
    filesize: int
    maxprot: int
    initprot: int
    nsects: int
    flags: int

    @property
    def name(self) -> bytes:
        """The name without its padding."""
        return self.segname.rstrip(b"\0")

    @property
    def sections(self) -> tuple[Section64, ...]:
        """The segment's sections."""
        return tuple(Section64(*section) for section in Section64.STRUCT.iter_unpack(self.tail))

    @property
    def file_end(self) -> int:
        """Where the segment's bytes end in the file."""
        return self.fileoff + self.filesize

    @property
    def memory_end(self) -> int:
        """Where the segment ends in memory."""
        return self.vmaddr + self.vmsize

    @property
    def is_executable(self) -> bool:
        """Say whether code can run in it; the kernel wants it readable, too."""
        return self.initprot & (Protection.R | Protection.X) == Protection.R | Protection.X

    @property
    def is_page_zero(self) -> bool:
        """Say whether it only keeps addresses from being used, those around the null pointer."""
        return not (self.vmaddr or self.filesize or self.maxprot or self.initprot) and self.vmsize > 0

    def _check_tail(self, at: int) -> None:
        if len(self.tail) != self.nsects * Section64.SIZE:
            room = f"the command has room for {len(self.tail) / Section64.SIZE:g}"
            raise ImageFormatError(f"got {self.nsects}, {room}", field="nsects", offset=at + 64)


@dataclass(frozen=True, slots=True)
class EntryPoint(LoadCommand):
    """LC_MAIN: where dyld starts the program, counted from its header."""

    STRUCT: ClassVar = struct.Struct("<QQ")

    entryoff: int
    stacksize: int


@dataclass(frozen=True, slots=True)
class ThreadState(LoadCommand):
    """LC_UNIXTHREAD: the registers that the kernel starts a program with that has no dyld; the tail is their values."""

    STRUCT: ClassVar = struct.Struct("<II")

    flavor: int
    count: int  # of 32-bit words

    def register(self, index: int) -> int:
        """Return the 64-bit register INDEX, in the order of the flavor; the caller has found it to be there."""
        return int.from_bytes(self.tail[8 * index : 8 * index + 8], "little")

    def _check_tail(self, at: int) -> None:
        if self.count * 4 != len(self.tail):
            raise ImageFormatError(f"got {self.count}, expected {len(self.tail) // 4}", field="count", offset=at + 12)


@dataclass(frozen=True, slots=True)
class BuildVersion(LoadCommand):
    """LC_BUILD_VERSION: the system that it was built for, and the oldest version that can run it."""

    STRUCT: ClassVar = struct.Struct("<IIII")

    platform: int
    minos: int  # X.Y.Z as 16, 8 and 8 bits
    sdk: int
    ntools: int


@dataclass(frozen=True, slots=True)
class VersionMin(LoadCommand):
    """LC_VERSION_MIN_…: the same as linkers wrote it before 2018; the command itself names the system."""

    STRUCT: ClassVar = struct.Struct("<II")

    version: int
    sdk: int


@dataclass(frozen=True, slots=True)
class LinkeditData(LoadCommand):
    """LC_CODE_SIGNATURE: bytes of __LINKEDIT, here the signature's."""

    STRUCT: ClassVar = struct.Struct("<II")

    dataoff: int
    datasize: int

    @property
    def file_end(self) -> int:
        """Where the bytes end in the file."""
        return self.dataoff + self.datasize


@dataclass(frozen=True, slots=True)
class NameReference(LoadCommand):
    """LC_LOAD_DYLINKER and LC_LOAD_DYLIB: a file that the program needs, by its path."""

    STRUCT: ClassVar = struct.Struct("<I")

    name_offset: int  # from the command's start

    @property
    def name(self) -> str:
        """The file's path."""
        start = self.name_offset - _HEAD.size - self.STRUCT.size
        return self.tail[start : self.tail.index(b"\0", start)].decode(errors="replace")

    def _check_tail(self, at: int) -> None:
        start = self.name_offset - _HEAD.size - self.STRUCT.size
        if start < 0 or b"\0" not in self.tail[start:]:
            problem = f"got {self.name_offset}, where no name begins that ends inside of the command"
            raise ImageFormatError(problem, field="name", offset=at + 8)


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
}


def read_command(data: bytes | memoryview, at: int, end: int) -> LoadCommand:
    """Read the load command at offset AT of a file DATA whose load commands end at END.

    Raises:
        ImageFormatError: it is cut off, or has a size that its kind cannot have.
    """
    if at + _HEAD.size > end:
        raise ImageFormatError(
            f"there is to be a command at {at:#x}, but sizeofcmds ends at {end:#x}", field="ncmds", offset=16
        )
    cmd, cmdsize = _HEAD.unpack_from(data, at)
    if cmdsize < _HEAD.size or cmdsize % 8:
        raise ImageFormatError(f"got {cmdsize}, expected a multiple of 8, not 0", field="cmdsize", offset=at + 4)
    if at + cmdsize > end:
        raise ImageFormatError(
            f"the command ends at {at + cmdsize:#x}, sizeofcmds at {end:#x}", field="cmdsize", offset=at + 4
        )
    return _KINDS.get(cmd, LoadCommand).unpack(data, at, cmdsize)
