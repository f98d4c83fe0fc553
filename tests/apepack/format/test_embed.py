"""A program's bytes as part of an APE."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from apepack.format.embed import embed_elf, extract_elf, relocated_elf_header
from runtime.image.elf import Elf, ProgramHeader, SegmentType, read_elf
from runtime.image.embedding import check_embeddable
from runtime.image.errors import NotEmbeddableError
from tests.builders.ape import LINUX, compiled
from tests.builders.elf import AARCH64, X86_64, exit_program, with_field, with_segment

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = 0x50000


def embedded(image: bytes) -> tuple[bytes, Elf]:
    """The embedded bytes, and what a file with them at BASE is when the header in the prologue is put in front."""
    elf = read_elf(image)
    data = embed_elf(image, elf, BASE)
    return data, read_elf(relocated_elf_header(elf, BASE).pack().ljust(BASE, b"\0") + data)


def joined_by_the_widespread_loader(
    segments: tuple[ProgramHeader, ...],
) -> Iterator[tuple[ProgramHeader, ProgramHeader]]:
    """Neighbours that it treats as one: it compares flags and whether page-rounded ranges touch, not more."""
    table = [segment for segment in segments if segment.type != SegmentType.LOAD or segment.memsz]
    for before, after in pairwise(table):
        if before.type != SegmentType.LOAD or after.type != SegmentType.LOAD or before.flags != after.flags:
            continue
        file_gap = (after.offset & -4096) - (-(-before.file_end // 4096) * 4096)
        memory_gap = (after.vaddr & -4096) - (-(-before.memory_end // 4096) * 4096)
        if file_gap <= 4096 and memory_gap <= 4096:
            yield before, after


@pytest.mark.needs_compiler
@pytest.mark.parametrize("name", LINUX)
def test_what_the_linker_makes_is_loaded_whole_by_every_loader(name: str) -> None:
    image = compiled("probe.cpp", name).read_bytes()
    before = read_elf(image)
    data, after = embedded(image)

    # On x86_64 this test would otherwise prove nothing; on aarch64 the linker's larger gaps already prevent it.
    assert bool(list(joined_by_the_widespread_loader(before.segments))) == (name == "linux-amd64")
    assert not list(joined_by_the_widespread_loader(after.segments))
    check_embeddable(after)
    assert len(data) == before.file_end < len(image)
    for old, new in zip(before.loads[1:], after.loads[1:], strict=True):
        assert (new.offset - old.offset, new.vaddr, new.filesz, new.memsz) == (BASE, old.vaddr, old.filesz, old.memsz)
        assert data[new.offset - BASE : new.file_end - BASE] == image[old.offset : old.file_end]


def test_the_header_leads_to_the_table_in_the_image() -> None:
    _, elf = embedded(with_field(with_field(exit_program(), "e_flags", 0x101CA75), "e_shnum", 30))

    header = elf.header
    assert (header.phoff, header.phnum, header.osabi, header.flags) == (BASE + 64, 6, 9, 0)
    assert (header.shoff, header.shentsize, header.shnum, header.shstrndx) == (0, 0, 0, 0)


def test_pt_phdr_is_emptied_and_keeps_equal_segments_apart() -> None:
    _, elf = embedded(exit_program())

    assert [segment.type for segment in elf.segments] == [1, 1, 1, 0, 1, 0x6474E551]
    assert elf.segments[3] == ProgramHeader(0, 0, 0, 0, 0, 0, 0, 0)


def test_segments_without_bytes_have_no_place_in_the_file() -> None:
    _, elf = embedded(exit_program())

    assert (elf.segments[5].type, elf.segments[5].offset) == (SegmentType.GNU_STACK, 0)


def test_the_first_segment_begins_with_the_file_where_addresses_allow_it() -> None:
    _, elf = embedded(exit_program())
    first = elf.loads[0]

    assert (first.offset, first.vaddr, first.filesz, first.memsz) == (0, 0x1000000 - BASE, BASE + 0x190, BASE + 0x190)
    executable = with_segment(exit_program(), 1, p_flags=5)
    assert embedded(executable)[1].loads[0].offset == BASE


def test_a_table_without_room_is_refused() -> None:
    crowded = with_segment(with_segment(exit_program(), 0, p_type=1, p_flags=6), 5, p_type=1, p_flags=6)

    with pytest.raises(NotEmbeddableError, match="no room"):
        embed_elf(crowded, read_elf(crowded), BASE)


@pytest.mark.parametrize("base", [0x10000, BASE])
@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_extracting_is_the_reverse(machine: int, base: int) -> None:
    image = exit_program(machine, status=5)
    elf = read_elf(image)

    extracted = extract_elf(embed_elf(image, elf, base), base)

    found = read_elf(extracted)
    assert [segment for segment in found.segments if segment.type == SegmentType.LOAD] == list(elf.loads)
    assert found.header.entry == elf.header.entry
    table = slice(elf.header.phoff, elf.phdrs_end)
    assert extracted[table.stop :] == image[table.stop : elf.file_end]


@pytest.mark.needs_compiler
@pytest.mark.parametrize("name", LINUX)
def test_an_extracted_program_has_the_segments_that_its_linker_made(name: str) -> None:
    image = compiled("probe.cpp", name).read_bytes()
    elf = read_elf(image)

    found = read_elf(extract_elf(embed_elf(image, elf, BASE), BASE))

    kept = [segment for segment in elf.segments if segment.type != SegmentType.PHDR]
    assert sorted(found.segments, key=lambda segment: segment.pack()) == sorted(
        [*kept, ProgramHeader(SegmentType.NULL, 0, 0, 0, 0, 0, 0, 0)] if len(kept) < len(elf.segments) else kept,
        key=lambda segment: segment.pack(),
    )
