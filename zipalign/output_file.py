"""Open files: one to read from, and the one being written, reduced to the operations whose order is the promise.

Everything that changes an archive goes through `Medium`, so a test can record, tear or fail each step.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

from zipalign.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Medium", "opened"]

_FALLOC_FL_KEEP_SIZE: Final = 1
_FICLONERANGE: Final = 0x4020940D  # _IOW(0x94, 13, struct file_clone_range)
_SYNC_FILE_RANGE_WRITE: Final = 2
_BLOCK_SIZE: Final = 4096
_WORTH_RESERVING: Final = 1 << 20  # smaller appends are covered by asking how much is free
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
    """An open file, written at explicit offsets.

    Args:
        fd: the file.
        durable: somebody will wait for the disk, so it is kept busy early.
    """

    def __init__(self, fd: int, *, durable: bool = True) -> None:
        self.fd = fd
        self.durable = durable

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

    def clone(self, source_fd: int, source_offset: int, offset: int, size: int) -> bool:
        """Share the blocks of another file instead of copying them, where the file system can (btrfs, xfs)."""
        if source_offset % _BLOCK_SIZE or offset % _BLOCK_SIZE:
            return False
        try:
            fcntl.ioctl(self.fd, _FICLONERANGE, struct.pack("=qQQQ", source_fd, source_offset, size, offset))
        except OSError:  # another file system, or one that cannot, or a size it does not like: copying tells the reason
            return False
        return True

    def reserve(self, offset: int, size: int) -> None:
        """Make sure that `size` bytes can be written at `offset`, where the file system offers that.

        The file's size does not change, so a kill leaves no tail of zeros.
        """
        if size < _WORTH_RESERVING:
            return
        number = _system_call("fallocate", self.fd, _FALLOC_FL_KEEP_SIZE, offset, size)
        if number and number not in _NO_RESERVATION:
            raise OSError(number, os.strerror(number))

    def start_writing(self, offset: int, size: int) -> None:
        """Let the disk begin with a range while the rest is still being copied; only `sync` tells how it went."""
        if self.durable:
            _system_call("sync_file_range", self.fd, offset, size, _SYNC_FILE_RANGE_WRITE)

    def truncate(self, size: int) -> None:
        """Cut the file off at `size`."""
        os.ftruncate(self.fd, size)

    def sync(self) -> None:
        """Return when everything written so far survives a power loss."""
        os.fdatasync(self.fd)


def _system_call(name: str, fd: int, *arguments: int) -> int:
    """Call a function of the C library that Python does not offer; returns the error's number, or 0."""
    import ctypes  # noqa: PLC0415 -- costs more than a whole small append

    # 64 bits for every argument: on the 64-bit systems this is for, narrower ones are passed in the same registers.
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return errno.ENOSYS
    return ctypes.get_errno() if function(fd, *map(ctypes.c_int64, arguments)) else 0
