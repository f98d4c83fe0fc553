"""Members to add: their names and the sources of their data."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from zipalign.copying import copy_range, read_chunks, write_chunks
from zipalign.dostime import build_timestamp, to_dos
from zipalign.errors import ChangedInputError, InputFileError, MisstatedSizeError
from zipalign.extents import hole_size, may_have_holes
from zipalign.input_file import open_input
from zipalign.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zipalign.copying import Progress
    from zipalign.output_file import OutputFile

__all__ = [
    "EXECUTABLE_MODE",
    "PLAIN_MODE",
    "BytesContent",
    "Content",
    "FileContent",
    "Input",
    "Member",
    "input_for",
]

PLAIN_MODE: Final = stat.S_IFREG | 0o644
EXECUTABLE_MODE: Final = stat.S_IFREG | 0o755


@dataclass(frozen=True, slots=True)
class Member:
    """A member to add: its name in the archive, and a file or the bytes themselves."""

    name: str
    source: Path | bytes


class Content(Protocol):
    """Data of known size that can be copied into an archive, or read in pieces."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    @property
    def hole_size(self) -> int:
        """The number of bytes in holes, which take no space if the data is stored."""

    def copy_to(self, output_file: OutputFile, offset: int, progress: Progress) -> int:
        """Write the data at `offset` and return its CRC-32."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the data in pieces."""


@dataclass(frozen=True, slots=True)
class Input:
    """A member that passed all checks before writing."""

    name: bytes
    content: Content
    mode: int  # Unix, file type included
    time: int  # DOS
    date: int  # DOS


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Content in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.data)

    @property
    def hole_size(self) -> int:
        """The number of bytes in holes: none."""
        return 0

    def copy_to(self, output_file: OutputFile, offset: int, progress: Progress) -> int:
        """Write the data at `offset` and return its CRC-32."""
        return write_chunks(output_file, self.chunks(), offset, progress)[0]

    def chunks(self) -> Iterator[bytes]:
        """Yield the data in one piece."""
        if self.data:
            yield self.data


@dataclass(frozen=True, slots=True)
class FileContent:
    """A range of a file, the whole of it if `file_size` is its size."""

    path: Path
    offset: int
    size: int
    file_size: int  # when the append was planned
    hole_size: int = 0

    def copy_to(self, output_file: OutputFile, offset: int, progress: Progress) -> int:
        """Write the data at `offset` and return its CRC-32.

        Raises:
            ChangedInputError: the file changed since the append was planned.
            MisstatedSizeError: the file has more or fewer bytes than its size says.
        """
        with open_input(self.path) as fd:
            crc, copied = copy_range(output_file, fd, self.offset, self.size, offset, progress)
            self._check(fd, copied)
        return crc

    def chunks(self) -> Iterator[bytes]:
        """Yield the data in pieces.

        Raises:
            ChangedInputError: the file changed since the append was planned.
            MisstatedSizeError: the file has more or fewer bytes than its size says.
        """
        got = 0
        with open_input(self.path) as fd:
            for chunk in read_chunks(fd, self.offset, self.size):
                got += len(chunk)
                yield chunk
            self._check(fd, got)

    def _check(self, fd: int, got: int) -> None:
        file_size = os.fstat(fd).st_size
        if file_size != self.file_size:
            raise ChangedInputError(self.path, self.file_size, file_size)
        # Linux states 0 for files in /proc, and a page for those in /sys.
        is_longer = self.offset + self.size == file_size and os.pread(fd, 1, file_size)
        if got != self.size or is_longer:
            raise MisstatedSizeError(self.path, file_size)


def input_for(member: Member, archive: os.stat_result | None, *, keep_times: bool) -> Input:
    """Check a member and return it as an input.

    Args:
        member: the member.
        archive: the status of the archive, if it exists.
        keep_times: use the time of the file instead of a constant.

    Raises:
        EntryNameError: readers disagree on the name.
        InputFileError: the source is the archive itself, or no regular file.
        OSError: the source cannot be found.
    """
    name = check_name(member.name)
    if isinstance(member.source, bytes):
        return Input(name, BytesContent(member.source), PLAIN_MODE, *to_dos(build_timestamp()))
    path = member.source
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputFileError.irregular(path, status.st_mode, folder_hint=": -r adds the files in it")
    if archive is not None and os.path.samestat(status, archive):
        raise InputFileError(f"{path} is the archive itself: it cannot become its own member", path=path)
    mode = EXECUTABLE_MODE if status.st_mode & 0o111 else PLAIN_MODE
    stamp = to_dos(build_timestamp(int(status.st_mtime) if keep_times else None))
    return Input(name, FileContent(path, 0, status.st_size, status.st_size, _hole_size(path, status)), mode, *stamp)


def _hole_size(path: Path, status: os.stat_result) -> int:
    if not may_have_holes(status):
        return 0
    with open_input(path) as fd:
        return hole_size(fd, 0, status.st_size)
