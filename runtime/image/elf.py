"""ELF64 little-endian: the header and the program headers, which are all that loading a program takes.

Specification: System V gABI, chapters 4 and 5 (https://gabi.xinuos.com). Sections and symbols are not read: nothing
here needs them, and a program may have none. 32-bit and big-endian files are refused by name.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, Final, Self

from runtime.image.errors import ImageFormatError, NotAnImageError

__all__ = [
    "ELF_MAGIC",
    "Elf",
    "ElfHeader",
    "ElfType",
    "Machine",
    "OsAbi",
    "ProgramHeader",
    "SegmentFlag",
    "SegmentType",
    "read_elf",
    "read_segments",
]

ELF_MAGIC: Final = b"\x7fELF"
_ELFCLASS64: Final = 2
_ELFDATA2LSB: Final = 1
_EV_CURRENT: Final = 1
_PN_XNUM: Final = 0xFFFF  # the real count is in section header 0
_ADDRESS_END: Final = 1 << 64


class ElfType(IntEnum):
    """e_type."""

    EXEC = 2
    DYN = 3


class Machine(IntEnum):
    """e_machine."""

    X86_64 = 62
    AARCH64 = 183


class OsAbi(IntEnum):
    """EI_OSABI."""

    SYSV = 0
    LINUX = 3
    FREEBSD = 9


class SegmentType(IntEnum):
    """p_type."""

    NULL = 0
    LOAD = 1
    DYNAMIC = 2
    INTERP = 3
    NOTE = 4
    PHDR = 6
    TLS = 7
    GNU_STACK = 0x6474E551
    GNU_RELRO = 0x6474E552


class SegmentFlag(IntFlag):
    """p_flags."""

    X = 1
    W = 2
    R = 4


@dataclass(frozen=True, slots=True)
class ElfHeader:
    """The ELF header (gABI 4.1). Numbers that name no member of an enumeration are kept as they are."""

    STRUCT: ClassVar = struct.Struct("<4sBBBBB7xHHIQQQIHHHHHH")
    SIZE: ClassVar = 64

    osabi: int  # EI_OSABI
    abi_version: int  # EI_ABIVERSION
    type: int
    machine: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    @property
    def phdrs_size(self) -> int:
        """The size of the program header table."""
        return self.phnum * ProgramHeader.SIZE

    def pack(self) -> bytes:
        """Return the 64 bytes of this header."""
        return self.STRUCT.pack(
            ELF_MAGIC, _ELFCLASS64, _ELFDATA2LSB, _EV_CURRENT, self.osabi, self.abi_version,
            self.type, self.machine, _EV_CURRENT, self.entry, self.phoff, self.shoff, self.flags,
            self.SIZE, ProgramHeader.SIZE, self.phnum, self.shentsize, self.shnum, self.shstrndx,
        )  # fmt: skip  # one line of the structure per line

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Read the header at the start of DATA.

        Raises:
            NotAnImageError: DATA does not begin with the ELF magic.
            ImageFormatError: a field has a value that no 64-bit little-endian program has.
        """
        if bytes(data[:4]) != ELF_MAGIC:
            raise NotAnImageError(f"not an ELF file: it begins with {bytes(data[:4])!r}")
        if len(data) < cls.SIZE:
            raise ImageFormatError(
                f"the header is cut off (got {len(data)} bytes, expected 64)", field="e_ident", offset=0
            )
        (
            _, ei_class, ei_data, ei_version, osabi, abi_version,
            e_type, machine, version, entry, phoff, shoff, flags,
            ehsize, phentsize, phnum, shentsize, shnum, shstrndx,
        ) = cls.STRUCT.unpack_from(data)  # fmt: skip  # one line of the structure per line
        _expect(ei_class, _ELFCLASS64, "EI_CLASS", 4)
        _expect(ei_data, _ELFDATA2LSB, "EI_DATA", 5)
        _expect(ei_version, _EV_CURRENT, "EI_VERSION", 6)
        _expect(version, _EV_CURRENT, "e_version", 20)
        _expect(ehsize, cls.SIZE, "e_ehsize", 52)
        _expect(phentsize, ProgramHeader.SIZE, "e_phentsize", 54)
        return cls(osabi, abi_version, e_type, machine, entry, phoff, shoff, flags, phnum, shentsize, shnum, shstrndx)


