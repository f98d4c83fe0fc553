"""A Windows program, and changes of single fields."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["PE_SIZE", "pe_program", "with_directory", "with_pe_field", "with_section"]

PE_SIZE: Final = 0xA00

_LFANEW: Final = 0x80
_OPTIONAL: Final = _LFANEW + 24
_DIRECTORIES: Final = _OPTIONAL + 112
_SECTIONS: Final = _DIRECTORIES + 16 * 8
# Name: offset in the file, and format.
_FIELDS: Final = {
    "e_magic": (0, "2s"), "e_lfanew": (0x3C, "I"), "Signature": (_LFANEW, "4s"), "Machine": (_LFANEW + 4, "H"),
    "NumberOfSections": (_LFANEW + 6, "H"), "PointerToSymbolTable": (_LFANEW + 12, "I"),
    "NumberOfSymbols": (_LFANEW + 16, "I"), "SizeOfOptionalHeader": (_LFANEW + 20, "H"),
    "Characteristics": (_LFANEW + 22, "H"), "Magic": (_OPTIONAL, "H"), "AddressOfEntryPoint": (_OPTIONAL + 16, "I"),
    "SectionAlignment": (_OPTIONAL + 32, "I"), "FileAlignment": (_OPTIONAL + 36, "I"),
    "SizeOfImage": (_OPTIONAL + 56, "I"), "SizeOfHeaders": (_OPTIONAL + 60, "I"), "CheckSum": (_OPTIONAL + 64, "I"),
    "DllCharacteristics": (_OPTIONAL + 70, "H"), "NumberOfRvaAndSizes": (_OPTIONAL + 108, "I"),
}  # fmt: skip  # a table
_SECTION_FIELDS: Final = {
    "VirtualSize": (8, "I"), "VirtualAddress": (12, "I"), "SizeOfRawData": (16, "I"), "PointerToRawData": (20, "I"),
    "Characteristics": (36, "I"),
}  # fmt: skip  # a table


def pe_program() -> bytes:
    """The headers of a program with three sections (.text, .rdata, .bss) and a debug directory in the second."""
    image = bytearray(PE_SIZE)
    image[:2] = b"MZ"
    struct.pack_into("<I", image, 0x3C, _LFANEW)
    struct.pack_into("<4sHHIIIHH", image, _LFANEW, b"PE\0\0", 0x8664, 3, 0x12345678, 0, 0, 240, 0x22)
    struct.pack_into(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", image, _OPTIONAL,
        0x20B, 14, 0, 0x200, 0x200, 0, 0x1010, 0x1000, 0x140000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0,
        0x5000, 0x400, 0, 3, 0x8160, 1 << 24, 4096, 1 << 20, 4096, 0, 16,
    )  # fmt: skip  # the fields in their order
    sections = [
        (b".text", 0x100, 0x1000, 0x200, 0x400, 0x60000020),
        (b".rdata", 0x400, 0x2000, 0x400, 0x600, 0x40000040),
        (b".bss", 0x1800, 0x3000, 0, 0, 0xC0000080),
    ]
    for index, (name, *numbers, flags) in enumerate(sections):
        struct.pack_into("<8sIIIIIIHHI", image, _SECTIONS + index * 40, name, *numbers, 0, 0, 0, 0, flags)
    image[0x400:0x600] = b"code" * 128
    # Two debug entries at .rdata + 0x20: one with a place in the file, one without.
    image = bytearray(with_directory(bytes(image), 6, 0x2020, 56))
    struct.pack_into("<IIHHIIII", image, 0x620, 0, 0, 0, 0, 2, 0x1C, 0x2100, 0x700)
    struct.pack_into("<IIHHIIII", image, 0x63C, 0, 0, 0, 0, 16, 0, 0, 0)
    return bytes(image)


def with_pe_field(image: bytes, name: str, value: int | bytes) -> bytes:
    """The program with one field of its headers changed."""
    offset, kind = _FIELDS[name]
    return _patched(image, offset, kind, value)


def with_section(image: bytes, index: int, **fields: int) -> bytes:
    """The program with fields of one section changed."""
    for name, value in fields.items():
        offset, kind = _SECTION_FIELDS[name]
        image = _patched(image, _SECTIONS + index * 40 + offset, kind, value)
    return image


def with_directory(image: bytes, index: int, address: int, size: int) -> bytes:
    """The program with one data directory changed."""
    return _patched(_patched(image, _DIRECTORIES + index * 8, "I", address), _DIRECTORIES + index * 8 + 4, "I", size)


def _patched(image: bytes, offset: int, kind: str, value: int | bytes) -> bytes:
    changed = bytearray(image)
    struct.pack_into("<" + kind, changed, offset, value)
    return bytes(changed)
