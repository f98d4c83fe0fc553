"""The reader of an archive's directory.

Each header in the directory is checked against its local header, and members must not overlap, so that all readers
interpret sound members alike. A member that fails becomes a faulty one, which can be reported, kept and removed;
`read_archive`, for users of members, refuses it. The data of members is not read; `zipalign.check` does that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zipalign.archive import Archive, Entry, FaultyEntry
from zipalign.cursor import Cursor
from zipalign.eocd import find_eocd
from zipalign.errors import OutOfBoundsError, UnsupportedZipError, ZipFormatError
from zipalign.extra import UNICODE_PATH_ID, ZIP64_ID, Zip64Values, apply_zip64, fields, unicode_path
from zipalign.input_file import open_input
from zipalign.names import name_fault
from zipalign.records import (
    FLAG_CENTRAL_ENCRYPTED,
    FLAG_DATA_DESCRIPTOR,
    FLAG_ENCRYPTED,
    FLAG_STRONG_ENCRYPTION,
    FLAG_UTF8,
    METHOD_DEFLATE,
    METHOD_DEFLATE64,
    METHOD_STORED,
    NO_U32,
    CentralHeader,
    LocalHeader,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zipalign.eocd import Eocd

__all__ = ["read_archive", "read_directory", "survey_archive"]

_METHODS: Final = (METHOD_STORED, METHOD_DEFLATE, METHOD_DEFLATE64)
_ENCRYPTED: Final = FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_CENTRAL_ENCRYPTED
_DEFLATE_LEVEL_FLAGS: Final = 0b110  # the effort of the compressor, for information only; some writers omit it
_HEADER_GUESS: Final = 256  # sufficient for most local headers
_MAX_DIRECTORY_SIZE: Final = 1 << 30


def read_archive(path: Path | str) -> Archive:
    """Read the directory of the archive at the end of a file, to use its members.

    Raises:
        NotAnArchiveError: the file has no end record.
        ZipFormatError: the archive is damaged, or a member is ambiguous or unsupported.
        OSError: the file cannot be read.
    """
    return survey_archive(path).require_sound()


def survey_archive(path: Path | str) -> Archive:
    """Read the directory of the archive at the end of a file, to report on it; faulty members are no error.

    Raises:
        NotAnArchiveError: the file has no end record.
        ZipFormatError: the directory is damaged: it is no list of headers.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with open_input(path) as fd:
        return read_directory(fd, path, find_eocd(fd, os.fstat(fd).st_size, path))


def read_directory(fd: int, path: Path, eocd: Eocd) -> Archive:
    """Read the directory of `eocd` and all local headers; faulty members are no error.

    Raises:
        ZipFormatError: as for `survey_archive`.
    """
    if eocd.directory_size > _MAX_DIRECTORY_SIZE:
        reason = f"the directory is too large (got {eocd.directory_size} bytes, at most {_MAX_DIRECTORY_SIZE})"
        raise UnsupportedZipError(reason, offset=eocd.directory_offset, field="end.directory_size")
    data = os.pread(fd, eocd.directory_size, eocd.directory_offset)
    cursor = Cursor(data, eocd.directory_offset)
    members = []
    names: set[str] = set()
    for index in range(eocd.entries):
        member = _read_member(fd, cursor, index, eocd)
        if isinstance(member, Entry) and member.name in names:
            fault = ZipFormatError("two members have this name", entry=member.name, field="central.name")
            member = _faulty(member, fault)
        names.add(member.name)
        members.append(member)
    if cursor.remaining:
        reason = f"bytes follow the last entry of the directory (got {cursor.remaining} more bytes)"
        raise ZipFormatError(reason, offset=cursor.offset, field="end.entries")
    span = (eocd.directory_offset, eocd.directory_size)
    return Archive(path, _without_overlaps(members), *span, eocd.archive_end, eocd.comment, eocd.zip64)


def _read_member(fd: int, cursor: Cursor, index: int, eocd: Eocd) -> Entry | FaultyEntry:
    offset = cursor.offset
    if not cursor.remaining:
        reason = f"the directory ends early (got {index} entries, the end record counts {eocd.entries})"
        raise ZipFormatError(reason, offset=offset, field="end.entries")
    record = CentralHeader.unpack(cursor)
    name = _stated_name(record)
    values = Zip64Values(record.size, record.compressed_size, record.header_offset, record.disk)
    try:
        found = _unique_fields(record.extra, offset, "central")
        name = _decode_name(record, found, offset)
        values = apply_zip64(values, found.get(ZIP64_ID), offset=offset, header="central")
        _check_name(name, offset)
        _check_supported(record, offset)
        _check_extent(record, values, offset, eocd)
        data_offset = _locate_data(fd, record, values, eocd)
    except ZipFormatError as e:
        fault = type(e)(e.reason, offset=e.offset, entry=name, field=e.field)
        return FaultyEntry(name, values.size, values.compressed_size, values.header_offset, record, fault)
    sizes = (values.compressed_size, values.size)
    return Entry(name, record.method, record.flags, record.crc, *sizes, values.header_offset, data_offset, record)


def _faulty(entry: Entry, fault: ZipFormatError) -> FaultyEntry:
    return FaultyEntry(entry.name, entry.size, entry.compressed_size, entry.header_offset, entry.record, fault)


def _stated_name(record: CentralHeader) -> str:
    """Return the name without any check; bytes that are not UTF-8 are escaped."""
    return record.name.decode(errors="backslashreplace") if record.flags & FLAG_UTF8 else record.name.decode("cp437")


