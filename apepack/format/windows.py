"""Embedding of Windows programs: the PE headers go into the prologue, the sections into an image.

Windows maps SizeOfHeaders bytes from the start of the file as headers, and finds the PE header by e_lfanew. Sections
may have any file offset below 4 GiB. The program keeps its addresses in memory.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from apepack.format.prologue import PE_HEADERS_SIZE_MAX, PROLOGUE_SIZE
from runtime.image.errors import NotEmbeddableError
from runtime.image.pe import DirectoryIndex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.image.pe import Pe, Section

__all__ = ["check_pe", "embed_pe", "relocated_pe_headers"]

_DEBUG_ENTRY_SIZE: Final = 28
_DEBUG_POINTER_OFFSET: Final = 24  # PointerToRawData in an entry of the debug directory
_FILE_OFFSET_END: Final = 1 << 32


def check_pe(pe: Pe) -> None:
    """Raise NotEmbeddableError with all reasons if PE cannot become part of an APE."""
    faults = tuple(_faults(pe))
    if faults:
        raise NotEmbeddableError(faults)


def _faults(pe: Pe) -> Iterator[str]:
    if pe.sections[0].virtual_address < PROLOGUE_SIZE:
        yield f"its first section is at {pe.sections[0].virtual_address:#x}, expected {PROLOGUE_SIZE:#x} at least"
    if PROLOGUE_SIZE % pe.optional.file_alignment:
        yield f"FileAlignment is {pe.optional.file_alignment}, expected {PROLOGUE_SIZE} at most"
    if len(pe.pack()) > PE_HEADERS_SIZE_MAX:
        yield f"its headers have {len(pe.pack())} bytes, at most {PE_HEADERS_SIZE_MAX} are possible"
    if pe.directory(DirectoryIndex.CERTIFICATE) != (0, 0):
        yield "it is signed, and a signature covers the whole file (sign the result instead)"


def relocated_pe_headers(pe: Pe, base: int) -> bytes:
    """Return the headers for the prologue of a file with the program at the offset BASE.

    Raises:
        NotEmbeddableError: the program would end above 4 GiB.
    """
    if base + pe.file_end > _FILE_OFFSET_END:
        raise NotEmbeddableError(
            (f"it would end at {base + pe.file_end:#x}, and Windows counts to {_FILE_OFFSET_END:#x}",)
        )
    return replace(
        pe,
        coff=replace(pe.coff, pointer_to_symbol_table=0, number_of_symbols=0),
        optional=replace(pe.optional, size_of_headers=PROLOGUE_SIZE, check_sum=0),
        sections=tuple(_relocated(section, base) for section in pe.sections),
    ).pack()


def embed_pe(data: bytes, pe: Pe, base: int) -> bytes:
    """Return the bytes of the program DATA for the file offset BASE, a multiple of 64 KiB."""
    image = bytearray(data[: pe.file_end])
    for at in _debug_pointer_offsets(pe):
        (pointer,) = struct.unpack_from("<I", image, at)
        if pointer:
            struct.pack_into("<I", image, at, pointer + base)
    return bytes(image)


def _relocated(section: Section, base: int) -> Section:
    if not section.size_of_raw_data:
        return replace(section, pointer_to_raw_data=0)
    return replace(section, pointer_to_raw_data=section.pointer_to_raw_data + base)


def _debug_pointer_offsets(pe: Pe) -> Iterator[int]:
    """Yield the offsets of file offsets in the debug directory. No other directory contains file offsets."""
    rva, size = pe.directory(DirectoryIndex.DEBUG)
    start = pe.file_offset(rva, size) if size else None
    if start is not None:
        for entry in range(start, start + size - _DEBUG_ENTRY_SIZE + 1, _DEBUG_ENTRY_SIZE):
            yield entry + _DEBUG_POINTER_OFFSET
