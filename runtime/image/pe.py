"""PE32+: the headers of a Windows program, which are all that embedding it in another file needs.

Specification: Microsoft's "PE Format" (https://learn.microsoft.com/windows/win32/debug/pe-format); names are its own.
32-bit programs and DLLs are refused. Import tables, resources and symbols are not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self

from runtime.image.errors import NotAnImageError
from runtime.image.record import ImageRecord, cursor_at
from zipalign.alignment import align_up, is_power_of_two
from zipalign.record import U8, U16, U32, U64, Code

if TYPE_CHECKING:
    from zipalign.cursor import Cursor

__all__ = [
    "DOS_MAGIC",
    "LFANEW_OFFSET",
    "Characteristic",
    "CoffHeader",
    "DirectoryIndex",
    "OptionalHeader",
    "Pe",
    "PeMachine",
    "Section",
    "SectionFlag",
    "read_pe",
]

DOS_MAGIC: Final = b"MZ"
_DIRECTORY: Final = struct.Struct("<II")
_DIRECTORIES_MAX: Final = 16
_SECTIONS_MAX: Final = 96


class PeMachine(IntEnum):
    """Machine."""

    AMD64 = 0x8664


class Characteristic(IntFlag):
    """Characteristics of the COFF header."""

    EXECUTABLE_IMAGE = 0x0002
    DLL = 0x2000


class DirectoryIndex(IntEnum):
    """Index of a data directory."""

    CERTIFICATE = 4
    DEBUG = 6


class SectionFlag(IntFlag):
    """Characteristics of a section."""

    MEM_EXECUTE = 0x20000000
    MEM_WRITE = 0x80000000


class _PeRecord(ImageRecord):
    """A record whose fields have names in camel case."""

    __slots__ = ()

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return "".join(part.capitalize() for part in name.split("_"))


@dataclass(frozen=True, slots=True)
class _DosHeader(ImageRecord):
    """The DOS header: only the first and the last field are still used."""

    NAME: ClassVar = "e_magic"

    MAGIC: ClassVar[Annotated[bytes, Code("2s58x")]] = DOS_MAGIC
    lfanew: U32

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in the specification."""
        return f"e_{name.lower()}"


LFANEW_OFFSET: Final = _DosHeader.OFFSETS["lfanew"]


@dataclass(frozen=True, slots=True)
class CoffHeader(_PeRecord):
    """The signature and the COFF file header behind it."""

    NAME: ClassVar = "e_lfanew"

    SIGNATURE: ClassVar[Annotated[bytes, Code("4s")]] = b"PE\0\0"
    machine: U16
    number_of_sections: U16
    time_date_stamp: U32
    pointer_to_symbol_table: U32
    number_of_symbols: U32
    size_of_optional_header: U16
    characteristics: U16


@dataclass(frozen=True, slots=True)
class OptionalHeader(_PeRecord):
    """The optional header of PE32+, without its data directories."""

    NAME: ClassVar = "Magic"

    MAGIC: ClassVar[U16] = 0x20B  # PE32+
    major_linker_version: U8
    minor_linker_version: U8
    size_of_code: U32
    size_of_initialized_data: U32
    size_of_uninitialized_data: U32
    address_of_entry_point: U32
    base_of_code: U32
    image_base: U64
    section_alignment: U32
    file_alignment: U32
    major_operating_system_version: U16
    minor_operating_system_version: U16
    major_image_version: U16
    minor_image_version: U16
    major_subsystem_version: U16
    minor_subsystem_version: U16
    win32_version_value: U32
    size_of_image: U32
    size_of_headers: U32
    check_sum: U32
    subsystem: U16
    dll_characteristics: U16
    size_of_stack_reserve: U64
    size_of_stack_commit: U64
    size_of_heap_reserve: U64
    size_of_heap_commit: U64
    loader_flags: U32
    number_of_rva_and_sizes: U32