@dataclass(frozen=True, slots=True)
class ProgramHeader:
    """One program header (gABI 5.1)."""

    STRUCT: ClassVar = struct.Struct("<IIQQQQQQ")
    SIZE: ClassVar = 56

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    @property
    def file_end(self) -> int:
        """Where the segment's bytes end in the file."""
        return self.offset + self.filesz

    @property
    def memory_end(self) -> int:
        """Where the segment ends in memory."""
        return self.vaddr + self.memsz

    def pack(self) -> bytes:
        """Return the 56 bytes of this program header."""
        return self.STRUCT.pack(
            self.type, self.flags, self.offset, self.vaddr, self.paddr, self.filesz, self.memsz, self.align
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview, at: int) -> Self:
        """Read the program header at offset AT of DATA, which the caller has found to be long enough."""
        return cls(*cls.STRUCT.unpack_from(data, at))


@dataclass(frozen=True, slots=True)
class Elf:
    """An ELF program: what its headers say. The bytes stay with the caller."""

    header: ElfHeader
    segments: tuple[ProgramHeader, ...]

    @property
    def loads(self) -> tuple[ProgramHeader, ...]:
        """The segments that occupy memory, in the table's order."""
        return tuple(segment for segment in self.segments if segment.type == SegmentType.LOAD and segment.memsz)

    @property
    def phdrs_end(self) -> int:
        """Where the program header table ends in the file."""
        return self.header.phoff + self.header.phdrs_size

    @property
    def file_end(self) -> int:
        """Where the bytes that loading needs end in the file; section headers and symbols lie behind."""
        return max([self.phdrs_end, *(segment.file_end for segment in self.loads)])

    def has(self, kind: SegmentType) -> bool:
        """Say whether there is a segment of this type."""
        return any(segment.type == kind for segment in self.segments)


def read_elf(data: bytes | memoryview) -> Elf:
    """Read and check the headers of the ELF program DATA. Bytes behind the program are allowed.

    Raises:
        NotAnImageError: DATA is no ELF file.
        ImageFormatError: it is damaged, or of a variety no system we know runs.
    """
    header = ElfHeader.unpack(data)
    if header.phnum == 0:
        raise ImageFormatError("there are no program headers", field="e_phnum", offset=56)
    if header.phnum == _PN_XNUM:
        raise ImageFormatError("65535 program headers or more are not supported", field="e_phnum", offset=56)
    if header.phoff % 8:
        raise ImageFormatError(f"got {header.phoff:#x}, expected a multiple of 8", field="e_phoff", offset=32)
    phdrs_end = header.phoff + header.phdrs_size
    if phdrs_end > len(data):
        raise ImageFormatError(
            f"the program headers end at {phdrs_end:#x}, the file at {len(data):#x}", field="e_phoff", offset=32
        )
    return Elf(header, read_segments(data[header.phoff : phdrs_end], header.phoff, len(data)))


def read_segments(table: bytes | memoryview, phoff: int, file_size: int) -> tuple[ProgramHeader, ...]:
    """Read and check a program header TABLE that lies at offset PHOFF of a file of FILE_SIZE bytes.

    Raises:
        ImageFormatError: a segment that is to be loaded cannot be.
    """
    offsets = range(0, len(table) - ProgramHeader.SIZE + 1, ProgramHeader.SIZE)
    segments = tuple(ProgramHeader.unpack(table, at) for at in offsets)
    for at, segment in zip(offsets, segments, strict=True):
        if segment.type == SegmentType.LOAD:
            _check_load(segment, phoff + at, file_size)
    return segments


def _expect(got: int, expected: int, field: str, offset: int) -> None:
    if got != expected:
        raise ImageFormatError(f"got {got}, expected {expected}", field=field, offset=offset)


def _check_load(segment: ProgramHeader, at: int, file_size: int) -> None:
    if segment.filesz > segment.memsz:
        raise ImageFormatError(
            f"got {segment.filesz:#x}, more than p_memsz {segment.memsz:#x}", field="p_filesz", offset=at + 32
        )
    if segment.file_end > file_size:
        raise ImageFormatError(
            f"the segment ends at {segment.file_end:#x}, the file at {file_size:#x}", field="p_offset", offset=at + 8
        )
    if segment.memory_end > _ADDRESS_END:
        raise ImageFormatError(f"the segment wraps around at {segment.vaddr:#x}", field="p_vaddr", offset=at + 16)
    if segment.align & (segment.align - 1):
        raise ImageFormatError(f"got {segment.align:#x}, expected a power of two", field="p_align", offset=at + 48)
    if segment.align > 1 and (segment.vaddr - segment.offset) % segment.align:
        raise ImageFormatError(
            f"{segment.vaddr:#x} and p_offset {segment.offset:#x} differ modulo p_align {segment.align:#x}",
            field="p_vaddr",
            offset=at + 16,
        )
