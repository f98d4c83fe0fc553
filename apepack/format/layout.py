"""The offsets of all parts of an APE, computed before the first byte is written.

0x0000   magic, script with ELF headers, PE headers
0x0fc0   copy of the first 64 bytes
0x1000   loaders, each at a multiple of 64 bytes, then the second part of the script, then the archive's first member
0x10000  images, each at a multiple of 64 KiB, then compressed programs, each at a multiple of 4 KiB
end      a multiple of 64 bytes, not less than the unpacked size of any compressed program: assimilation writes the
         unpacked program to the start of the file, and must not overwrite the archive that begins here
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError
from apepack.format.prologue import PROLOGUE_SIZE
from apepack.format.script import BLOCK_SIZE
from runtime.image.embedding import IMAGE_ALIGNMENT
from runtime.image.stream import STREAM_BLOCK_SIZE
from zipalign.alignment import align_up

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Layout", "Span", "plan_layout"]

_IMAGES_OFFSET: Final = IMAGE_ALIGNMENT


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the file. Offset and size are in bytes."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Layout:
    """The ranges of an APE's parts, in the order of the sizes given to plan_layout()."""

    loaders: tuple[Span, ...]
    second_part: Span  # of the script
    first_member: Span
    images: tuple[Span, ...]
    streams: tuple[Span, ...]
    images_end: int


def plan_layout(
    loader_sizes: Sequence[int],
    second_part_size: int,
    first_member_size: int,
    image_sizes: Sequence[int],
    stream_sizes: Sequence[int] = (),
    end_min: int = 0,
) -> Layout:
    """Return the ranges of these parts. Of the script, only the second part is one of them.

    The end of the layout is END_MIN or more.

    Raises:
        LayoutError: the parts before the first image do not fit there.
    """
    loaders = _place_spans(loader_sizes, PROLOGUE_SIZE, BLOCK_SIZE)
    loaders_end = loaders[-1].end if loaders else PROLOGUE_SIZE
    second_part, first_member = _place_spans([second_part_size, first_member_size], loaders_end, BLOCK_SIZE)
    if first_member.end > _IMAGES_OFFSET:
        raise LayoutError(
            f"what precedes the images ends at {first_member.end:#x} (expected {_IMAGES_OFFSET:#x} at most)"
        )
    images = _place_spans(image_sizes, _IMAGES_OFFSET, IMAGE_ALIGNMENT)
    streams = _place_spans(stream_sizes, images[-1].end if images else _IMAGES_OFFSET, STREAM_BLOCK_SIZE)
    last = max([first_member.end, end_min, *(span.end for span in (*images, *streams))])
    return Layout(loaders, second_part, first_member, images, streams, align_up(last, BLOCK_SIZE))


def _place_spans(sizes: Sequence[int], start: int, alignment: int) -> tuple[Span, ...]:
    spans = []
    for size in sizes:
        span = Span(align_up(start, alignment), size)
        spans.append(span)
        start = span.end
    return tuple(spans)
