"""Embedding of Linux programs: changes the ELF headers so that loaders map the program from its place in an APE."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from runtime.image.elf import (
    Elf,
    ElfHeader,
    OsAbi,
    ProgramHeader,
    SegmentFlag,
    SegmentType,
    read_elf_header,
    read_segments,
)
from runtime.image.embedding import VADDR_MIN
from runtime.image.errors import NotEmbeddableError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["embed_elf", "extract_elf", "relocated_elf_header"]


def embed_elf(data: bytes, elf: Elf, base: int) -> bytes:
    """Return the bytes of the program DATA for the file offset BASE, a multiple of 64 KiB.

    Sections and symbols are removed. Offsets in the program header table count from the start of the APE.

    Raises:
        NotEmbeddableError: the table has no entry left to separate PT_LOAD entries with equal flags.
    """
    header = replace(elf.header, shoff=0, shentsize=0, shnum=0, shstrndx=0, flags=0)
    segments = [_relocated(segment, base) for segment in _with_loads_apart(elf.segments)]
    table = b"".join(segment.pack() for segment in segments)
    image = bytearray(data[: elf.file_end])
    image[: ElfHeader.SIZE] = header.pack()
    image[header.phoff : elf.phdrs_end] = table
    return bytes(image)


def extract_elf(image: bytes | memoryview, base: int) -> bytes:
    """Return the program of its own that embed_elf() made IMAGE from, at offset BASE; sections and symbols are gone.

    Raises:
        RuntimePackageError: its headers are damaged.
    """
    header = read_elf_header(image)
    table = image[header.phoff : header.phoff + header.phdrs_size]
    segments = [_returned(segment, base) for segment in read_segments(table, header.phoff, base + len(image))]
    program = bytearray(image)
    program[header.phoff : header.phoff + header.phdrs_size] = b"".join(segment.pack() for segment in segments)
    return bytes(program)


def relocated_elf_header(elf: Elf, base: int) -> ElfHeader:
    """Return the ELF header that turns an APE with the embedded program at BASE into a native program."""
    # Only FreeBSD reads EI_OSABI. This value is the one in all known APE files.
    return replace(
        elf.header, osabi=OsAbi.FREEBSD, abi_version=0, flags=0, phoff=base + elf.header.phoff,
        shoff=0, shentsize=0, shnum=0, shstrndx=0,
    )  # fmt: skip  # what changes, then what goes


def _relocated(segment: ProgramHeader, base: int) -> ProgramHeader:
    if segment.type == SegmentType.NULL:
        return ProgramHeader(SegmentType.NULL, 0, 0, 0, 0, 0, 0, 0)
    if segment.type != SegmentType.LOAD and not segment.filesz:
        return segment  # PT_GNU_STACK, which has no bytes in the file
    if _can_begin_at_zero(segment, base):
        return replace(
            segment, offset=0, vaddr=segment.vaddr - base, paddr=segment.paddr - base,
            filesz=segment.filesz + base, memsz=segment.memsz + base,
        )  # fmt: skip  # where it begins, then how far it goes
    return replace(segment, offset=segment.offset + base)


def _returned(segment: ProgramHeader, base: int) -> ProgramHeader:
    """Return SEGMENT as it was before _relocated(), but for its type."""
    if segment.type == SegmentType.NULL or (segment.type != SegmentType.LOAD and not segment.filesz):
        return segment
    if segment.offset:
        return replace(segment, offset=segment.offset - base)
    return replace(
        segment, vaddr=segment.vaddr + base, paddr=segment.paddr + base,
        filesz=segment.filesz - base, memsz=segment.memsz - base,
    )  # fmt: skip  # where it begins, then how far it goes


def _can_begin_at_zero(segment: ProgramHeader, base: int) -> bool:
    """Return whether a read-only segment of headers can be extended to offset 0 of the file.

    Linux and loaders do not need this. But qemu-user 7.2 computes AT_PHDR under the assumption that the first segment
    starts at offset 0, and C programs crash if AT_PHDR is wrong.
    """
    is_headers = segment.type == SegmentType.LOAD and segment.offset == 0 and segment.flags == SegmentFlag.R
    return is_headers and segment.vaddr >= base + VADDR_MIN


def _with_loads_apart(segments: Sequence[ProgramHeader]) -> list[ProgramHeader]:
    """Order the table so that no known loader damages the program.

    Cosmopolitan's loader joins adjacent PT_LOAD entries with equal flags, even if their distances in the file and in
    memory differ, and then maps wrong bytes. Another entry between the two prevents this. It also moves the table, so
    that a C library that computes its load address from PT_PHDR gets a wrong address. Without PT_PHDR it assumes 0,
    which is correct.
    """
    loads = [segment for segment in segments if segment.type == SegmentType.LOAD]
    others = [
        replace(segment, type=SegmentType.NULL) if segment.type == SegmentType.PHDR else segment
        for segment in segments
        if segment.type != SegmentType.LOAD
    ]
    ordered = loads[:1]
    for before, after in pairwise(loads):
        if before.flags == after.flags:
            if not others:
                raise NotEmbeddableError(("its program headers leave no room to keep equal segments apart",))
            ordered.append(others.pop(0))
        ordered.append(after)
    return ordered + others
