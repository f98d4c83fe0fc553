"""The replacement of a file's first megabytes: at any moment, the file is the old one, the new one, or marked.

The first sector becomes a marker, then the bytes behind it are written, and finally the first sector, with a sync after
each step. The caller keeps the overwritten bytes elsewhere, on the disk, before it begins.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zipalign.output_file import OutputFile

__all__ = ["MARKER_SIZE", "marked", "overwrite_head"]

MARKER_SIZE: Final = 512  # one sector, which disks write as a whole


@contextmanager
def marked(output_file: OutputFile, first_sector: bytes | memoryview, marker: bytes) -> Iterator[None]:
    """Have the file begin with MARKER while the block writes behind it, and with FIRST_SECTOR afterwards.

    If the block or a write fails, MARKER stays.
    """
    try:
        output_file.write(marker, 0)
        output_file.sync()
        yield
        output_file.sync()
        output_file.write(first_sector, 0)
        output_file.sync()
    except BaseException:
        with suppress(OSError):
            output_file.write(marker, 0)
            output_file.sync()
        raise


def overwrite_head(output_file: OutputFile, new: bytes | memoryview, marker: bytes) -> None:
    """Write NEW over the start of the file, its first sector last; if that fails, MARKER stays."""
    with marked(output_file, new[:MARKER_SIZE], marker):
        output_file.write(memoryview(new)[MARKER_SIZE:], MARKER_SIZE)
