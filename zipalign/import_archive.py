"""Members of another archive as inputs."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zipalign.copying import copy_range, write_chunks
from zipalign.dostime import build_timestamp, to_dos
from zipalign.errors import InputFileError
from zipalign.extents import hole_size
from zipalign.inflate import check_crc, entry_chunks
from zipalign.input_file import open_input
from zipalign.member import EXECUTABLE_MODE, PLAIN_MODE, Input
from zipalign.names import check_name
from zipalign.reader import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zipalign.archive import Entry
    from zipalign.copying import Progress
    from zipalign.output_file import OutputFile

__all__ = ["imported_inputs"]


@dataclass(frozen=True, slots=True)
class EntryContent:
    """The data of another archive's member, verified while it is copied."""

    path: Path
    entry: Entry

    @property
    def size(self) -> int:
        """The uncompressed size in bytes."""
        return self.entry.size

    @property
    def hole_size(self) -> int:
        """The number of bytes in holes of stored data."""
        if not self.entry.is_stored:
            return 0
        with open_input(self.path) as fd:
            return hole_size(fd, self.entry.data_offset, self.entry.data_end)

    def copy_to(self, output_file: OutputFile, offset: int, progress: Progress) -> int:
        """Write the data at `offset` and return its CRC-32.

        Raises:
            ZipFormatError: its size or CRC is not that in its archive.
        """
        with open_input(self.path) as fd:
            if not self.entry.is_stored:
                return write_chunks(output_file, entry_chunks(fd, self.entry), offset, progress)[0]
            crc, _ = copy_range(output_file, fd, self.entry.data_offset, self.entry.size, offset, progress)
        check_crc(self.entry, crc)
        return crc

    def chunks(self) -> Iterator[bytes]:
        """Yield the data in pieces."""
        with open_input(self.path) as fd:
            yield from entry_chunks(fd, self.entry)


def imported_inputs(source: Path, archive: Path, *, keep_times: bool = False) -> list[Input]:
    """Return the members of `source` except directories, as inputs for `archive`.

    Raises:
        InputFileError: the two are the same file, or a member is a symbolic link or another special file.
        NotAnArchiveError: `source` is no archive.
        ZipFormatError: it is damaged, or a member is faulty.
    """
    if archive.exists() and os.path.samestat(source.stat(), archive.stat()):
        raise InputFileError(f"{source} is the archive itself: it has these members already", path=source)
    entries = read_archive(source).entries
    return [_input_for(entry, source, keep_times=keep_times) for entry in entries if not entry.is_directory]


def _input_for(entry: Entry, source: Path, *, keep_times: bool) -> Input:
    record = entry.record
    mode = entry.unix_mode
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
        raise InputFileError(f"{entry.name!r} in {source} is {kind}, which cannot be mapped", path=source)
    stamp = (record.time, record.date) if keep_times else to_dos(build_timestamp())
    permissions = EXECUTABLE_MODE if mode & 0o111 else PLAIN_MODE
    return Input(check_name(entry.name), EntryContent(source, entry), permissions, *stamp)
