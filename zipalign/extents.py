"""The data and the holes of sparse files.

A hole reads as zeros and takes no space. File systems without holes report data only.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Extent", "extents", "hole_size", "may_have_holes"]

_BLOCK_SIZE: Final = 512  # the unit of st_blocks


class Extent(NamedTuple):
    """A part of a file, from `start` to `end` in bytes."""

    start: int
    end: int
    is_hole: bool


def may_have_holes(status: os.stat_result) -> bool:
    """Return whether a file takes less space than its size."""
    return status.st_blocks * _BLOCK_SIZE < status.st_size


def extents(fd: int, start: int, end: int) -> Iterator[Extent]:
    """Yield the data and the holes of a range of a file in order; ends early if the file does."""
    status = os.fstat(fd)
    end = min(end, status.st_size)
    if not (may_have_holes(status) and hasattr(os, "SEEK_DATA")):
        if start < end:
            yield Extent(start, end, is_hole=False)
        return
    while start < end:
        data_offset = _seek(fd, start, os.SEEK_DATA, end, fallback=start)
        if start < data_offset:
            yield Extent(start, data_offset, is_hole=True)
        data_end = _seek(fd, data_offset, os.SEEK_HOLE, end, fallback=end)
        if data_offset < data_end:
            yield Extent(data_offset, data_end, is_hole=False)
        start = data_end


def hole_size(fd: int, start: int, end: int) -> int:
    """Return the number of bytes in holes of a range of a file."""
    return sum(extent.end - extent.start for extent in extents(fd, start, end) if extent.is_hole)


def _seek(fd: int, offset: int, whence: int, end: int, *, fallback: int) -> int:
    try:
        return min(os.lseek(fd, offset, whence), end)
    except OSError as e:
        # ENXIO: nothing but a hole, or nothing at all, up to the end of the file. Others: holes are not supported.
        return end if e.errno == errno.ENXIO else fallback