@dataclass(frozen=True, slots=True)
class Section(_PeRecord):
    """One entry of the section table."""

    NAME: ClassVar = "NumberOfSections"

    name: Annotated[bytes, Code("8s")]
    virtual_size: U32
    virtual_address: U32
    size_of_raw_data: U32
    pointer_to_raw_data: U32
    pointer_to_relocations: U32
    pointer_to_linenumbers: U32
    number_of_relocations: U16
    number_of_linenumbers: U16
    characteristics: U32

    @property
    def raw_end(self) -> int:
        """The end of the section in the file."""
        return self.pointer_to_raw_data + self.size_of_raw_data if self.size_of_raw_data else 0

    @property
    def virtual_end(self) -> int:
        """The end of the section in memory, relative to the base of the image."""
        return self.virtual_address + max(self.virtual_size, 1)


@dataclass(frozen=True, slots=True)
class Pe:
    """The headers of a Windows program."""

    coff: CoffHeader
    optional: OptionalHeader
    directories: tuple[tuple[int, int], ...]  # address (a file offset for CERTIFICATE) and size
    sections: tuple[Section, ...]

    @property
    def file_end(self) -> int:
        """The end of the bytes that loading needs in the file."""
        return max([self.optional.size_of_headers, *(section.raw_end for section in self.sections)])

    def directory(self, index: DirectoryIndex) -> tuple[int, int]:
        """Return address and size of a data directory, zeros if it is absent."""
        return self.directories[index] if index < len(self.directories) else (0, 0)

    def file_offset(self, rva: int, size: int) -> int | None:
        """Return the file offset of SIZE bytes at the address RVA, or None if they are not in the file."""
        for section in self.sections:
            at = rva - section.virtual_address
            if at >= 0 and at + size <= section.size_of_raw_data:
                return section.pointer_to_raw_data + at
        return None

    def pack(self) -> bytes:
        """Return the headers, from the signature to the end of the section table."""
        directories = b"".join(_DIRECTORY.pack(address, size) for address, size in self.directories)
        sections = b"".join(section.pack() for section in self.sections)
        return self.coff.pack() + self.optional.pack() + directories + sections

    @classmethod
    def unpack(cls, cursor: Cursor) -> Self:
        """Read the headers from the signature on.

        Raises:
            ImageFormatError: they are cut off, or not those of PE32+.
        """
        coff_offset = cursor.offset
        coff = CoffHeader.unpack(cursor)
        optional_offset = cursor.offset
        optional = OptionalHeader.unpack(cursor)
        count = optional.number_of_rva_and_sizes
        if count > _DIRECTORIES_MAX:
            reason = f"got {count}, at most {_DIRECTORIES_MAX} are possible"
            raise optional.error(reason, "number_of_rva_and_sizes", optional_offset)
        size = OptionalHeader.SIZE + _DIRECTORY.size * count
        if coff.size_of_optional_header != size:
            reason = f"got {coff.size_of_optional_header}, expected {size}"
            raise coff.error(reason, "size_of_optional_header", coff_offset)
        directories = tuple(_DIRECTORY.iter_unpack(cursor.take(_DIRECTORY.size * count, "DataDirectory")))
        if not 1 <= coff.number_of_sections <= _SECTIONS_MAX:
            reason = f"got {coff.number_of_sections}, expected 1 to {_SECTIONS_MAX}"
            raise coff.error(reason, "number_of_sections", coff_offset)
        sections = tuple(Section.unpack(cursor) for _ in range(coff.number_of_sections))
        return cls(coff, optional, directories, sections)


