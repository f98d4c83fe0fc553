"""PE32+: the headers of a Windows program, which are all that placing it in another file takes.

Specification: Microsoft's "PE Format" (https://learn.microsoft.com/windows/win32/debug/pe-format); names are its own.
32-bit programs and DLLs are refused by name. Import tables, resources and symbols are not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import pairwise
from typing import ClassVar, Final, Self

from runtime.image.errors import ImageFormatError, NotAnImageError

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
LFANEW_OFFSET: Final = 0x3C  # of e_lfanew in the DOS header, whose other fields nobody reads any more
_DOS_SIZE: Final = 64
_SIGNATURE: Final = b"PE\0\0"
_PE32_PLUS: Final = 0x20B
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
    """Which data directory it is."""

    CERTIFICATE = 4
    DEBUG = 6


class SectionFlag(IntFlag):
    """Characteristics of a section."""

    MEM_EXECUTE = 0x20000000
    MEM_WRITE = 0x80000000


@dataclass(frozen=True, slots=True)
class CoffHeader:
    """The signature and the COFF file header behind it."""

    STRUCT: ClassVar = struct.Struct("<4sHHIIIHH")
    SIZE: ClassVar = 24

    machine: int
    number_of_sections: int
    time_date_stamp: int
    pointer_to_symbol_table: int
    number_of_symbols: int
    size_of_optional_header: int
    characteristics: int

    def pack(self) -> bytes:
        """Return the 24 bytes of signature and header."""
        return self.STRUCT.pack(
            _SIGNATURE, self.machine, self.number_of_sections, self.time_date_stamp, self.pointer_to_symbol_table,
            self.number_of_symbols, self.size_of_optional_header, self.characteristics,
        )  # fmt: skip  # the fields in their order


@dataclass(frozen=True, slots=True)
class OptionalHeader:
    """The optional header of PE32+, without its data directories."""

    STRUCT: ClassVar = struct.Struct("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII")
    SIZE: ClassVar = 112

    magic: int
    major_linker_version: int
    minor_linker_version: int
    size_of_code: int
    size_of_initialized_data: int
    size_of_uninitialized_data: int
    address_of_entry_point: int
    base_of_code: int
    image_base: int
    section_alignment: int
    file_alignment: int
    major_operating_system_version: int
    minor_operating_system_version: int
    major_image_version: int
    minor_image_version: int
    major_subsystem_version: int
    minor_subsystem_version: int
    win32_version_value: int
    size_of_image: int
    size_of_headers: int
    check_sum: int
    subsystem: int
    dll_characteristics: int
    size_of_stack_reserve: int
    size_of_stack_commit: int
    size_of_heap_reserve: int
    size_of_heap_commit: int
    loader_flags: int
    number_of_rva_and_sizes: int

    def pack(self) -> bytes:
        """Return the 112 bytes of this header."""
        return self.STRUCT.pack(*(getattr(self, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the section table."""

    STRUCT: ClassVar = struct.Struct("<8sIIIIIIHHI")
    SIZE: ClassVar = 40

    name: bytes
    virtual_size: int
    virtual_address: int
    size_of_raw_data: int
    pointer_to_raw_data: int
    pointer_to_relocations: int
    pointer_to_linenumbers: int
    number_of_relocations: int
    number_of_linenumbers: int
    characteristics: int

    @property
    def raw_end(self) -> int:
        """Where the section's bytes end in the file."""
        return self.pointer_to_raw_data + self.size_of_raw_data if self.size_of_raw_data else 0

    @property
    def virtual_end(self) -> int:
        """Where the section ends in memory, counted from the image's base."""
        return self.virtual_address + max(self.virtual_size, 1)

    def pack(self) -> bytes:
        """Return the 40 bytes of this entry."""
        return self.STRUCT.pack(*(getattr(self, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Pe:
    """A Windows program: what its headers say. The bytes stay with the caller."""

    coff: CoffHeader
    optional: OptionalHeader
    directories: tuple[tuple[int, int], ...]  # address (a file offset for CERTIFICATE) and size
    sections: tuple[Section, ...]

    @property
    def file_end(self) -> int:
        """Where the bytes that loading needs end in the file."""
        return max([self.optional.size_of_headers, *(section.raw_end for section in self.sections)])

    def directory(self, index: DirectoryIndex) -> tuple[int, int]:
        """Return address and size of a data directory, zeros where there is none."""
        return self.directories[index] if index < len(self.directories) else (0, 0)

    def file_offset(self, rva: int, size: int) -> int | None:
        """Return where SIZE bytes at the address RVA lie in the file, or None where they do not lie in it."""
        for section in self.sections:
            at = rva - section.virtual_address
            if at >= 0 and at + size <= section.size_of_raw_data:
                return section.pointer_to_raw_data + at
        return None

    def pack(self) -> bytes:
        """Return the headers, from the signature to the end of the section table."""
        directories = b"".join(struct.pack("<II", address, size) for address, size in self.directories)
        sections = b"".join(section.pack() for section in self.sections)
        return self.coff.pack() + self.optional.pack() + directories + sections

    @classmethod
    def unpack(cls, data: bytes | memoryview, at: int) -> Self:
        """Read the headers whose signature is at offset AT of DATA.

        Raises:
            ImageFormatError: they are cut off, or not those of PE32+.
        """
        signature, *fields = CoffHeader.STRUCT.unpack(_take(data, at, CoffHeader.SIZE, "e_lfanew"))
        _expect(signature, _SIGNATURE, "Signature", at)
        coff = CoffHeader(*fields)
        at += CoffHeader.SIZE
        optional = OptionalHeader(*OptionalHeader.STRUCT.unpack(_take(data, at, OptionalHeader.SIZE, "Magic")))
        _expect(optional.magic, _PE32_PLUS, "Magic", at)
        count = optional.number_of_rva_and_sizes
        if count > _DIRECTORIES_MAX:
            raise _wrong(f"got {count}, at most {_DIRECTORIES_MAX} are possible", "NumberOfRvaAndSizes", at + 108)
        _expect(coff.size_of_optional_header, OptionalHeader.SIZE + 8 * count, "SizeOfOptionalHeader", at - 4)
        at += OptionalHeader.SIZE
        directories = tuple(struct.iter_unpack("<II", _take(data, at, 8 * count, "DataDirectory")))
        at += 8 * count
        if not 1 <= coff.number_of_sections <= _SECTIONS_MAX:
            raise _wrong(f"got {coff.number_of_sections}, expected 1 to {_SECTIONS_MAX}", "NumberOfSections", at)
        table = _take(data, at, Section.SIZE * coff.number_of_sections, "NumberOfSections")
        sections = tuple(Section(*fields) for fields in Section.STRUCT.iter_unpack(table))
        return cls(coff, optional, directories, sections)


def read_pe(data: bytes | memoryview) -> Pe:
    """Read and check the headers of the Windows program DATA. Bytes behind the program are allowed.

    Raises:
        NotAnImageError: DATA does not begin like one.
        ImageFormatError: it is damaged, or of a variety we do not read.
    """
    if bytes(data[:2]) != DOS_MAGIC:
        raise NotAnImageError(f"not a PE file: it begins with {bytes(data[:2])!r}")
    (lfanew,) = struct.unpack("<I", _take(data, 0, _DOS_SIZE, "e_magic")[LFANEW_OFFSET:_DOS_SIZE])
    if lfanew % 8 or lfanew < _DOS_SIZE:
        raise _wrong(f"got {lfanew:#x}, expected a multiple of 8 from {_DOS_SIZE:#x} on", "e_lfanew", LFANEW_OFFSET)
    pe = Pe.unpack(data, lfanew)
    wanted = pe.coff.characteristics & (Characteristic.EXECUTABLE_IMAGE | Characteristic.DLL)
    if wanted != Characteristic.EXECUTABLE_IMAGE:
        raise _wrong("not those of a program", "Characteristics", lfanew + 22)
    optional_offset = lfanew + CoffHeader.SIZE
    _check_optional(pe, optional_offset, lfanew + len(pe.pack()))
    _check_sections(pe, optional_offset + pe.coff.size_of_optional_header, len(data))
    _check_memory(pe, optional_offset)
    return pe


def _check_optional(pe: Pe, at: int, headers_end: int) -> None:
    optional = pe.optional
    if not 512 <= optional.file_alignment <= 65536 or optional.file_alignment & (optional.file_alignment - 1):
        raise _wrong(f"got {optional.file_alignment}, expected a power of two", "FileAlignment", at + 36)
    if optional.section_alignment < optional.file_alignment or optional.section_alignment & (
        optional.section_alignment - 1
    ):
        raise _wrong(f"got {optional.section_alignment}, below FileAlignment or odd", "SectionAlignment", at + 32)
    size = optional.size_of_headers
    if size < headers_end or size % optional.file_alignment or size > pe.sections[0].virtual_address:
        raise _wrong(f"got {size:#x}, the headers end at {headers_end:#x}", "SizeOfHeaders", at + 60)


def _check_sections(pe: Pe, table_offset: int, file_size: int) -> None:
    for index, section in enumerate(pe.sections):
        at = table_offset + index * Section.SIZE
        if section.size_of_raw_data and section.raw_end > file_size:
            raise _wrong(f"ends at {section.raw_end:#x}, the file at {file_size:#x}", "PointerToRawData", at + 20)
        if section.size_of_raw_data and section.pointer_to_raw_data < pe.optional.size_of_headers:
            raise _wrong(f"{section.pointer_to_raw_data:#x} is inside the headers", "PointerToRawData", at + 20)
        if (section.pointer_to_raw_data | section.size_of_raw_data) % pe.optional.file_alignment:
            raise _wrong("no multiple of FileAlignment", "PointerToRawData", at + 20)
    in_file = sorted((section.pointer_to_raw_data, section.raw_end) for section in pe.sections if section.raw_end)
    for before, after in pairwise(in_file):
        if after[0] < before[1]:
            raise _wrong(f"two sections share bytes at {after[0]:#x}", "PointerToRawData", table_offset)


def _check_memory(pe: Pe, optional_offset: int) -> None:
    """Windows demands sections that follow each other without a gap."""
    alignment = pe.optional.section_alignment
    end = -(-pe.optional.size_of_headers // alignment) * alignment
    for section in pe.sections:
        if section.virtual_address != end:
            raise _wrong(f"got {section.virtual_address:#x}, expected {end:#x}", "VirtualAddress", optional_offset)
        end = -(-section.virtual_end // alignment) * alignment
    if pe.optional.size_of_image != end:
        raise _wrong(f"got {pe.optional.size_of_image:#x}, expected {end:#x}", "SizeOfImage", optional_offset + 56)
    entry = pe.optional.address_of_entry_point
    executable = (section for section in pe.sections if section.characteristics & SectionFlag.MEM_EXECUTE)
    if not any(section.virtual_address <= entry < section.virtual_end for section in executable):
        raise _wrong(f"{entry:#x} is in no executable section", "AddressOfEntryPoint", optional_offset + 16)


def _take(data: bytes | memoryview, at: int, size: int, field: str) -> bytes:
    if at + size > len(data):
        raise _wrong(f"the headers end at {at + size:#x}, the file at {len(data):#x}", field, at)
    return bytes(data[at : at + size])


def _expect(got: object, expected: object, field: str, offset: int) -> None:
    if got != expected:
        raise _wrong(f"got {got!r}, expected {expected!r}", field, offset)


def _wrong(message: str, field: str, offset: int) -> ImageFormatError:
    return ImageFormatError(message, field=field, offset=offset)
