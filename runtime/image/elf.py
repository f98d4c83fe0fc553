"""ELF64, little-endian: the header and the program headers, which are all that loading a program needs.

Specification: System V gABI, chapters 4 and 5 (https://gabi.xinuos.com). Sections and symbols are not read. 32-bit and
big-endian files are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Annotated, ClassVar, Final

from runtime.image.errors import NotAnImageError
from runtime.image.record import ImageRecord, cursor_at
from zipalign.record import U8, U16, U32, U64, Code

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
    "read_elf_header",
    "read_segments",
]

ELF_MAGIC: Final = b"\x7fELF"
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
class ElfHeader(ImageRecord):
    """The ELF header (gABI 4.1). Unknown values of enumerations are kept."""

    NAME: ClassVar = "e_ident"

    MAGIC: ClassVar[Annotated[bytes, Code("4s")]] = ELF_MAGIC
    EI_CLASS: ClassVar[U8] = 2  # ELFCLASS64
    EI_DATA: ClassVar[U8] = 1  # ELFDATA2LSB
    EI_VERSION: ClassVar[U8] = 1
    osabi: U8  # EI_OSABI
    abi_version: Annotated[int, Code("B7x")]  # EI_ABIVERSION
    type: U16
    machine: U16
    VERSION: ClassVar[U32] = 1
    entry: U64
    phoff: U64
    shoff: U64
    flags: U32
    EHSIZE: ClassVar[U16] = 64
    PHENTSIZE: ClassVar[U16] = 56
    phnum: U16
    shentsize: U16
    shnum: U16
    shstrndx: U16

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return name if name.startswith("EI_") else f"e_{name.lower()}"

    @property
    def phdrs_size(self) -> int:
        """The size of the program header table."""
        return self.phnum * ProgramHeader.SIZE


@dataclass(frozen=True, slots=True)
class ProgramHeader(ImageRecord):
    """One program header (gABI 5.1)."""

    NAME: ClassVar = "program header"

    type: U32
    flags: U32
    offset: U64
    vaddr: U64
    paddr: U64
    filesz: U64
    memsz: U64
    align: U64

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return f"p_{name}"

    @property
    def file_end(self) -> int:
        """The end of the segment in the file."""
        return self.offset + self.filesz

    @property
    def memory_end(self) -> int:
        """The end of the segment in memory."""
        return self.vaddr + self.memsz


@dataclass(frozen=True, slots=True)
class Elf:
    """The headers of an ELF program."""

    header: ElfHeader
    segments: tuple[ProgramHeader, ...]

    @property
    def loads(self) -> tuple[ProgramHeader, ...]:
        """The segments that occupy memory, in the order of the table."""
        return tuple(segment for segment in self.segments if segment.type == SegmentType.LOAD and segment.memsz)

    @property
    def phdrs_end(self) -> int:
        """The end of the program header table in the file."""
        return self.header.phoff + self.header.phdrs_size

    @property
    def file_end(self) -> int:
        """The end of the bytes that loading needs in the file; section headers and symbols follow."""
        return max([self.phdrs_end, *(segment.file_end for segment in self.loads)])

    def has(self, kind: SegmentType) -> bool:
        """Return whether there is a segment of this type."""
        return any(segment.type == kind for segment in self.segments)


def read_elf_header(data: bytes | memoryview) -> ElfHeader:
    """Read the header at the start of DATA.

    Raises:
        NotAnImageError: DATA does not begin with the ELF magic.
        ImageFormatError: a field has a value that a 64-bit little-endian program cannot have.
    """
    if bytes(data[:4]) != ELF_MAGIC:
        raise NotAnImageError(f"not an ELF file: it begins with {bytes(data[:4])!r}")
    return ElfHeader.unpack(cursor_at(data, 0))


def read_elf(data: bytes | memoryview) -> Elf:
    """Read and check the headers of the ELF program DATA. Bytes after the program are allowed.

    Raises:
        NotAnImageError: DATA is not an ELF file.
        ImageFormatError: it is damaged, or of an unsupported variety.
    """
    header = read_elf_header(data)
    if header.phnum == 0:
        raise ElfHeader.error("there are no program headers", "phnum", 0)
    if header.phnum == _PN_XNUM:
        raise ElfHeader.error("65535 program headers or more are not supported", "phnum", 0)
    if header.phoff % 8:
        raise ElfHeader.error(f"got {header.phoff:#x}, expected a multiple of 8", "phoff", 0)
    phdrs_end = header.phoff + header.phdrs_size
    if phdrs_end > len(data):
        raise ElfHeader.error(f"the program headers end at {phdrs_end:#x}, the file at {len(data):#x}", "phoff", 0)
    return Elf(header, read_segments(data[header.phoff : phdrs_end], header.phoff, len(data)))


def read_segments(table: bytes | memoryview, phoff: int, file_size: int) -> tuple[ProgramHeader, ...]:
    """Read and check a program header TABLE that lies at offset PHOFF of a file of FILE_SIZE bytes.

    Raises:
        ImageFormatError: a PT_LOAD segment is invalid.
    """
    offsets = range(0, len(table) - ProgramHeader.SIZE + 1, ProgramHeader.SIZE)
    segments = tuple(ProgramHeader.unpack(cursor_at(table, at)) for at in offsets)
    for at, segment in zip(offsets, segments, strict=True):
        if segment.type == SegmentType.LOAD:
            _check_load(segment, phoff + at, file_size)
    return segments


def _check_load(segment: ProgramHeader, at: int, file_size: int) -> None:
    if segment.filesz > segment.memsz:
        raise segment.error(f"got {segment.filesz:#x}, more than p_memsz {segment.memsz:#x}", "filesz", at)
    if segment.file_end > file_size:
        raise segment.error(f"the segment ends at {segment.file_end:#x}, the file at {file_size:#x}", "offset", at)
    if segment.memory_end > _ADDRESS_END:
        raise segment.error(f"the segment wraps around at {segment.vaddr:#x}", "vaddr", at)
    if segment.align & (segment.align - 1):
        raise segment.error(f"got {segment.align:#x}, expected a power of two", "align", at)
    if segment.align > 1 and (segment.vaddr - segment.offset) % segment.align:
        raise segment.error(
            f"{segment.vaddr:#x} and p_offset {segment.offset:#x} differ modulo p_align {segment.align:#x}", "vaddr", at
        )
