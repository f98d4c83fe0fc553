"""The strict reader of an archive's directory.

Each header in the directory is checked against its local header, and members must not overlap, so that all readers
interpret an accepted archive alike. The data of members is not read; `zipalign.check` does that.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zipalign.cursor import Cursor
from zipalign.eocd import find_eocd
from zipalign.errors import UnsupportedZipError, ZipFormatError
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
    from collections.abc import Iterable, Iterator

    from zipalign.eocd import Eocd

__all__ = ["Archive", "Entry", "read_archive", "read_directory"]

_METHODS: Final = (METHOD_STORED, METHOD_DEFLATE, METHOD_DEFLATE64)
_ENCRYPTED: Final = FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_CENTRAL_ENCRYPTED
_DEFLATE_LEVEL_FLAGS: Final = 0b110  # the effort of the compressor, for information only; some writers omit it
_HEADER_GUESS: Final = 256  # sufficient for most local headers
_MAX_DIRECTORY_SIZE: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One member. Sizes and offsets are in bytes, offsets from the start of the file."""

    name: str
    method: int  # 0 stored, 8 deflate, 9 deflate64
    flags: int
    crc: int
    compressed_size: int
    size: int
    header_offset: int
    data_offset: int
    record: CentralHeader  # the header in the directory

    @property
    def data_end(self) -> int:
        """The first byte behind the data."""
        return self.data_offset + self.compressed_size

    @property
    def is_stored(self) -> bool:
        """Whether the data is uncompressed, so that it can be mapped."""
        return self.method == METHOD_STORED

    @property
    def is_directory(self) -> bool:
        """Whether the member is a directory."""
        return self.name.endswith("/")

    @property
    def alignment(self) -> int:
        """The largest power of two that divides the offset of the data."""
        return self.data_offset & -self.data_offset


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive's directory."""

    path: Path
    entries: tuple[Entry, ...]  # in the directory's order
    directory_offset: int
    directory_size: int
    file_size: int
    comment: bytes
    zip64: bool  # the end records are in ZIP64 form

    def entry(self, name: str) -> Entry | None:
        """Return the member with exactly this name."""
        return next((entry for entry in self.entries if entry.name == name), None)


def read_archive(path: Path | str) -> Archive:
    """Read the directory of the archive at the end of a file.

    Raises:
        NotAnArchiveError: the file has no end record.
        ZipFormatError: the archive is damaged, ambiguous or unsupported.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with open_input(path) as fd:
        return read_directory(fd, path, find_eocd(fd, os.fstat(fd).st_size, path))


def read_directory(fd: int, path: Path, eocd: Eocd) -> Archive:
    """Read and check the directory of `eocd`, and all local headers.

    Raises:
        ZipFormatError: as for `read_archive`.
    """
    if eocd.directory_size > _MAX_DIRECTORY_SIZE:
        reason = f"the directory is too large (got {eocd.directory_size} bytes, at most {_MAX_DIRECTORY_SIZE})"
        raise UnsupportedZipError(reason, offset=eocd.directory_offset, field="end.directory_size")
    data = os.pread(fd, eocd.directory_size, eocd.directory_offset)
    cursor = Cursor(data, eocd.directory_offset)
    entries = []
    names: set[str] = set()
    for index in range(eocd.entries):
        entry = _read_entry(fd, cursor, index, eocd)
        if entry.name in names:
            raise ZipFormatError("two members have this name", entry=entry.name, field="central.name")
        names.add(entry.name)
        entries.append(entry)
    if cursor.remaining:
        reason = f"bytes follow the last entry of the directory (got {cursor.remaining} more bytes)"
        raise ZipFormatError(reason, offset=cursor.offset, field="end.entries")
    _check_overlap(entries)
    span = (eocd.directory_offset, eocd.directory_size)
    return Archive(path, tuple(entries), *span, eocd.archive_end, eocd.comment, eocd.zip64)


def _read_entry(fd: int, cursor: Cursor, index: int, eocd: Eocd) -> Entry:
    offset = cursor.offset
    if not cursor.remaining:
        reason = f"the directory ends early (got {index} entries, the end record counts {eocd.entries})"
        raise ZipFormatError(reason, offset=offset, field="end.entries")
    record = CentralHeader.unpack(cursor)
    name, wide = _decode_header(record, offset)
    _check_supported(record, name, offset)
    _check_extent(record, wide, name, offset, eocd)
    local = _read_local(fd, wide.header_offset, name)
    _check_local(local, record, wide, name)
    data_offset = wide.header_offset + local.packed_size
    if data_offset + wide.compressed_size > eocd.directory_offset:
        reason = f"the data runs into the directory (got {wide.compressed_size} bytes)"
        raise ZipFormatError(reason, offset=data_offset, entry=name, field="central.compressed_size")
    sizes = (wide.compressed_size, wide.size)
    return Entry(name, record.method, record.flags, record.crc, *sizes, wide.header_offset, data_offset, record)


def _decode_header(record: CentralHeader, offset: int) -> tuple[str, Zip64Values]:
    """Decode the name and apply the extra fields of a header in the directory."""
    name = _decode_name(record.name, record.flags, offset)
    narrow = Zip64Values(record.size, record.compressed_size, record.header_offset, record.disk)
    with _naming_member(name):
        found = _unique_fields(record.extra, offset, "central")
        wide = apply_zip64(narrow, found.get(ZIP64_ID), offset=offset, header="central")
    if UNICODE_PATH_ID in found:
        better = unicode_path(found[UNICODE_PATH_ID], record.name, offset)
        if record.flags & FLAG_UTF8 and better != name:
            reason = f"the Unicode Path field holds another name ({better!r})"
            raise ZipFormatError(reason, offset=offset, entry=name, field="central.extra.unicode_path")
        name = better
    fault = name_fault(name)
    if fault is not None:
        raise ZipFormatError(f"the name is not safe: {fault}", offset=offset, entry=name, field="central.name")
    return name, wide


def _decode_name(name: bytes, flags: int, offset: int) -> str:
    if not flags & FLAG_UTF8:
        return name.decode("cp437")
    try:
        return name.decode()
    except UnicodeDecodeError as e:
        raise ZipFormatError(f"the name is not UTF-8 ({e.reason})", offset=offset, field="central.name") from e


@contextlib.contextmanager
def _naming_member(name: str) -> Iterator[None]:
    """Add the member's name to errors of codecs."""
    try:
        yield
    except ZipFormatError as e:
        raise ZipFormatError(e.reason, offset=e.offset, entry=name, field=e.field) from None


