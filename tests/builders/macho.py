"""macOS programs, with an optional ad-hoc signature, and changes of single fields."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

__all__ = [
    "AMD64",
    "ARM64",
    "COMMANDS",
    "build_version",
    "code_directory",
    "command",
    "entry_point",
    "macho_program",
    "macho_with",
    "named",
    "segment",
    "signature_at",
    "signed",
    "static_macho",
    "super_blob",
    "thread_state",
    "version_min",
    "with_command",
    "with_header",
    "with_signature_bytes",
]

AMD64: Final = 0x01000007
ARM64: Final = 0x0100000C
# Where the commands of macho_program() begin in the file.
COMMANDS: Final = {"__PAGEZERO": 32, "__TEXT": 104, "__DATA": 256, "__LINKEDIT": 408, "dylinker": 480, "main": 512}

_PAGE: Final = 0x4000
_BASE: Final = 1 << 32
_CODE_OFFSET: Final = 0x400
_SEGMENT: Final = {
    "cmdsize": (4, "I"), "segname": (8, "16s"), "vmaddr": (24, "Q"), "vmsize": (32, "Q"), "fileoff": (40, "Q"),
    "filesize": (48, "Q"), "maxprot": (56, "I"), "initprot": (60, "I"), "nsects": (64, "I"),
}  # fmt: skip  # a table
_HEADER: Final = {
    "magic": (0, "4s"), "cputype": (4, "I"), "cpusubtype": (8, "I"), "filetype": (12, "I"), "ncmds": (16, "I"),
    "sizeofcmds": (20, "I"), "flags": (24, "I"),
}  # fmt: skip  # a table
_FIELDS: Final = _SEGMENT | {
    "cmd": (0, "I"), "entryoff": (8, "Q"), "dataoff": (8, "I"), "datasize": (12, "I"), "flavor": (8, "I"),
    "count": (12, "I"), "name": (8, "I"), "platform": (8, "I"), "section_offset": (72 + 48, "I"),
    "section_flags": (72 + 64, "I"),
}  # fmt: skip  # a table


def command(cmd: int, body: bytes) -> bytes:
    """A load command."""
    return struct.pack("<II", cmd, 8 + len(body)) + body


def segment(
    name: str,
    memory: tuple[int, int],
    file: tuple[int, int],
    protection: int,
    section: tuple[str, int, int, int] = ("", 0, 0, 0),
) -> bytes:
    """An LC_SEGMENT_64: address and size in memory, offset and size in the file; with one section if that is named.

    A section is its name, its address, its size, and its offset in the file.
    """
    sections = b""
    if section[0]:
        sections = struct.pack(
            "<16s16sQQIIIIIIII", section[0].encode(), name.encode(), *section[1:], 2, 0, 0, 0x80000400, 0, 0, 0
        )
    head = struct.pack("<16sQQQQIIII", name.encode(), *memory, *file, protection, protection, bool(sections), 0)
    return command(0x19, head + sections)


def named(cmd: int, name: str, numbers: int = 0) -> bytes:
    """A load command with a name, and NUMBERS words in front of it."""
    body = struct.pack(f"<I{numbers}I", 12 + 4 * numbers, *[1] * numbers) + name.encode() + b"\0"
    return command(cmd, body.ljust(-(-(8 + len(body)) // 8) * 8 - 8, b"\0"))


def entry_point(offset: int = _CODE_OFFSET) -> bytes:
    """An LC_MAIN."""
    return command(0x80000028, struct.pack("<QQ", offset, 0))


def thread_state(machine: int, address: int) -> bytes:
    """An LC_UNIXTHREAD that begins at an address."""
    flavor, words, index = (4, 42, 16) if machine == AMD64 else (6, 68, 32)
    registers = bytearray(words * 4)
    struct.pack_into("<Q", registers, index * 8, address)
    return command(0x5, struct.pack("<II", flavor, words) + registers)


def build_version(platform: int = 1) -> bytes:
    """An LC_BUILD_VERSION with one tool."""
    return command(0x32, struct.pack("<IIIIII", platform, 13 << 16, 14 << 16, 1, 3, 0))


def version_min(cmd: int) -> bytes:
    """An LC_VERSION_MIN_…, the older form of it."""
    return command(cmd, struct.pack("<II", 10 << 16, 11 << 16))


def macho_with(machine: int, commands: list[bytes], size: int, flags: int = 0x200085) -> bytes:
    """A program of these load commands, and code and data that are no more than bytes."""
    header = struct.pack(
        "<4sIIIIIII",
        b"\xcf\xfa\xed\xfe",
        machine,
        3 if machine == AMD64 else 0,
        2,
        len(commands),
        sum(map(len, commands)),
        flags,
        0,
    )
    head = header + b"".join(commands)
    return (
        head
        + (b"\x5a" * _CODE_OFFSET)[: _CODE_OFFSET - len(head)]
        + b"code" * ((size - max(len(head), _CODE_OFFSET)) // 4)
    )


def macho_program(machine: int = ARM64, *others: bytes, signature: bool = False, entry: bytes | None = None) -> bytes:
    """A program with three segments of a page each, as linkers make them, and room for a signature in the last one.

    Its load commands: those in COMMANDS, then OTHERS, LC_BUILD_VERSION if there are none, and LC_CODE_SIGNATURE.
    """
    commands = [
        segment("__PAGEZERO", (0, _BASE), (0, 0), 0),
        segment("__TEXT", (_BASE, _PAGE), (0, _PAGE), 5, ("__text", _BASE + _CODE_OFFSET, 16, _CODE_OFFSET)),
        segment("__DATA", (_BASE + _PAGE, 2 * _PAGE), (_PAGE, 0x1000), 3, ("__data", _BASE + _PAGE, 16, _PAGE)),
        segment("__LINKEDIT", (_BASE + 3 * _PAGE, _PAGE), (2 * _PAGE, 0x100), 1),
        named(0xE, "/usr/lib/dyld"),
        entry if entry is not None else entry_point(),
        *(others or (build_version(),)),
    ]
    program = macho_with(machine, commands, 2 * _PAGE + 0x100)
    return signed(program) if signature else program


def static_macho() -> bytes:
    """An x86_64 program as APE files of other makers hold its header: started by the kernel, without __LINKEDIT."""
    commands = [
        segment("__PAGEZERO", (0, 0x200000), (0, 0), 0),
        segment("__APE1", (0x3F0000, 0x11000), (0, 0x11000), 5),
        segment("__APE2", (0x401000, 0x8000), (0x11000, 0x1000), 3),
        command(0x1B, bytes(range(16))),
        thread_state(AMD64, 0x400000),
    ]
    program = bytearray(macho_with(AMD64, commands, 0x12000, flags=1))
    at = 32 + len(commands[0])
    for offset in (at, at + 72):
        struct.pack_into("<I", program, offset + 56, 7)  # maxprot
    return bytes(program)


def signed(program: bytes, page_size: int = 12, others: dict[int, bytes] | None = None, flags: int = 2) -> bytes:
    """The program with LC_CODE_SIGNATURE and an ad-hoc signature; OTHERS are further blobs of it by slot."""
    others = others or {}
    ncmds, sizeofcmds = struct.unpack_from("<II", program, 16)
    limit, at = len(program), COMMANDS["__LINKEDIT"]
    size = len(super_blob({0: code_directory(program, page_size, others, flags), **others}))
    changed = bytearray(program)
    struct.pack_into("<II", changed, 16, ncmds + 1, sizeofcmds + 16)
    changed[32 + sizeofcmds : 48 + sizeofcmds] = command(0x1D, struct.pack("<II", limit, size))
    fileoff = struct.unpack_from("<Q", program, at + 40)[0]
    struct.pack_into("<Q", changed, at + 48, limit + size - fileoff)
    return bytes(changed) + super_blob({0: code_directory(bytes(changed), page_size, others, flags), **others})


def code_directory(
    covered: bytes, page_size: int = 12, others: dict[int, bytes] | None = None, flags: int = 2
) -> bytes:
    """A code directory: the SHA-256 of each page of its range, and of the blobs with special slots."""
    special = {slot: blob for slot, blob in (others or {}).items() if slot < 0x1000}
    hashes = {slot: hashlib.sha256(blob).digest() for slot, blob in special.items()}
    slots = [hashes.get(slot, bytes(32)) for slot in range(max(special, default=0), 0, -1)]
    starts = range(0, len(covered), 1 << page_size)
    pages = [hashlib.sha256(covered[start : start + (1 << page_size)]).digest() for start in starts]
    identifier = b"program\0"
    hash_offset = 88 + len(identifier) + 32 * len(slots)
    head = struct.pack(
        ">IIIIIIIIIBBBBIIIIQQQQ", 0xFADE0C02, hash_offset + 32 * len(pages), 0x20400, flags, hash_offset, 88,
        len(slots), len(pages), len(covered), 32, 2, 0, page_size, 0, 0, 0, 0, 0, 0, 0x4000, 1,
    )  # fmt: skip  # the fields in their order
    return head + identifier + b"".join(slots) + b"".join(pages)


def super_blob(blobs: dict[int, bytes]) -> bytes:
    """A signature of these blobs by slot."""
    index, offset = b"", 12 + 8 * len(blobs)
    for slot, blob in blobs.items():
        index += struct.pack(">II", slot, offset)
        offset += len(blob)
    return struct.pack(">III", 0xFADE0CC0, offset, len(blobs)) + index + b"".join(blobs.values())


def signature_at(program: bytes) -> int:
    """Where the signature begins."""
    (sizeofcmds,) = struct.unpack_from("<I", program, 20)
    return int(struct.unpack_from("<I", program, 32 + sizeofcmds - 8)[0])


def with_header(program: bytes, **fields: int | bytes) -> bytes:
    """The program with fields of its header changed."""
    for name, value in fields.items():
        program = _patched(program, _HEADER[name][0], _HEADER[name][1], value)
    return program


def with_command(program: bytes, at: int, **fields: int | bytes) -> bytes:
    """The program with fields of the load command at offset AT changed."""
    for name, value in fields.items():
        program = _patched(program, at + _FIELDS[name][0], _FIELDS[name][1], value)
    return program


def with_signature_bytes(program: bytes, offset: int, kind: str, value: int) -> bytes:
    """The program with a big-endian number in its signature changed."""
    return _patched(program, signature_at(program) + offset, kind, value, order=">")


def _patched(program: bytes, offset: int, kind: str, value: int | bytes, order: str = "<") -> bytes:
    changed = bytearray(program)
    struct.pack_into(order + kind, changed, offset, value)
    return bytes(changed)
