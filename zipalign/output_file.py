"""The file being written, reduced to the operations whose order makes appends safe.

All changes of archives go through `OutputFile`, so that tests can record, tear or fail each step.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final

__all__ = ["OutputFile"]

_FALLOC_FL_KEEP_SIZE: Final = 1
_FALLOC_FL_PUNCH_HOLE: Final = 2
_PUNCH: Final = _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE
_ZEROS: Final = memoryview(bytes(1 << 16))
_FICLONERANGE: Final = 0x4020940D  # _IOW(0x94, 13, struct file_clone_range)
_SYNC_FILE_RANGE_WRITE: Final = 2
_BLOCK_SIZE: Final = 4096
_RESERVE_SIZE_MIN: Final = 1 << 20  # for smaller appends, the check of the free space suffices
_UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class OutputFile:
    """An open file, written at explicit offsets.

    Args:
        fd: the file.
        durable: `sync` will be called, so writing to the disk starts early.
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
        """Share the blocks of another file instead of copying them, if the file system supports it (btrfs, XFS)."""
        if source_offset % _BLOCK_SIZE or offset % _BLOCK_SIZE:
            return False
        try:
            fcntl.ioctl(self.fd, _FICLONERANGE, struct.pack("=qQQQ", source_fd, source_offset, size, offset))
        except OSError:  # another or an unsuitable file system or size; copying reports real errors
            return False
        return True

    def reserve(self, offset: int, size: int) -> None:
        """Reserve `size` bytes at `offset`, if the file system supports it.

        The size of the file does not change, so a kill leaves no zeros at its end.
        """
        if size < _RESERVE_SIZE_MIN:
            return
        number = _system_call("fallocate", self.fd, _FALLOC_FL_KEEP_SIZE, offset, size)
        if number and number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number))

    def start_writing(self, offset: int, size: int) -> None:
        """Start writing a range to the disk while the rest is copied; only `sync` reports errors."""
        if self.durable:
            _system_call("sync_file_range", self.fd, offset, size, _SYNC_FILE_RANGE_WRITE)

    def clear(self, offset: int, size: int) -> None:
        """Replace `size` bytes at `offset`, inside of the file, by zeros: a hole if the file system supports it."""
        if size <= 0 or not _system_call("fallocate", self.fd, _PUNCH, offset, size):
            return
        for at in range(offset, offset + size, len(_ZEROS)):
            self.write(_ZEROS[: offset + size - at], at)

    def truncate(self, size: int) -> None:
        """Cut the file off at `size`."""
        os.ftruncate(self.fd, size)

    def sync(self) -> None:
        """Wait until all written data survives a power loss."""
        os.fdatasync(self.fd)


def _system_call(name: str, fd: int, *arguments: int) -> int:
    """Call a function of the C library that Python lacks; returns the error number, or 0."""
    import ctypes  # noqa: PLC0415 -- slower than a small append

    # 64 bits for each argument: 64-bit systems pass narrower ones in the same registers.
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        return errno.ENOSYS
    return ctypes.get_errno() if function(fd, *map(ctypes.c_int64, arguments)) else 0
