"""The search for the end of the old file after an interrupted append.

An append first writes a marker: 32 bytes that store the size of the old file. The marker lies at a multiple of its
size, so no disk writes half of it. A completed append overwrites it with zeros. A marker without a complete archive
behind it is therefore the start of an interrupted append.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zipalign.append_marker import AppendMarker
from zipalign.cursor import Cursor
from zipalign.eocd import read_eocd
from zipalign.errors import IncompleteFileError, TrailingDataError, ZipFormatError
from zipalign.extents import extents
from zipalign.extra import ZIP64_ID, Zip64Values, apply_zip64, fields
from zipalign.reader import read_directory
from zipalign.records import NO_U32, EndRecord, LocalHeader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zipalign.archive import Archive

__all__ = ["TrailingData", "find_trailing_data", "superseded_headers", "unmarked_data_error"]

_WINDOW_SIZE: Final = 4 << 20
_MEMBER_SEARCHED: Final = 1 << 20  # the data of a member are aligned, so its header follows padding


@dataclass(frozen=True, slots=True)
class TrailingData:
    """Bytes behind an archive that are not part of it: `old_size` to `size` of the file."""

    old_size: int
    size: int
    is_marked: bool  # left by an interrupted append; otherwise added by another program


def find_trailing_data(fd: int, size: int) -> TrailingData | None:
    """Search backwards for a marker or the end of a complete archive, and stop at the first.

    Reads at the speed of the disk, and skips holes.
    """
    for offset, head in _finds(fd, size):
        if head.startswith(AppendMarker.MAGIC):
            marker = AppendMarker.unpack(os.pread(fd, AppendMarker.SIZE, offset), offset)
            if marker is not None:
                return TrailingData(marker.old_size, size, is_marked=True)
        else:
            archive = _complete_archive(fd, offset)
            if archive is not None and archive.file_size <= size:
                return TrailingData(archive.file_size, size, is_marked=False) if archive.file_size < size else None
    return None


def unmarked_data_error(fd: int, trailing: TrailingData) -> TrailingDataError:
    """Return the error about bytes that no interrupted append left: the start of a member, or unknown bytes."""
    added = trailing.size - trailing.old_size
    data = os.pread(fd, _MEMBER_SEARCHED, trailing.old_size)
    at = data.find(LocalHeader.SIGNATURE)
    if at >= 0:
        with suppress(ZipFormatError):
            header = LocalHeader.unpack(Cursor(data[at:], trailing.old_size + at))
            extra = dict(fields(header.extra, offset=trailing.old_size + at, header="local"))
            narrow = Zip64Values(header.size, header.compressed_size)
            wide = apply_zip64(narrow, extra.get(ZIP64_ID), offset=trailing.old_size + at, header="local")
            header_size = LocalHeader.SIZE + len(header.name) + len(header.extra)
            missing = trailing.old_size + at + header_size + wide.compressed_size - trailing.size
            if missing > 0:
                name = header.name.decode(errors="replace")
                return IncompleteFileError(trailing.old_size, added, entry=name, missing=missing)
    return TrailingDataError(trailing.old_size, added)


def superseded_headers(fd: int, size: int) -> set[int]:
    """Return the offsets of all local headers in earlier directories, in the first `size` bytes."""
    offsets: set[int] = set()
    for offset, head in _finds(fd, size):
        if head.startswith(EndRecord.SIGNATURE):
            archive = _complete_archive(fd, offset)
            offsets.update(member.header_offset for member in (archive.members if archive else ()))
    return offsets


def _finds(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, first bytes) of possible markers and end records, from the end backwards."""
    overlap = EndRecord.SIZE
    window_end = size
    while window_end > 0:
        window_offset = max(0, window_end - _WINDOW_SIZE)
        if not all(extent.is_hole for extent in extents(fd, window_offset, window_end)):
            data = os.pread(fd, window_end - window_offset + overlap, window_offset)
            limit = window_end - window_offset
            yield from ((window_offset + at, data[at : at + overlap]) for at in _signatures(data, limit))
        window_end = window_offset


def _signatures(data: bytes, limit: int) -> Iterator[int]:
    """Yield the offsets of both signatures below `limit`, from the end backwards."""
    found = {signature: _before(data, signature, limit) for signature in (EndRecord.SIGNATURE, AppendMarker.MAGIC)}
    while (at := max(found.values())) >= 0:
        yield at
        signature = max(found, key=lambda signature: found[signature])
        found[signature] = _before(data, signature, at)


def _before(data: bytes, signature: bytes, at: int) -> int:
    return data.rfind(signature, 0, at + len(signature) - 1) if at > 0 else -1


def _complete_archive(fd: int, offset: int) -> Archive | None:
    """Return the archive with this end record, or None if there is none."""
    head = os.pread(fd, EndRecord.SIZE, offset)
    # Rejects nearly all random hits in a model's data without another read.
    if len(head) < EndRecord.SIZE or any(head[4:8]):
        return None
    *_, directory_size, directory_offset, _ = EndRecord.STRUCT.unpack(head)
    if directory_offset not in {NO_U32, offset - directory_size}:
        return None
    try:
        return read_directory(fd, Path(), read_eocd(fd, offset))
    except ZipFormatError:
        return None