def read_pe(data: bytes | memoryview) -> Pe:
    """Read and check the headers of the Windows program DATA. Bytes after the program are allowed.

    Raises:
        NotAnImageError: DATA is not a PE file.
        ImageFormatError: it is damaged, or of an unsupported variety.
    """
    if bytes(data[:2]) != DOS_MAGIC:
        raise NotAnImageError(f"not a PE file: it begins with {bytes(data[:2])!r}")
    lfanew = _DosHeader.unpack(cursor_at(data, 0)).lfanew
    if lfanew % 8 or lfanew < _DosHeader.SIZE:
        reason = f"got {lfanew:#x}, expected a multiple of 8 from {_DosHeader.SIZE:#x} on"
        raise _DosHeader.error(reason, "lfanew", 0)
    pe = Pe.unpack(cursor_at(data, lfanew))
    kind = pe.coff.characteristics & (Characteristic.EXECUTABLE_IMAGE | Characteristic.DLL)
    if kind != Characteristic.EXECUTABLE_IMAGE:
        raise pe.coff.error("not those of a program", "characteristics", lfanew)
    optional_offset = lfanew + CoffHeader.SIZE
    _check_optional(pe, optional_offset, lfanew + len(pe.pack()))
    _check_sections(pe, optional_offset + pe.coff.size_of_optional_header, len(data))
    _check_memory(pe, optional_offset)
    return pe


def _check_optional(pe: Pe, at: int, headers_end: int) -> None:
    optional = pe.optional
    if not 512 <= optional.file_alignment <= 65536 or not is_power_of_two(optional.file_alignment):
        raise optional.error(f"got {optional.file_alignment}, expected a power of two", "file_alignment", at)
    if optional.section_alignment < optional.file_alignment or not is_power_of_two(optional.section_alignment):
        reason = f"got {optional.section_alignment}, expected a power of two from FileAlignment on"
        raise optional.error(reason, "section_alignment", at)
    size = optional.size_of_headers
    if size < headers_end or size % optional.file_alignment or size > pe.sections[0].virtual_address:
        raise optional.error(f"got {size:#x}, the headers end at {headers_end:#x}", "size_of_headers", at)


def _check_sections(pe: Pe, table_offset: int, file_size: int) -> None:
    for index, section in enumerate(pe.sections):
        at = table_offset + index * Section.SIZE
        if section.size_of_raw_data and section.raw_end > file_size:
            raise section.error(f"ends at {section.raw_end:#x}, the file at {file_size:#x}", "pointer_to_raw_data", at)
        if section.size_of_raw_data and section.pointer_to_raw_data < pe.optional.size_of_headers:
            raise section.error(f"{section.pointer_to_raw_data:#x} is inside the headers", "pointer_to_raw_data", at)
        if (section.pointer_to_raw_data | section.size_of_raw_data) % pe.optional.file_alignment:
            raise section.error("no multiple of FileAlignment", "pointer_to_raw_data", at)
    in_file = sorted((section.pointer_to_raw_data, section.raw_end) for section in pe.sections if section.raw_end)
    for before, after in pairwise(in_file):
        if after[0] < before[1]:
            raise Section.error(f"two sections overlap at {after[0]:#x}", "pointer_to_raw_data", table_offset)


def _check_memory(pe: Pe, optional_offset: int) -> None:
    """Check that sections follow each other without a gap, as Windows demands."""
    alignment = pe.optional.section_alignment
    end = align_up(pe.optional.size_of_headers, alignment)
    table_offset = optional_offset + pe.coff.size_of_optional_header
    for index, section in enumerate(pe.sections):
        if section.virtual_address != end:
            reason = f"got {section.virtual_address:#x}, expected {end:#x}"
            raise section.error(reason, "virtual_address", table_offset + index * Section.SIZE)
        end = align_up(section.virtual_end, alignment)
    if pe.optional.size_of_image != end:
        raise pe.optional.error(
            f"got {pe.optional.size_of_image:#x}, expected {end:#x}", "size_of_image", optional_offset
        )
    entry = pe.optional.address_of_entry_point
    executable = (section for section in pe.sections if section.characteristics & SectionFlag.MEM_EXECUTE)
    if not any(section.virtual_address <= entry < section.virtual_end for section in executable):
        raise pe.optional.error(f"{entry:#x} is in no executable section", "address_of_entry_point", optional_offset)
