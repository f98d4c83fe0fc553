"""A file's bytes without reading them: those that are looked at, and no others, come into memory."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from zipalign.output_file import opened

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["map_file"]


def map_file(path: Path | str) -> memoryview:
    """Return the bytes of the file PATH.

    Raises:
        InputFileError: it is a folder, a pipe or a device.
        OSError: it cannot be read.
    """
    with opened(path) as fd:
        if not os.fstat(fd).st_size:
            return memoryview(b"")  # which cannot be mapped
        # Not closed by hand: as long as anything refers to the bytes, an error with its traceback for one, it cannot.
        return memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
