"""New files that replace old ones only when they are complete and on the disk."""

from __future__ import annotations

import contextlib
import os
from typing import IO, TYPE_CHECKING

from zipalign.errors import OutputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["move_durably", "replacing", "sync_path"]


@contextlib.contextmanager
def replacing(path: Path, mode: int) -> Iterator[IO[bytes]]:
    """Write a new file that takes the name `path` only when it is complete and on the disk.

    The new file is written in the same directory and renamed; on any exception it is removed. If `path` is a symbolic
    link, its target is replaced and the link stays.

    Args:
        path: the name of the file to create or replace.
        mode: its permissions, whatever the umask.

    Raises:
        OutputFileError: there is a folder, pipe or device at `path`.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise OutputFileError(path)
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(fd, mode)
        move_durably(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_durably(path: Path, target: Path) -> None:
    """Move a complete file to `target` on the same file system, so that a power loss leaves the old or the new file."""
    sync_path(path)
    path.replace(target)
    sync_path(target.parent)


def sync_path(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