def _unique_fields(extra: bytes, offset: int, header: str) -> dict[int, bytes]:
    """Return the extra fields by id; duplicates of interpreted fields are ambiguous."""
    pairs = list(fields(extra, offset=offset, header=header))
    ids = [field_id for field_id, _ in pairs]
    for field_id in (ZIP64_ID, UNICODE_PATH_ID):
        if ids.count(field_id) > 1:
            reason = f"extra field {field_id:#06x} occurs twice"
            raise ZipFormatError(reason, offset=offset, field=f"{header}.extra")
    return dict(pairs)


def _check_supported(record: CentralHeader, name: str, offset: int) -> None:
    if record.flags & _ENCRYPTED:
        raise UnsupportedZipError("the member is encrypted", offset=offset, entry=name, field="central.flags")
    if record.method not in _METHODS:
        reason = f"unsupported compression method (got {record.method}, expected 0, 8 or 9)"
        raise UnsupportedZipError(reason, offset=offset, entry=name, field="central.method")
    if record.disk:
        reason = f"the member is on another disk (got {record.disk}, expected 0)"
        raise UnsupportedZipError(reason, offset=offset, entry=name, field="central.disk")


def _check_extent(record: CentralHeader, wide: Zip64Values, name: str, offset: int, eocd: Eocd) -> None:
    if record.method == METHOD_STORED and wide.compressed_size != wide.size:
        reason = f"a stored member has two sizes (got {wide.compressed_size} and {wide.size})"
        raise ZipFormatError(reason, offset=offset, entry=name, field="central.compressed_size")
    if wide.header_offset + LocalHeader.SIZE + wide.compressed_size > eocd.directory_offset:
        reason = f"the member does not end before the directory (header at {wide.header_offset:#x})"
        raise ZipFormatError(reason, offset=offset, entry=name, field="central.header_offset")


def _read_local(fd: int, offset: int, name: str) -> LocalHeader:
    data = os.pread(fd, _HEADER_GUESS, offset)
    if len(data) >= LocalHeader.SIZE:
        *_, name_size, extra_size = LocalHeader.STRUCT.unpack_from(data)
        whole = LocalHeader.SIZE + name_size + extra_size
        if whole > len(data):
            data = os.pread(fd, whole, offset)
    with _naming_member(name):
        return LocalHeader.unpack(Cursor(data, offset))


def _check_local(local: LocalHeader, record: CentralHeader, wide: Zip64Values, name: str) -> None:
    offset = wide.header_offset
    with _naming_member(name):
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
            raise ZipFormatError(reason, offset=offset, entry=name, field=f"local.{field}")


def _check_overlap(entries: list[Entry]) -> None:
    previous: Entry | None = None
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if previous is not None and entry.header_offset < previous.data_end:
            reason = f"the member overlaps {previous.name!r}, which ends at {previous.data_end:#x}"
            raise ZipFormatError(reason, offset=entry.header_offset, entry=entry.name, field="central.header_offset")
        previous = entry
