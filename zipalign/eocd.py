"""The end of central directory records: the search for them, and the place of the directory that they contain.

Offsets count from the first byte of the file, also if a program precedes the archive. An archive with other offsets is
refused: readers would interpret a file appended to it in different ways.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zipalign.cursor import Cursor
from zipalign.errors import (
    NotAnArchiveError,
    PrefixedArchiveError,
    TrailingDataError,
    UnsupportedZipError,
    ZipalignError,
    ZipFormatError,
)
from zipalign.input_file import open_input
from zipalign.records import NO_U16, NO_U32, CentralHeader, EndRecord, Zip64EndRecord, Zip64Locator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Eocd", "find_eocd", "has_zip64_eocd", "read_eocd"]

_SEARCHED: Final = EndRecord.SIZE + 0xFFFF  # the largest distance of an end record from the end of the file


@dataclass(frozen=True, slots=True)
class Eocd:
    """The values of the end records, checked against each other and against the file."""

    entries: int
    directory_offset: int
    directory_size: int
    archive_end: int  # the first byte behind the end record's comment
    comment: bytes
    zip64: bool  # there is a ZIP64 end record


def find_eocd(fd: int, file_size: int, path: Path | str) -> Eocd:
    """Find the archive that ends with the file; `path` is for the error message.

    Raises:
        NotAnArchiveError: there is no end record at the end of the file.
        TrailingDataError: an archive ends shortly before the end of the file.
        ZipFormatError: the end records are damaged or contradict each other or the file.
    """
    tail_offset = max(0, file_size - _SEARCHED)
    tail = os.pread(fd, file_size - tail_offset, tail_offset)
    candidates = list(_candidates(tail, tail_offset))
    fitting = [record for record in candidates if _comment_end(record, tail, tail_offset) == file_size]
    plausible = [record for record in fitting if _is_plausible(fd, record)]
    if not fitting:
        for record in candidates:
            if _is_plausible(fd, record):
                raise _comment_error(record, _comment_end(record, tail, tail_offset), file_size)
        hint = "if it was fetched, it may be incomplete; if adding to it was interrupted, run zipalign --recover"
        reason = f"{path} is not a ZIP archive: there is no end record at its end ({hint})"
        raise NotAnArchiveError(reason, path=path)
    if len(plausible) > 1:
        reason = f"two end records claim the end of the file (the other is at offset {plausible[1]:#x})"
        raise ZipFormatError(reason, offset=plausible[0], field="end.signature")
    chosen = plausible[0] if plausible else fitting[0]
    eocd = read_eocd(fd, chosen)
    if EndRecord.SIGNATURE in eocd.comment:
        raise ZipFormatError("the archive's comment contains an end record", offset=chosen, field="end.comment")
    return eocd


def has_zip64_eocd(path: Path | str) -> bool:
    """Return whether a file ends with a valid archive with end records in ZIP64 form."""
    try:
        with open_input(path) as fd:
            return find_eocd(fd, os.fstat(fd).st_size, path).zip64
    except (FileNotFoundError, ZipalignError):
        return False


def read_eocd(fd: int, record_offset: int) -> Eocd:
    """Read the end record at `record_offset` and the ZIP64 records before it.

    Raises:
        ZipFormatError: they are damaged or contradict each other or the file.
    """
    head = os.pread(fd, EndRecord.SIZE + 0xFFFF, record_offset)
    return _read_records(fd, record_offset, EndRecord.unpack(Cursor(head, record_offset)))


def _read_records(fd: int, record_offset: int, record: EndRecord) -> Eocd:
    locator_offset = record_offset - Zip64Locator.SIZE
    located = os.pread(fd, Zip64Locator.SIZE, locator_offset) if locator_offset >= 0 else b""
    if located.startswith(Zip64Locator.SIGNATURE):
        wide = _zip64_record(fd, Zip64Locator.unpack(Cursor(located, locator_offset)), locator_offset)
        _check_agreement(record, wide, record_offset)
        directory_end = locator_offset - Zip64EndRecord.SIZE
    else:
        wide = None
        directory_end = record_offset
    source = wide or record
    _check_disks(source, record_offset)
    if wide is None and directory_end >= Zip64EndRecord.SIZE:
        _check_no_missing_locator(fd, record, directory_end)
    _check_span(fd, source.directory_offset, source.directory_size, directory_end)
    archive_end = record_offset + EndRecord.SIZE + len(record.comment)
    span = (source.directory_offset, source.directory_size)
    return Eocd(source.entries, *span, archive_end, record.comment, wide is not None)


def _candidates(tail: bytes, tail_offset: int) -> Iterator[int]:
    at = tail.rfind(EndRecord.SIGNATURE)
    while at >= 0:
        if len(tail) - at >= EndRecord.SIZE:
            yield tail_offset + at
        at = tail.rfind(EndRecord.SIGNATURE, 0, at + 3)


def _comment_end(record_offset: int, tail: bytes, tail_offset: int) -> int:
    *_, comment_size = EndRecord.STRUCT.unpack_from(tail, record_offset - tail_offset)
    return record_offset + EndRecord.SIZE + int(comment_size)


def _is_plausible(fd: int, record_offset: int) -> bool:
    """Return whether an end record leads to a directory, unlike the same four bytes in a program or a model."""
    fixed = os.pread(fd, EndRecord.SIZE, record_offset)
    without_comment = EndRecord.unpack(Cursor(fixed[:-2] + bytes(2), record_offset))
    try:
        eocd = _read_records(fd, record_offset, without_comment)
    except ZipFormatError:
        return False
    return eocd.entries == 0 or os.pread(fd, 4, eocd.directory_offset) == CentralHeader.SIGNATURE


def _comment_error(record_offset: int, comment_end: int, file_size: int) -> ZipFormatError:
    if comment_end < file_size:
        return TrailingDataError(comment_end, file_size - comment_end)
    reason = f"the archive's comment runs past the end of the file (got {comment_end}, the file has {file_size} bytes)"
    return ZipFormatError(reason, offset=record_offset, field="end.comment_size")


def _zip64_record(fd: int, locator: Zip64Locator, locator_offset: int) -> Zip64EndRecord:
    if locator.disks != 1 or locator.record_disk != 0:
        reason = f"the archive is one of several disks (got {locator.disks}, expected 1)"
        raise UnsupportedZipError(reason, offset=locator_offset, field="locator.disks")
    expected = locator_offset - Zip64EndRecord.SIZE
    data = os.pread(fd, Zip64EndRecord.SIZE, max(expected, 0))
    if locator.record_offset < expected and data.startswith(Zip64EndRecord.SIGNATURE):
        directory_offset = Zip64EndRecord.unpack(Cursor(data, expected)).directory_offset
        _check_prefix(fd, expected - locator.record_offset, directory_offset, "locator.record_offset")
    if locator.record_offset != expected or not data.startswith(Zip64EndRecord.SIGNATURE):
        reason = f"the ZIP64 end record is not at the offset in its locator (got {locator.record_offset:#x})"
        raise ZipFormatError(reason, offset=locator_offset, field="locator.record_offset")
    record = Zip64EndRecord.unpack(Cursor(data, expected))
    if record.record_size != Zip64EndRecord.BODY_SIZE:
        reason = f"the ZIP64 end record has extensible data (got size {record.record_size}, expected 44)"
        raise UnsupportedZipError(reason, offset=expected, field="end64.record_size")
    return record


def _check_agreement(record: EndRecord, wide: Zip64EndRecord, offset: int) -> None:
    for field, limit in (
        ("disk", NO_U16),
        ("directory_disk", NO_U16),
        ("entries_on_disk", NO_U16),
        ("entries", NO_U16),
        ("directory_size", NO_U32),
        ("directory_offset", NO_U32),
    ):
        narrow, full = getattr(record, field), getattr(wide, field)
        # llamafile's zipalign writes the low bits instead of all ones.
        if narrow not in {limit, full & limit}:
            reason = f"the two end records disagree on {field} (got {narrow} and {full})"
            raise ZipFormatError(reason, offset=offset, field=f"end.{field}")


def _check_disks(record: EndRecord | Zip64EndRecord, offset: int) -> None:
    if record.disk or record.directory_disk:
        reason = f"the archive is one of several disks (got disk {record.disk}, expected 0)"
        raise UnsupportedZipError(reason, offset=offset, field="end.disk")
    if record.entries_on_disk != record.entries:
        reason = (
            f"the end record has two different numbers of entries (got {record.entries_on_disk} and {record.entries})"
        )
        raise ZipFormatError(reason, offset=offset, field="end.entries_on_disk")


def _check_no_missing_locator(fd: int, record: EndRecord, directory_end: int) -> None:
    """Refuse a ZIP64 end record without a locator: some readers use it, others do not."""
    record_offset = directory_end - Zip64EndRecord.SIZE
    outside = record.directory_offset + record.directory_size <= record_offset
    if outside and os.pread(fd, 4, record_offset) == Zip64EndRecord.SIGNATURE:
        raise ZipFormatError("a ZIP64 end record has no locator", offset=record_offset, field="locator.signature")


def _check_prefix(fd: int, prefix_size: int, directory_offset: int, field: str) -> None:
    """Refuse an archive whose directory is PREFIX_SIZE bytes behind the stated offset."""
    if os.pread(fd, 4, directory_offset + prefix_size) == CentralHeader.SIGNATURE:
        raise PrefixedArchiveError(prefix_size, field=field)


def _check_span(fd: int, offset: int, size: int, directory_end: int) -> None:
    if offset + size == directory_end:
        return
    prefix = directory_end - size - offset
    if prefix > 0:
        _check_prefix(fd, prefix, offset, "end.directory_offset")
    if offset > directory_end or size > directory_end:
        reason = f"the directory lies outside the file (got offset {offset:#x}, size {size})"
    elif prefix > 0:
        reason = (
            f"{prefix} bytes lie between the directory and its end record"
            f" (got directory end {offset + size:#x}, expected {directory_end:#x})"
        )
    else:
        reason = f"the directory overlaps its end record (got end {offset + size:#x}, expected {directory_end:#x})"
    raise ZipFormatError(reason, offset=offset, field="end.directory_offset")
