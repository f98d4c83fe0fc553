"""Where everything in an APE lies, decided before the first byte is written.

0x0000   magic, script, printf headers
0x0fc0   the first 64 bytes again
0x1000   loaders, each at a multiple of 64 bytes; behind them, if there is one, the archive's first member
0x10000  images, each at a multiple of 64 KiB; behind them compressed programs, each at a multiple of 4 KiB
end      at a multiple of 64 bytes, and not before the size of any program that is unpacked: becoming native for its
         system overwrites that much, and an archive that begins here survives
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError
from apepack.format.prologue import PROLOGUE_SIZE
from apepack.format.script import BLOCK_SIZE
from apepack.format.unpacked import UNPACKED_BLOCK_SIZE
from runtime.image.embedding import IMAGE_ALIGNMENT
from zipalign.alignment import align_up

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Layout", "Span", "plan_layout"]

_IMAGES_OFFSET: Final = IMAGE_ALIGNMENT


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the file, in bytes."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Layout:
    """The ranges of an APE's parts, in the order of the sizes they were reserved for."""

    loaders: tuple[Span, ...]
    first_member: Span
    images: tuple[Span, ...]
    streams: tuple[Span, ...]
    images_end: int


def plan_layout(
    loader_sizes: Sequence[int],
    first_member_size: int,
    image_sizes: Sequence[int],
    stream_sizes: Sequence[int] = (),
    end_min: int = 0,
) -> Layout:
    """Reserve the place of each loader, of the archive's first member, of each image and of each compressed program.

    Nothing else shall begin before END_MIN.

    Raises:
        LayoutError: what comes before the first image does not fit there.
    """
    loaders = _place_spans(loader_sizes, PROLOGUE_SIZE, BLOCK_SIZE)
    first_member = Span(align_up(loaders[-1].end if loaders else PROLOGUE_SIZE, BLOCK_SIZE), first_member_size)
    if first_member.end > _IMAGES_OFFSET:
        raise LayoutError(
            f"what precedes the images ends at {first_member.end:#x} (expected {_IMAGES_OFFSET:#x} at most)"
        )
    images = _place_spans(image_sizes, _IMAGES_OFFSET, IMAGE_ALIGNMENT)
    streams = _place_spans(stream_sizes, images[-1].end if images else _IMAGES_OFFSET, UNPACKED_BLOCK_SIZE)
    last = max([first_member.end, end_min, *(span.end for span in (*images, *streams))])
    return Layout(loaders, first_member, images, streams, align_up(last, BLOCK_SIZE))


def _place_spans(sizes: Sequence[int], start: int, alignment: int) -> tuple[Span, ...]:
    spans = []
    for size in sizes:
        span = Span(align_up(start, alignment), size)
        spans.append(span)
        start = span.end
    return tuple(spans)
