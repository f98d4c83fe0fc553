"""A file as bytes that are read when they are looked at, so that an image is found without reading gigabytes."""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Final

from zipalign.input_file import map_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_view"]

# MAP_NORESERVE, which Python names since 3.13: Linux refuses to map a file larger than its memory without it, as if
# all of it were to be changed. Other systems do not count in advance.
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0


def file_view(path: Path, head: bytes = b"") -> memoryview:
    """Return the contents of the file PATH as they would be if it began with HEAD, which is not longer than it.

    The file is opened anew: a view may live as long as the exception that speaks of it, and must not keep a lock.
    """
    if not head or not path.stat().st_size:
        return map_file(path)
    with path.open("rb") as file:
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        private = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | _NO_RESERVE, prot=protection)
    private[: len(head)] = head
    return memoryview(private)
