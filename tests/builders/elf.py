"""ELF programs: a static one that exits with a status, and changes of single fields."""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "AARCH64",
    "IMAGE_SIZE",
    "NOTES_OFFSET",
    "X86_64",
    "exit_program",
    "note",
    "with_field",
    "with_interpreter",
    "with_notes",
    "with_segment",
]

X86_64: Final = 62
AARCH64: Final = 183
IMAGE_SIZE: Final = 0x3010
NOTES_OFFSET: Final = 0x400  # where with_notes() puts them

_BASE: Final = 0x1000000
_INTERPRETER_OFFSET: Final = 0x800
# Name: offset and format in the ELF header, in a program header.
_HEADER: Final = {
    "magic": (0, "4s"), "ei_class": (4, "B"), "ei_data": (5, "B"), "ei_version": (6, "B"), "ei_osabi": (7, "B"),
    "e_type": (16, "H"), "e_machine": (18, "H"), "e_version": (20, "I"), "e_entry": (24, "Q"), "e_phoff": (32, "Q"),
    "e_shoff": (40, "Q"), "e_flags": (48, "I"), "e_ehsize": (52, "H"), "e_phentsize": (54, "H"), "e_phnum": (56, "H"),
    "e_shentsize": (58, "H"), "e_shnum": (60, "H"), "e_shstrndx": (62, "H"),
}  # fmt: skip  # a table
_SEGMENT: Final = {
    "p_type": (0, "I"), "p_flags": (4, "I"), "p_offset": (8, "Q"), "p_vaddr": (16, "Q"), "p_paddr": (24, "Q"),
    "p_filesz": (32, "Q"), "p_memsz": (40, "Q"), "p_align": (48, "Q"),
}  # fmt: skip  # a table


def exit_program(machine: int = X86_64, status: int = 0) -> bytes:
    """A static program that exits with `status`.

    Its segments, by index: 0 PT_PHDR, 1 headers (R), 2 code (RX), 3 and 4 data (RW, the second mostly bss), 5 stack.
    Their pages are apart at 64 KiB, and every offset is congruent to its address at that size.
    """
    if machine == X86_64:
        # mov $60, %eax; mov $status, %edi; syscall
        code = b"\xb8\x3c\x00\x00\x00" + b"\xbf" + struct.pack("<I", status) + b"\x0f\x05"
    else:
        # mov x8, #93; mov x0, #status; svc #0
        code = struct.pack("<III", 0xD2800BA8, 0xD2800000 | status << 5, 0xD4000001)
    segments = [
        (6, 4, 0x40, _BASE + 0x40, 6 * 56, 6 * 56, 8),
        (1, 4, 0, _BASE, 0x40 + 6 * 56, 0x40 + 6 * 56, 0x10000),
        (1, 5, 0x1000, _BASE + 0x11000, len(code), len(code), 0x10000),
        (1, 6, 0x2000, _BASE + 0x22000, 0x10, 0x10, 0x10000),
        (1, 6, 0x3000, _BASE + 0x43000, 0x10, 0x20000, 0x10000),
        (0x6474E551, 6, 0, 0, 0, 0, 0),
    ]
    image = bytearray(IMAGE_SIZE)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    image[:64] = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + 0x11000, 64, 0, 0, 64, 56, 6, 0, 0, 0)
    for index, (kind, flags, offset, vaddr, filesz, memsz, align) in enumerate(segments):
        at = 64 + index * 56
        image[at : at + 56] = struct.pack("<IIQQQQQQ", kind, flags, offset, vaddr, vaddr, filesz, memsz, align)
    image[0x1000 : 0x1000 + len(code)] = code
    image[0x2000:0x2010] = b"first data......"
    image[0x3000:0x3010] = b"second data....."
    return bytes(image)


def with_field(image: bytes, name: str, value: int | bytes) -> bytes:
    """The image with one field of its ELF header changed."""
    offset, kind = _HEADER[name]
    return _patched(image, offset, kind, value)


def with_segment(image: bytes, index: int, **fields: int) -> bytes:
    """The image with fields of one program header changed."""
    for name, value in fields.items():
        offset, kind = _SEGMENT[name]
        image = _patched(image, 64 + index * 56 + offset, kind, value)
    return image


def note(owner: str, kind: int = 1, description: bytes = b"\1\0\0\0", alignment: int = 4) -> bytes:
    """One note, padded as in a segment of that alignment."""
    name = owner.encode() + b"\0"
    head = struct.pack("<III", len(name), len(description), kind) + name
    head = head.ljust(-(-len(head) // alignment) * alignment, b"\0") + description
    return head.ljust(-(-len(head) // alignment) * alignment, b"\0")


def with_notes(image: bytes, notes: bytes, alignment: int = 4) -> bytes:
    """The image of exit_program() with a PT_NOTE in place of its stack's segment."""
    image = image[:NOTES_OFFSET] + notes + image[NOTES_OFFSET + len(notes) :]
    return with_segment(
        image, 5, p_type=4, p_offset=NOTES_OFFSET, p_filesz=len(notes), p_memsz=len(notes), p_align=alignment
    )


def with_interpreter(image: bytes, path: str) -> bytes:
    """The image of exit_program() with a PT_INTERP in place of its PT_PHDR."""
    name = path.encode() + b"\0"
    image = image[:_INTERPRETER_OFFSET] + name + image[_INTERPRETER_OFFSET + len(name) :]
    return with_segment(image, 0, p_type=3, p_offset=_INTERPRETER_OFFSET, p_filesz=len(name), p_memsz=len(name))


def _patched(image: bytes, offset: int, kind: str, value: int | bytes) -> bytes:
    changed = bytearray(image)
    struct.pack_into("<" + kind, changed, offset, value)
    return bytes(changed)
