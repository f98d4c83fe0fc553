"""A Linux program made part of an APE: its bytes, changed so that any loader maps it from where it lies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from runtime.image.elf import Elf, ElfHeader, OsAbi, ProgramHeader, SegmentFlag, SegmentType
from runtime.image.errors import NotEmbeddableError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["embed_elf", "relocated_elf_header"]

_VADDR_MIN: Final = 0x10000  # Linux gives no program lower addresses


def embed_elf(data: bytes, elf: Elf, base: int) -> bytes:
    """Return the bytes of the program DATA for the file offset BASE, a multiple of 64 KiB.

    Only what is loaded is kept; sections and symbols are not. The program header table speaks of the whole file, as
    the header in the prologue does that points to it.

    Raises:
        NotEmbeddableError: its segments cannot be kept apart.
    """
    header = replace(elf.header, shoff=0, shentsize=0, shnum=0, shstrndx=0, flags=0)
    segments = [_relocated(segment, base) for segment in _with_loads_apart(elf.segments)]
    table = b"".join(segment.pack() for segment in segments)
    image = bytearray(data[: elf.file_end])
    image[: ElfHeader.SIZE] = header.pack()
    image[header.phoff : elf.phdrs_end] = table
    return bytes(image)


def relocated_elf_header(elf: Elf, base: int) -> ElfHeader:
    """Return the header that makes a file with the embedded program at BASE a native one."""
    # FreeBSD alone reads EI_OSABI; the value is the one that every APE in the field has here.
    return replace(
        elf.header, osabi=OsAbi.FREEBSD, abi_version=0, flags=0, phoff=base + elf.header.phoff,
        shoff=0, shentsize=0, shnum=0, shstrndx=0,
    )  # fmt: skip  # what changes, then what goes


def _relocated(segment: ProgramHeader, base: int) -> ProgramHeader:
    if segment.type == SegmentType.NULL:
        return ProgramHeader(SegmentType.NULL, 0, 0, 0, 0, 0, 0, 0)
    if segment.type != SegmentType.LOAD and not segment.filesz:
        return segment  # PT_GNU_STACK: it has no place in the file
    if _can_begin_at_zero(segment, base):
        return replace(
            segment, offset=0, vaddr=segment.vaddr - base, paddr=segment.paddr - base,
            filesz=segment.filesz + base, memsz=segment.memsz + base,
        )  # fmt: skip  # where it begins, then how far it goes
    return replace(segment, offset=segment.offset + base)


def _can_begin_at_zero(segment: ProgramHeader, base: int) -> bool:
    """Say whether a read-only segment of headers can take in all of the file before it.

    It need not, for Linux and for loaders. But qemu-user 7.2 takes for granted that the first segment begins with the
    file when it tells a program where its headers are, and C programs crash if that is wrong.
    """
    is_headers = segment.type == SegmentType.LOAD and segment.offset == 0 and segment.flags == SegmentFlag.R
    return is_headers and segment.vaddr >= base + _VADDR_MIN


def _with_loads_apart(segments: Sequence[ProgramHeader]) -> list[ProgramHeader]:
    """Order the table so that no loader in the field damages the program.

    The widespread one joins neighbours in the table that have equal flags, even where file and memory are differently
    far apart, and loses bytes: anything between the two prevents it. It also moves the table, so that a C library
    which computes its load address from PT_PHDR gets a wrong one. Without that entry it takes 0, which is right.
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
