"""A whole file into another, by the kernel where it can: nothing passes through here, and blocks may be shared."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["copy_file"]

_STEP_SIZE: Final = 16 << 20  # often enough for a progress bar and Ctrl-C
_BUFFER_SIZE: Final = 1 << 20
_NO_KERNEL_COPY: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


def copy_file(source_fd: int, target_fd: int, size: int, progress: Callable[[int], None] | None) -> int:
    """Copy the first SIZE bytes of one file to the start of another; PROGRESS is told the bytes of each step.

    Returns:
        How many bytes were copied: less than SIZE when the source became shorter.
    """
    done = 0
    while done < size:
        copied = _copy_step(source_fd, target_fd, done, min(size - done, _STEP_SIZE))
        if not copied:
            break
        done += copied
        if progress is not None:
            progress(copied)
    return done


def _copy_step(source_fd: int, target_fd: int, offset: int, size: int) -> int:
    try:
        copied = os.copy_file_range(source_fd, target_fd, size, offset, offset)
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
    else:
        # Some virtual file systems copy nothing in the kernel and say so with a 0, which may also be the file's end.
        if copied:
            return copied
    data = os.pread(source_fd, min(size, _BUFFER_SIZE), offset)
    written = 0
    while written < len(data):
        written += os.pwrite(target_fd, data[written:], offset + written)
    return len(data)
