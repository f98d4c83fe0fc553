"""A file mapped into memory, so that images are found without reading gigabytes."""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Final

from zipalign.input_file import map_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_view"]

# MAP_NORESERVE, a name of Python since 3.13. Without it, Linux refuses to map a file larger than its memory writable.
# Other systems reserve no memory.
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0


def file_view(path: Path, head: bytes = b"") -> memoryview:
    """Return the contents of the file PATH with HEAD in place of its first bytes; HEAD is not longer than the file.

    The file is opened again: a view may live as long as an exception that refers to it, and must not keep a lock.
    """
    if not head or not path.stat().st_size:
        return map_file(path)
    with path.open("rb") as file:
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        private = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | _NO_RESERVE, prot=protection)
    private[: len(head)] = head
    return memoryview(private)