def _decode_name(record: CentralHeader, found: dict[int, bytes], offset: int) -> str:
    """Return the name, from the Unicode Path field if there is one."""
    name = _stated_name(record)
    if record.flags & FLAG_UTF8:
        try:
            record.name.decode()
        except UnicodeDecodeError as e:
            raise ZipFormatError(f"the name is not UTF-8 ({e.reason})", offset=offset, field="central.name") from e
    if UNICODE_PATH_ID in found:
        better = unicode_path(found[UNICODE_PATH_ID], record.name, offset)
        if record.flags & FLAG_UTF8 and better != name:
            reason = f"the Unicode Path field holds another name ({better!r})"
            raise ZipFormatError(reason, offset=offset, field="central.extra.unicode_path")
        name = better
    return name


def _check_name(name: str, offset: int) -> None:
    fault = name_fault(name)
    if fault is not None:
        raise ZipFormatError(f"the name is not safe: {fault}", offset=offset, field="central.name")


def _unique_fields(extra: bytes, offset: int, header: str) -> dict[int, bytes]:
    """Return the extra fields by id; duplicates of interpreted fields are ambiguous."""
    found: dict[int, bytes] = {}
    for field_id, value in fields(extra, offset=offset, header=header):
        if field_id in found and field_id in {ZIP64_ID, UNICODE_PATH_ID}:
            reason = f"extra field {field_id:#06x} occurs twice"
            raise ZipFormatError(reason, offset=offset, field=f"{header}.extra")
        found[field_id] = value
    return found


def _check_supported(record: CentralHeader, offset: int) -> None:
    if record.flags & _ENCRYPTED:
        raise UnsupportedZipError("the member is encrypted", offset=offset, field="central.flags")
    if record.method not in _METHODS:
        reason = f"unsupported compression method (got {record.method}, expected 0, 8 or 9)"
        raise UnsupportedZipError(reason, offset=offset, field="central.method")
    if record.disk:
        reason = f"the member is on another disk (got {record.disk}, expected 0)"
        raise UnsupportedZipError(reason, offset=offset, field="central.disk")


def _check_extent(record: CentralHeader, wide: Zip64Values, offset: int, eocd: Eocd) -> None:
    if record.method == METHOD_STORED and wide.compressed_size != wide.size:
        reason = f"a stored member has two sizes (got {wide.compressed_size} and {wide.size})"
        raise ZipFormatError(reason, offset=offset, field="central.compressed_size")
    if wide.header_offset + LocalHeader.SIZE + wide.compressed_size > eocd.directory_offset:
        reason = f"the member does not end before the directory (header at {wide.header_offset:#x})"
        raise OutOfBoundsError(reason, offset=offset, field="central.header_offset")


def _locate_data(fd: int, record: CentralHeader, wide: Zip64Values, eocd: Eocd) -> int:
    """Return the offset of the data behind the local header, which must agree with the directory."""
    local = _read_local(fd, wide.header_offset)
    _check_local(local, record, wide)
    data_offset = wide.header_offset + local.packed_size
    if data_offset + wide.compressed_size > eocd.directory_offset:
        reason = f"the data runs into the directory (got {wide.compressed_size} bytes)"
        raise OutOfBoundsError(reason, offset=data_offset, field="central.compressed_size")
    return data_offset


def _read_local(fd: int, offset: int) -> LocalHeader:
    data = os.pread(fd, _HEADER_GUESS, offset)
    if len(data) >= LocalHeader.SIZE:
        *_, name_size, extra_size = LocalHeader.STRUCT.unpack_from(data)
        whole = LocalHeader.SIZE + name_size + extra_size
        if whole > len(data):
            data = os.pread(fd, whole, offset)
    return LocalHeader.unpack(Cursor(data, offset))


def _check_local(local: LocalHeader, record: CentralHeader, wide: Zip64Values) -> None:
    offset = wide.header_offset
    found = _unique_fields(local.extra, offset, "local")
    narrow = Zip64Values(local.size, local.compressed_size)
    local_wide = apply_zip64(narrow, found.get(ZIP64_ID), offset=offset, header="local")
    deferred = bool(record.flags & FLAG_DATA_DESCRIPTOR)
    pairs: Iterable[tuple[str, object, object, bool]] = (
        ("name", local.name, record.name, False),
        ("flags", local.flags & ~_DEFLATE_LEVEL_FLAGS, record.flags & ~_DEFLATE_LEVEL_FLAGS, False),
        ("method", local.method, record.method, False),
        ("crc", local.crc, record.crc, deferred),
        ("compressed_size", local_wide.compressed_size, wide.compressed_size, deferred),
        ("size", local_wide.size, wide.size, deferred),
    )
    for field, got, expected, may_be_absent in pairs:
        if got != expected and not (may_be_absent and got in {0, NO_U32}):
            reason = f"the local header disagrees with the directory on {field} (got {got!r}, expected {expected!r})"
            raise ZipFormatError(reason, offset=offset, field=f"local.{field}")


def _without_overlaps(members: list[Entry | FaultyEntry]) -> tuple[Entry | FaultyEntry, ...]:
    """Return the members; of two that overlap, the second in the file becomes a faulty one."""
    previous: Entry | None = None
    faults: dict[int, ZipFormatError] = {}
    for entry in sorted((m for m in members if isinstance(m, Entry)), key=lambda entry: entry.header_offset):
        if previous is not None and entry.header_offset < previous.data_end:
            reason = f"the member overlaps {previous.name!r}, which ends at {previous.data_end:#x}"
            offset = entry.header_offset
            faults[id(entry)] = ZipFormatError(reason, offset=offset, entry=entry.name, field="central.header_offset")
        else:
            previous = entry
    return tuple(_faulty(m, faults[id(m)]) if isinstance(m, Entry) and id(m) in faults else m for m in members)
