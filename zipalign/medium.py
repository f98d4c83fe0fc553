"""Open files: one to read from, and the one being written, reduced to the operations whose order is the promise.

Everything that changes an archive goes through `Medium`, so a test can record, tear or fail each step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from zipalign.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Medium", "opened"]

_BUFFER_SIZE: Final = 1 << 20
_FALLOC_FL_KEEP_SIZE: Final = 1
_WORTH_RESERVING: Final = 1 << 20  # smaller appends are covered by asking how much is free
_NO_KERNEL_COPY: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
_NO_RESERVATION: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[int]:
    """Open a file for reading.

    Raises:
        InputFileError: it is a directory, a pipe or a device.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # not to wait for a FIFO's other end
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InputFileError(f"{path} is not a regular file", path=path)
        yield fd
    finally:
        os.close(fd)


class Medium:
    """An open file, written at explicit offsets."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._kernel_copies = hasattr(os, "copy_file_range")

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return os.fstat(self.fd).st_size

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return os.pread(self.fd, size, offset)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.fd, view, offset)
            view = view[written:]
            offset += written

    def copy(self, source_fd: int, source_offset: int, offset: int, size: int) -> int:
        """Copy up to `size` bytes from another file and return how many it were; 0 means its end.

        In the kernel where it can: that saves two copies through this process, and shares the blocks on file systems
        with reflinks.
        """
        if self._kernel_copies:
            try:
                copied = os.copy_file_range(source_fd, self.fd, size, source_offset, offset)
            except OSError as e:
                if e.errno not in _NO_KERNEL_COPY:
                    raise
                self._kernel_copies = False
            else:
                if copied:
                    return copied
        # Some virtual file systems copy nothing in the kernel and say so with a 0, hence the second look.
        data = os.pread(source_fd, min(size, _BUFFER_SIZE), source_offset)
        self.write(data, offset)
        return len(data)

    def reserve(self, offset: int, size: int) -> None:
        """Make sure that `size` bytes can be written at `offset`, where the file system offers that.

        The file's size does not change, so a kill leaves no tail of zeros.
        """
        if size < _WORTH_RESERVING:
            return
        import ctypes  # noqa: PLC0415 -- costs more than a whole small append

        libc = ctypes.CDLL(None, use_errno=True)
        arguments = (ctypes.c_int(_FALLOC_FL_KEEP_SIZE), ctypes.c_int64(offset), ctypes.c_int64(size))
        if libc.fallocate(self.fd, *arguments) and (number := ctypes.get_errno()) not in _NO_RESERVATION:
            raise OSError(number, os.strerror(number))

    def truncate(self, size: int) -> None:
        """Cut the file off at `size`."""
        os.ftruncate(self.fd, size)

    def sync(self) -> None:
        """Return when everything written so far survives a power loss."""
        os.fdatasync(self.fd)
