"""The layout of appended members, directory and end records, computed before a byte is written.

The layout is llamafile's: data starts at a multiple of the alignment, and the gap for this lies before the local header
as a hole. All records have ZIP64 form, also in small archives, because all readers interpret that form alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from zipalign.alignment import align_up, is_power_of_two
from zipalign.append_marker import AppendMarker
from zipalign.errors import AlignmentError
from zipalign.extra import ZIP64_ID, extra_field, fields, zip64_field
from zipalign.records import (
    FLAG_UTF8,
    NO_U16,
    NO_U32,
    VERSION_MADE_BY,
    VERSION_ZIP64,
    CentralHeader,
    EndRecord,
    LocalHeader,
    Zip64EndRecord,
    Zip64Locator,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zipalign.archive import Entry

__all__ = [
    "DEFAULT_ALIGNMENT",
    "END_RECORDS_SIZE",
    "SMALL_ALIGNMENT",
    "AppendPlan",
    "HeaderFields",
    "NewMember",
    "PlannedMember",
    "aligned_header_offset",
    "central_header",
    "central_header_size",
    "check_alignment",
    "data_alignment",
    "end_records",
    "local_header",
    "local_header_size",
    "moved_header",
    "pack_directory",
    "plan_append",
]

DEFAULT_ALIGNMENT: Final = 65536  # Windows' allocation granularity, and a multiple of every page size in use
SMALL_ALIGNMENT: Final = 64  # a cache line, and sufficient for tensors in memory
END_RECORDS_SIZE: Final = Zip64EndRecord.SIZE + Zip64Locator.SIZE + EndRecord.SIZE
_LOCAL_EXTRA_SIZE: Final = len(zip64_field(0, 0))
_CENTRAL_EXTRA_SIZE: Final = len(zip64_field(0, 0, 0))


class HeaderFields(NamedTuple):
    """The common fields of a member's two headers."""

    name: bytes
    method: int
    time: int  # DOS
    date: int  # DOS
    crc: int
    compressed_size: int
    size: int
    mode: int  # Unix, file type included


def check_alignment(alignment: int | None) -> None:
    """Raise AlignmentError unless `alignment` is a power of two or None."""
    if alignment is not None and not is_power_of_two(alignment):
        raise AlignmentError(f"an alignment must be a power of two (got {alignment})", alignment=alignment)


def data_alignment(alignment: int | None, size: int, *, stored: bool) -> int:
    """Return the alignment of a member's data: the one that was asked for, or the default one.

    By default, data that can be mapped and is at least as large as a gap for DEFAULT_ALIGNMENT has that alignment.
    Other data has a small one: thousands of small files would become gigabytes.
    """
    if alignment is not None:
        return alignment
    return DEFAULT_ALIGNMENT if stored and size >= DEFAULT_ALIGNMENT else SMALL_ALIGNMENT


def local_header_size(name: bytes) -> int:
    """Return the size of a new member's local header."""
    return LocalHeader.SIZE + len(name) + _LOCAL_EXTRA_SIZE


def central_header_size(name: bytes) -> int:
    """Return the size of a new member's header in the directory."""
    return CentralHeader.SIZE + len(name) + _CENTRAL_EXTRA_SIZE


def aligned_header_offset(start: int, name: bytes, alignment: int) -> int:
    """Return the first offset from `start` on for a local header with aligned data behind it."""
    size = local_header_size(name)
    return align_up(start + size, alignment) - size


class NewMember(NamedTuple):
    """A member to append. Sizes are in bytes."""

    name: bytes
    size: int  # as stored: after compression
    alignment: int  # of the data


class PlannedMember(NamedTuple):
    """The place of a member in a file, in bytes."""

    header_offset: int
    data_offset: int
    data_end: int


class AppendPlan(NamedTuple):
    """The places of all parts of an append, in bytes."""

    members: tuple[PlannedMember, ...]
    directory_offset: int
    directory_size: int
    end: int


def plan_append(
    old_size: int, members: Iterable[NewMember], *, kept_size: int = 0, comment_size: int = 0, reserve: int = 0
) -> AppendPlan:
    """Plan an append to a file of `old_size` bytes.

    Args:
        old_size: the size of the file before.
        members: the members to append, in their order.
        kept_size: the size of the headers that stay in the directory.
        comment_size: the size of the archive's comment.
        reserve: the number of bytes to leave free before the first member.
    """
    planned = []
    end = AppendMarker(old_size).end + reserve
    directory_size = kept_size
    for member in members:
        header_offset = aligned_header_offset(end, member.name, member.alignment)
        data_offset = header_offset + local_header_size(member.name)
        end = data_offset + member.size
        planned.append(PlannedMember(header_offset, data_offset, end))
        directory_size += central_header_size(member.name)
    return AppendPlan(tuple(planned), end, directory_size, end + directory_size + END_RECORDS_SIZE + comment_size)


def local_header(fields: HeaderFields) -> LocalHeader:
    """Return the header before the data."""
    extra = zip64_field(fields.size, fields.compressed_size)
    stamp = (fields.time, fields.date, fields.crc)
    return LocalHeader(VERSION_ZIP64, FLAG_UTF8, fields.method, *stamp, NO_U32, NO_U32, fields.name, extra)


def central_header(fields: HeaderFields, header_offset: int) -> CentralHeader:
    """Return the directory's header of a member with a local header at `header_offset`."""
    extra = zip64_field(fields.size, fields.compressed_size, header_offset)
    return CentralHeader(
        version_made_by=VERSION_MADE_BY,
        version_needed=VERSION_ZIP64,
        flags=FLAG_UTF8,
        method=fields.method,
        time=fields.time,
        date=fields.date,
        crc=fields.crc,
        compressed_size=NO_U32,
        size=NO_U32,
        name=fields.name,
        extra=extra,
        comment=b"",
        disk=0,
        internal_attributes=0,
        external_attributes=fields.mode << 16,
        header_offset=NO_U32,
    )


def moved_header(entry: Entry, header_offset: int) -> CentralHeader:
    """Return the directory's header of a member whose local header and data are moved, unchanged, to `header_offset`.

    It has ZIP64 form, and its other extra fields stay.
    """
    record = entry.record
    found = fields(record.extra, offset=0, header=record.NAME)
    others = b"".join(extra_field(number, value) for number, value in found if number != ZIP64_ID)
    return replace(
        record,
        version_needed=max(record.version_needed, VERSION_ZIP64),
        compressed_size=NO_U32,
        size=NO_U32,
        extra=zip64_field(entry.size, entry.compressed_size, header_offset) + others,
        header_offset=NO_U32,
    )


def end_records(entries: int, directory_offset: int, directory_size: int, comment: bytes) -> bytes:
    """Return the three end records behind a directory."""
    record_offset = directory_offset + directory_size
    counts = (0, 0, entries, entries, directory_size, directory_offset)
    wide = Zip64EndRecord(Zip64EndRecord.BODY_SIZE, VERSION_MADE_BY, VERSION_ZIP64, *counts)
    locator = Zip64Locator(0, record_offset, 1)
    few = min(entries, NO_U16)
    # An offset of all ones, even if the value would fit, makes every reader use the ZIP64 record.
    narrow = EndRecord(0, 0, few, few, min(directory_size, NO_U32), NO_U32, comment)
    return wide.pack() + locator.pack() + narrow.pack()


def pack_directory(records: list[CentralHeader], directory_offset: int, comment: bytes) -> bytes:
    """Return the directory and the end records, the bytes that commit an append."""
    directory = b"".join(record.pack() for record in records)
    return directory + end_records(len(records), directory_offset, len(directory), comment)
