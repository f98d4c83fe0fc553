"""The header of a Mach-O file, and the varieties of the format.

Specification: Apple's <mach-o/loader.h> and <mach-o/fat.h>, with their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Annotated, ClassVar, Final, NamedTuple

from runtime.image.errors import NotAnImageError
from runtime.image.record import ImageRecord, cursor_at
from zipalign.record import U32, Code

__all__ = ["MACHINES", "CpuType", "HeaderFlag", "MachHeader", "MachineTraits", "is_macho", "read_mach_header"]

_MAGIC: Final = b"\xcf\xfa\xed\xfe"
_OTHER_MAGICS: Final = {
    b"\xce\xfa\xed\xfe": "a 32-bit Mach-O file",
    b"\xfe\xed\xfa\xce": "a 32-bit big-endian Mach-O file",
    b"\xfe\xed\xfa\xcf": "a big-endian Mach-O file",
}
_FAT_MAGICS: Final = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_FAT_PROGRAMS_MAX: Final = 44  # Java classes have the same magic, then a number from 45 on


class CpuType(IntEnum):
    """cputype."""

    X86_64 = 0x01000007
    ARM64 = 0x0100000C


class HeaderFlag(IntFlag):
    """Flags of the header."""

    DYLDLINK = 0x4
    PIE = 0x200000


class MachineTraits(NamedTuple):
    """The kernel's requirements for the programs of one cputype."""

    page_size: int
    page_zero_size: int  # the minimum
    flavor: int  # of the registers in LC_UNIXTHREAD
    program_counter: str
    program_counter_index: int  # among the 64-bit registers


MACHINES: Final[dict[int, MachineTraits]] = {
    CpuType.X86_64: MachineTraits(0x1000, 0x1000, 4, "rip", 16),
    CpuType.ARM64: MachineTraits(0x4000, 1 << 32, 6, "pc", 32),
}


@dataclass(frozen=True, slots=True)
class MachHeader(ImageRecord):
    """The mach_header_64."""

    NAME: ClassVar = "magic"

    MAGIC: ClassVar[Annotated[bytes, Code("4s")]] = _MAGIC
    cputype: U32
    cpusubtype: U32
    FILETYPE: ClassVar[U32] = 2  # MH_EXECUTE
    ncmds: U32
    sizeofcmds: U32
    flags: U32
    reserved: U32

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return name.lower()


def read_mach_header(data: bytes | memoryview) -> MachHeader:
    """Read the header at the start of DATA.

    Raises:
        NotAnImageError: DATA does not begin with any Mach-O magic.
        ImageFormatError: it is cut off, or of an unsupported variety.
    """
    _check_magic(data)
    header = MachHeader.unpack(cursor_at(data, 0))
    if header.cputype not in MACHINES:
        raise header.error(f"got {header.cputype:#x}, expected that of x86_64 or arm64", "cputype", 0)
    return header


def is_macho(data: bytes | memoryview) -> bool:
    """Return whether DATA begins like a Mach-O file of any variety."""
    magic = bytes(data[:4])
    if magic in _FAT_MAGICS:
        return int.from_bytes(data[4:8], "big") <= _FAT_PROGRAMS_MAX
    return magic == _MAGIC or magic in _OTHER_MAGICS


def _check_magic(data: bytes | memoryview) -> None:
    magic = bytes(data[:4])
    if not is_macho(data):
        raise NotAnImageError(f"not a Mach-O file: it begins with {magic!r}")
    if magic in _FAT_MAGICS:
        raise MachHeader.error(
            "a fat file of several programs (take one out of it with: lipo FILE -thin arm64 -output NAME)", "MAGIC", 0
        )
    if magic != _MAGIC:
        raise MachHeader.error(f"{_OTHER_MAGICS[magic]}, expected a 64-bit little-endian one", "MAGIC", 0)
