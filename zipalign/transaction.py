"""Crash-safe appends: a kill or a power loss at any moment loses no data.

An append never changes a byte of the old file. It writes a marker behind the old file, then data and local headers,
waits for the disk, writes directory and end records in one piece, waits for the disk, and sets the marker to zero.
After an error the file is cut back to its old size; after a kill the next append does so first.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from zipalign.append_marker import AppendMarker
from zipalign.eocd import find_eocd
from zipalign.errors import (
    NoSpaceError,
    NotAnArchiveError,
    RollbackError,
    ZipFormatError,
)
from zipalign.lock import locked
from zipalign.output_file import OutputFile
from zipalign.reader import read_directory
from zipalign.recovery import TrailingData, find_trailing_data, unmarked_data_error
from zipalign.replacement import sync_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zipalign.archive import Archive

__all__ = ["Append", "appending", "check_space", "read_for_append", "recover"]


class Append:
    """One append in progress.

    Attributes:
        path: the file.
        output_file: the file, opened for writing.
        archive: the archive that is extended, or None if the file has none yet.
        old_size: the size of the file before; no byte below is written.
        start: the first byte to write.
    """

    def __init__(self, path: Path, output_file: OutputFile, archive: Archive | None) -> None:
        self.path = path
        self.output_file = output_file
        self.archive = archive
        self.old_size = output_file.size
        self.start = AppendMarker(self.old_size).end
        self._begun = False

    def begin(self, end: int, hole_size: int = 0) -> None:
        """Write the marker, and reserve the space up to `end` if it is scarce.

        Args:
            end: the size of the file afterwards, at most.
            hole_size: the number of bytes up to `end` that will not be written. With holes, no space is reserved.

        Raises:
            NoSpaceError: the file system has too little free space.
        """
        needed = end - self.old_size - hole_size
        scarce = check_space(self.path, needed)
        self._begun = True
        marker = AppendMarker(self.old_size)
        self.output_file.write(marker.pack(), marker.offset)
        self._sync()
        if not scarce or hole_size:  # plenty of space: the file system can allocate blocks late, which is faster
            return
        try:
            self.output_file.reserve(marker.end, end - marker.end)
        except OSError as e:
            if e.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise NoSpaceError(self.path, needed) from e
            raise

    def commit(self, directory: bytes, offset: int) -> None:
        """Complete the append with `directory`: the central directory and the end records."""
        self._sync()
        self.output_file.write(directory, offset)
        # Releases the reserved space that compression saved.
        self.output_file.truncate(offset + len(directory))
        self._sync()
        marker = AppendMarker(self.old_size)
        with contextlib.suppress(OSError):  # the archive is complete; a marker before its end is harmless
            self.output_file.write(bytes(marker.SIZE), marker.offset)
        self._begun = False

    def rollback(self) -> None:
        """Cut off all written bytes, so that the file is unchanged.

        Raises:
            RollbackError: the system refuses that.
        """
        if not self._begun:
            return
        try:
            self.output_file.truncate(self.old_size)
        except OSError as e:
            raise RollbackError(self.path, self.old_size, e) from e

    def _sync(self) -> None:
        if self.output_file.durable:
            self.output_file.sync()


def check_space(path: Path, needed: int) -> bool:
    """Return whether so little space is free that another writer may use up the `needed` bytes by which `path` grows.

    Raises:
        NoSpaceError: less than `needed` bytes are free.
    """
    space = os.statvfs(path if path.exists() else path.parent)
    free = space.f_bavail * space.f_frsize
    if not space.f_blocks:  # some file systems report no sizes
        return True
    if needed > free:
        raise NoSpaceError(path, needed, free)
    return 2 * needed > free


@contextlib.contextmanager
def appending(path: Path, *, durable: bool = True) -> Iterator[Append]:
    """Open a file for one append; created if it does not exist, rolled back on any exception.

    Args:
        path: an archive, or any file to append one to.
        durable: wait for the disk, so that a power loss keeps the order of writes.

    Raises:
        ArchiveBusyError: another process writes it.
        RunningFileError: it is a running program.
        ZipFormatError: its archive is damaged.
    """
    with locked(path) as (fd, created):
        output_file = OutputFile(fd, durable=durable)
        append: Append | None = None
        try:
            append = Append(path, output_file, _cut_interrupted_append(output_file, path))
            yield append
        except BaseException:
            if append is not None:
                append.rollback()
            if created:
                path.unlink()
            raise
        if created and durable:
            sync_path(path.parent)


def _cut_interrupted_append(output_file: OutputFile, path: Path) -> Archive | None:
    """Cut off the bytes of an interrupted append, and return the archive to extend."""
    archive, trailing = read_for_append(output_file.fd, path)
    if trailing is not None:
        output_file.truncate(trailing.old_size)
    return archive


def read_for_append(fd: int, path: Path) -> tuple[Archive | None, TrailingData | None]:
    """Return the archive that an append extends, and the bytes of an interrupted append to cut off first.

    An append keeps the headers of faulty members; other callers have to require sound ones.

    Raises:
        TrailingDataError: another program added bytes behind the archive.
        ZipFormatError: the archive is damaged.
    """
    size = os.fstat(fd).st_size
    try:
        return _read(fd, path, size), None
    except (NotAnArchiveError, ZipFormatError) as e:
        trailing = find_trailing_data(fd, size)
        if trailing is None and isinstance(e, ZipFormatError):
            raise
    if trailing is None:
        return None, None
    if not trailing.is_marked:
        raise unmarked_data_error(fd, trailing)
    try:
        return _read(fd, path, trailing.old_size), trailing
    except NotAnArchiveError:
        return None, trailing


def _read(fd: int, path: Path, size: int) -> Archive:
    return read_directory(fd, path, find_eocd(fd, size, path))


def recover(path: Path, *, dry_run: bool = False) -> TrailingData | None:
    """Cut off the bytes behind the archive in a file, from an interrupted append or another program.

    Returns:
        The bytes that were found, or None if the file ends with an archive.

    Raises:
        ArchiveBusyError: another process writes it.
        ZipFormatError: the archive is damaged, and there is no complete one before it.
    """
    with locked(path, create=False) as (fd, _):
        output_file = OutputFile(fd)
        try:
            _read(fd, path, output_file.size)
        except (NotAnArchiveError, ZipFormatError):
            trailing = find_trailing_data(fd, output_file.size)
            if trailing is None:
                raise
        else:
            return None
        if not dry_run:
            output_file.truncate(trailing.old_size)
            output_file.sync()
        return trailing
