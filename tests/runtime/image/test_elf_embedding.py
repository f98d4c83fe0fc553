"""Which programs can become part of an APE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.image.elf import read_elf
from runtime.image.embedding import check_embeddable, check_image_offset, embedding_faults
from runtime.image.errors import NotEmbeddableError
from tests.builders.elf import AARCH64, X86_64, exit_program, with_field, with_segment

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_a_static_program_has_no_fault(machine: int) -> None:
    check_embeddable(read_elf(exit_program(machine)))


FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "e_machine": (lambda image: with_field(image, "e_machine", 21), "neither x86_64"),
    "position-independent": (lambda image: with_field(image, "e_type", 3), "expected 2"),
    "object file": (lambda image: with_field(image, "e_type", 1), "expected 2"),
    "PT_INTERP": (lambda image: with_segment(image, 5, p_type=3), "dynamically linked"),
    "PT_DYNAMIC": (lambda image: with_segment(image, 5, p_type=2), "dynamically linked"),
    "entry in data": (lambda image: with_field(image, "e_entry", 0x1022000), "e_entry 0x1022000"),
    "entry behind the code": (lambda image: with_field(image, "e_entry", 0x1011100), "e_entry"),
    "writable and executable": (lambda image: with_segment(image, 2, p_flags=7), "both writable and executable"),
    "headers not loaded": (lambda image: with_segment(image, 1, p_type=0), "not inside a segment"),
    "unsorted": (lambda image: with_segment(image, 3, p_vaddr=0x1102000), "comes after"),
    "overlap": (lambda image: with_segment(image, 4, p_vaddr=0x1023000), "share a page"),
    "shared page": (lambda image: with_segment(image, 2, p_memsz=0x10010), "share a page"),
    "too high": (lambda image: with_segment(image, 4, p_vaddr=0x4000003000), "above 0x4000000000"),
    "in another loader": (lambda image: with_segment(image, 4, p_vaddr=0x7EFF3000), "other loaders"),
    "in our loader": (lambda image: with_segment(image, 4, p_vaddr=0x700003000), "our loader"),
    "nothing loaded": (
        lambda image: with_segment(
            with_segment(with_segment(with_segment(image, 1, p_type=0), 2, p_type=0), 3, p_type=0), 4, p_type=0
        ),
        "no PT_LOAD",
    ),
}  # fmt: skip  # one row, one line


@pytest.mark.parametrize(("change", "word"), FAULTS.values(), ids=FAULTS)
def test_faults(change: Callable[[bytes], bytes], word: str) -> None:
    elf = read_elf(change(exit_program(AARCH64)))

    assert any(word in fault for fault in embedding_faults(elf))
    with pytest.raises(NotEmbeddableError, match=word) as caught:
        check_embeddable(elf)
    assert caught.value.faults == tuple(embedding_faults(elf))


def test_offsets_need_to_suit_the_largest_page_of_the_machine_only() -> None:
    def moved(machine: int) -> bytes:
        return with_segment(exit_program(machine), 3, p_vaddr=0x1023000, p_align=0x1000)

    check_embeddable(read_elf(moved(X86_64)))
    with pytest.raises(NotEmbeddableError, match="max-page-size=65536"):
        check_embeddable(read_elf(moved(AARCH64)))


def test_more_than_18_program_headers_are_too_many() -> None:
    image = exit_program()
    many = image[:64] + image[64 : 64 + 6 * 56] + bytes(13 * 56)
    image = with_field(many + image[len(many) :], "e_phnum", 19)

    with pytest.raises(NotEmbeddableError, match="19 program headers"):
        check_embeddable(read_elf(image))


def test_offsets_beyond_the_addresses() -> None:
    elf = read_elf(exit_program(AARCH64))

    for image_offset in (0x10000, 0xFE0000):
        check_image_offset(elf, image_offset)
    with pytest.raises(NotEmbeddableError, match="image-base=0x20000000"):
        check_image_offset(elf, 0x1000000)
