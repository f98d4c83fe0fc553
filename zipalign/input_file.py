"""Files that are only read: regular files, opened or mapped."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from typing import TYPE_CHECKING

from zipalign.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["map_file", "open_input"]


@contextlib.contextmanager
def open_input(path: Path | str) -> Iterator[int]:
    """Open a file for reading; yields its descriptor.

    Raises:
        InputFileError: it is a directory, a pipe or a device.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # does not wait for the other end of a FIFO
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise InputFileError.irregular(path, mode)
        yield fd
    finally:
        os.close(fd)


def map_file(path: Path | str) -> memoryview:
    """Map a file into memory; only pages that are accessed are read.

    Raises:
        InputFileError: it is a directory, a pipe or a device.
        OSError: it cannot be read.
    """
    with open_input(path) as fd:
        if not os.fstat(fd).st_size:
            return memoryview(b"")  # an empty file cannot be mapped
        # Never closed explicitly: it cannot be while anything, such as an exception's traceback, refers to the bytes.
        return memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
