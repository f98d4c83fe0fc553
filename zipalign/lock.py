"""Locks on files: one writer at a time; the error for a second one names the first."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zipalign.errors import ArchiveBusyError, InputFileError, RunningFileError
from zipalign.in_use import check_unused

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["locked"]

_ATTEMPTS: Final = 3  # a holder without an entry in /proc/locks has probably just exited


@contextlib.contextmanager
def locked(path: Path, *, create: bool = True, wait: bool = False) -> Iterator[tuple[int, bool]]:
    """Open a file for exclusive writing; yields its descriptor and whether it was created.

    The lock is on the file itself and ends with the process.

    Args:
        path: the file.
        create: create it if it does not exist.
        wait: wait for another process that holds the lock; the file is no program.

    Raises:
        ArchiveBusyError: another process holds the lock, and `wait` is False.
        RunningFileError: it is a running program, started by the system or, as far as /proc shows it, by a loader.
    """
    while True:
        fd, created = _open(path, create=create)
        try:
            _lock(fd, path, wait=wait)
            # The file may have been replaced or removed between opening and locking.
            if _same_file(fd, path):
                if not created and not wait:
                    check_unused(fd, path)
                yield fd, created
                return
        finally:
            os.close(fd)


def _open(path: Path, *, create: bool) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK  # does not wait for the other end of a FIFO
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        if not create:
            raise
    except IsADirectoryError:
        raise InputFileError.irregular(path, stat.S_IFDIR) from None
    except OSError as e:
        if e.errno == errno.ETXTBSY:
            raise RunningFileError(path) from e
        raise
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:  # created by another process meanwhile, or a dangling symbolic link
        if path.is_symlink() and not path.exists():
            raise InputFileError(f"{path} is a dangling symbolic link", path=path) from None
        return os.open(path, flags), False


def _lock(fd: int, path: Path, *, wait: bool) -> None:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise InputFileError.irregular(path, mode)
    if wait:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, command = _holder(fd)
            if pid is not None:
                raise ArchiveBusyError(path, pid, command) from None
        else:
            return
    raise ArchiveBusyError(path)


def _holder(fd: int) -> tuple[int | None, str | None]:
    """Return pid and name of the process that holds the lock, if known."""
    inode = f":{os.fstat(fd).st_ino}"
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, *_, pid, place, _, _ = line.split()
            if kind == "FLOCK" and place.endswith(inode):
                return int(pid), Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        pass  # no /proc, or the holder has just exited
    return None, None


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
