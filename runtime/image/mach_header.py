"""The first bytes of a Mach-O file: which variety it is, and the header of those that are read.

Specification: Apple's <mach-o/loader.h> and <mach-o/fat.h>; names are theirs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, Final, NamedTuple, Self

from runtime.image.errors import ImageFormatError, NotAnImageError

__all__ = ["MACHINES", "CpuType", "HeaderFlag", "MachHeader", "Machine", "is_macho"]

_MAGIC: Final = b"\xcf\xfa\xed\xfe"
_OTHER_MAGICS: Final = {
    b"\xce\xfa\xed\xfe": "a 32-bit Mach-O file",
    b"\xfe\xed\xfa\xce": "a 32-bit big-endian Mach-O file",
    b"\xfe\xed\xfa\xcf": "a big-endian Mach-O file",
}
_FAT_MAGICS: Final = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_FAT_PROGRAMS_MAX: Final = 44  # Java's classes begin with the same bytes; there, the next number is 45 or more
_EXECUTE: Final = 2  # MH_EXECUTE


class CpuType(IntEnum):
    """cputype."""

    X86_64 = 0x01000007
    ARM64 = 0x0100000C


class HeaderFlag(IntFlag):
    """Flags of the header."""

    DYLDLINK = 0x4
    PIE = 0x200000


class Machine(NamedTuple):
    """What the kernel wants of the programs of one cputype."""

    page_size: int
    page_zero_size: int  # the least
    flavor: int  # of the registers in LC_UNIXTHREAD
    counter: str  # the program counter's name,
    counter_index: int  # and which of the 64-bit registers it is


MACHINES: Final[dict[int, Machine]] = {
    CpuType.X86_64: Machine(0x1000, 0x1000, 4, "rip", 16),
    CpuType.ARM64: Machine(0x4000, 1 << 32, 6, "pc", 32),
}


@dataclass(frozen=True, slots=True)
class MachHeader:
    """The mach_header_64."""

    STRUCT: ClassVar = struct.Struct("<4sIIIIIII")
    SIZE: ClassVar = 32

    cputype: int
    cpusubtype: int
    ncmds: int
    sizeofcmds: int
    flags: int
    reserved: int

    def pack(self) -> bytes:
        """Return the 32 bytes of this header."""
        return self.STRUCT.pack(
            _MAGIC, self.cputype, self.cpusubtype, _EXECUTE, self.ncmds, self.sizeofcmds, self.flags, self.reserved
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Read the header at the start of DATA.

        Raises:
            NotAnImageError: DATA does not begin with any Mach-O magic.
            ImageFormatError: it is of a variety that is not read.
        """
        _check_magic(data)
        if len(data) < cls.SIZE:
            raise _wrong(f"the header is cut off (got {len(data)} bytes, expected {cls.SIZE})", "magic", 0)
        _, cputype, cpusubtype, filetype, ncmds, sizeofcmds, flags, reserved = cls.STRUCT.unpack_from(data)
        if cputype not in MACHINES:
            raise _wrong(f"got {cputype:#x}, expected that of x86_64 or arm64", "cputype", 4)
        if filetype != _EXECUTE:
            raise _wrong(f"got {filetype}, expected {_EXECUTE}, a program", "filetype", 12)
        return cls(cputype, cpusubtype, ncmds, sizeofcmds, flags, reserved)


def is_macho(data: bytes | memoryview) -> bool:
    """Say whether DATA begins like a Mach-O file of any variety."""
    magic = bytes(data[:4])
    if magic in _FAT_MAGICS:
        return int.from_bytes(data[4:8], "big") <= _FAT_PROGRAMS_MAX
    return magic == _MAGIC or magic in _OTHER_MAGICS


def _check_magic(data: bytes | memoryview) -> None:
    magic = bytes(data[:4])
    if not is_macho(data):
        raise NotAnImageError(f"not a Mach-O file: it begins with {magic!r}")
    if magic in _FAT_MAGICS:
        raise _wrong(
            "a fat file of several programs (take one out of it with: lipo FILE -thin arm64 -output NAME)", "magic", 0
        )
    if magic != _MAGIC:
        raise _wrong(f"{_OTHER_MAGICS[magic]}, expected a 64-bit little-endian one", "magic", 0)


def _wrong(message: str, field: str, offset: int) -> ImageFormatError:
    return ImageFormatError(message, field=field, offset=offset)
