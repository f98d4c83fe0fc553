"""Requirements for Linux programs in an APE, where a loader maps them from the file.

The rules are those of all loaders of ape(5), ours and the deployed ones of other makers: each program must be loadable
by the most limited of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from runtime.image.elf import Elf, ElfType, Machine, ProgramHeader, SegmentFlag, SegmentType
from runtime.image.errors import NotEmbeddableError
from zipalign.alignment import align_up

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "IMAGE_ALIGNMENT",
    "IMAGE_BASE",
    "LOADER_START",
    "PHNUM_MAX",
    "VADDR_MIN",
    "check_embeddable",
    "check_image_offset",
    "embedding_faults",
]

IMAGE_ALIGNMENT: Final = 65536  # the largest page of any arm64 system, and Windows' allocation granularity

# Address of our Linux programs. No file offset of one reaches it, and the 2 GiB of the small code model are far above.
IMAGE_BASE: Final = 0x20000000
VADDR_MIN: Final = 0x10000  # Linux maps nothing below this address
LOADER_START: Final = 0x700000000  # address of our loader, far from programs and the heap behind them
PHNUM_MAX: Final = 18  # other loaders read 1024 bytes of program headers at most
_VADDR_END: Final = 1 << 38  # systems with 39 bits of address space, half of it for programs
_PAGE_SIZES: Final = {Machine.X86_64: 4096, Machine.AARCH64: 65536}  # the largest page of each machine
_RESERVED_RANGES: Final = (
    (0x7F000000, 0x7F003000, "other loaders for x86_64"),
    (LOADER_START, LOADER_START + 0x40000, "our loader"),
)


def check_embeddable(elf: Elf) -> None:
    """Raise NotEmbeddableError, with every reason, when ELF cannot become part of an APE."""
    faults = tuple(embedding_faults(elf))
    if faults:
        raise NotEmbeddableError(faults)


def check_image_offset(elf: Elf, image_offset: int) -> None:
    """Raise NotEmbeddableError if emulators could not start ELF from IMAGE_OFFSET in an APE.

    qemu-user takes p_vaddr - p_offset for the address at which offset 0 of the file is mapped, and computes AT_PHDR
    from it. It crashes if the difference is negative. Linux and the loaders accept it.
    """
    for load in elf.loads:
        offset = image_offset + load.offset
        if load.filesz and load.vaddr < offset + VADDR_MIN:
            fault = (
                f"the segment at {load.vaddr:#x} would be at offset {offset:#x} of the file, and emulators do not run "
                f"programs whose offsets exceed their addresses (link it with -Wl,--image-base={IMAGE_BASE:#x})"
            )
            raise NotEmbeddableError((fault,))


def embedding_faults(elf: Elf) -> Iterator[str]:
    """Yield each reason why ELF cannot become part of an APE, as a clause."""
    machine = elf.header.machine
    if machine not in _PAGE_SIZES:
        yield f"e_machine {machine} is neither x86_64 (62) nor aarch64 (183)"
        return
    page = _PAGE_SIZES[Machine(machine)]
    yield from _kind_faults(elf)
    yield from _place_faults(elf)
    for load in elf.loads:
        yield from _load_faults(load, page)
    for before, after in pairwise(elf.loads):
        yield from _pair_faults(before, after, page)


def _kind_faults(elf: Elf) -> Iterator[str]:
    if elf.has(SegmentType.INTERP) or elf.has(SegmentType.DYNAMIC):
        yield "it is dynamically linked or position-independent (link it with -static and -no-pie)"
    elif elf.header.type != ElfType.EXEC:
        yield f"e_type is {elf.header.type}, expected 2 (ET_EXEC)"
    if elf.header.phnum > PHNUM_MAX:
        yield f"it has {elf.header.phnum} program headers, at most {PHNUM_MAX} are possible"


def _place_faults(elf: Elf) -> Iterator[str]:
    if not elf.loads:
        yield "it has no PT_LOAD segment"
        return
    if not any(load.offset <= elf.header.phoff and elf.phdrs_end <= load.file_end for load in elf.loads):
        yield "its program headers are not inside a segment"
    entry = elf.header.entry
    executable = (load for load in elf.loads if load.flags & SegmentFlag.X)
    if not any(load.vaddr <= entry < load.vaddr + load.filesz for load in executable):
        yield f"e_entry {entry:#x} is not inside an executable segment"


def _load_faults(load: ProgramHeader, page: int) -> Iterator[str]:
    at = f"the segment at {load.vaddr:#x}"
    if load.flags & SegmentFlag.W and load.flags & SegmentFlag.X:
        yield f"{at} is both writable and executable"
    if load.memory_end > _VADDR_END:
        yield f"{at} ends above {_VADDR_END:#x}, where some arm64 systems have no addresses"
    if load.filesz and (load.vaddr - load.offset) % page:
        yield f"{at} has a p_offset that differs from p_vaddr modulo {page} (link with -z max-page-size={page})"
    for start, end, owner in _RESERVED_RANGES:
        if load.vaddr < end and start < load.memory_end:
            yield f"{at} overlaps {start:#x}-{end:#x}, the addresses of {owner}"


def _pair_faults(before: ProgramHeader, after: ProgramHeader, page: int) -> Iterator[str]:
    if after.vaddr < before.vaddr:
        yield f"the segment at {after.vaddr:#x} comes after the one at {before.vaddr:#x}"
    elif after.vaddr < align_up(before.memory_end, page):
        yield f"the segments at {before.vaddr:#x} and {after.vaddr:#x} share a page of {page} bytes"
