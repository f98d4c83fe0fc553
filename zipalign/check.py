"""Checks of a whole archive: directory against local headers, alignment, and every byte of data.

A fault makes an archive invalid or impossible to map; a note reports a property that limits its use.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from zipalign.errors import ZipFormatError
from zipalign.inflate import entry_chunks
from zipalign.input_file import open_input
from zipalign.layout import check_alignment, data_alignment
from zipalign.reader import survey_archive
from zipalign.records import FLAG_DATA_DESCRIPTOR, DataDescriptor, LocalHeader
from zipalign.recovery import superseded_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zipalign.archive import Archive, Entry
    from zipalign.copying import Progress

__all__ = ["Finding", "Report", "Severity", "check_archive"]

_DESCRIPTOR_SIZE = 24  # of the longest form


class Severity(StrEnum):
    """Whether a finding makes the archive invalid."""

    FAULT = "fault"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault or note."""

    severity: Severity
    kind: str  # the record and field concerned, `local.crc`, or `alignment`
    message: str
    entry: str | None = None
    offset: int | None = None

    def __str__(self) -> str:
        subject = f"{self.entry!r}: " if self.entry is not None else ""
        place = f" at offset {self.offset:#x}" if self.offset is not None else ""
        return f"{self.severity}: {subject}{self.message}{place}"

    def as_dict(self) -> dict[str, str | int]:
        """Return the fields that are set, for JSON."""
        facts = {"severity": self.severity.value, "kind": self.kind, "message": self.message}
        given = {"entry": self.entry, "offset": self.offset}
        return facts | {name: fact for name, fact in given.items() if fact is not None}


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check; `archive` is None if the directory itself is damaged."""

    path: Path
    archive: Archive | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not any(finding.severity is Severity.FAULT for finding in self.findings)


def check_archive(
    path: Path | str, *, alignment: int | None = None, data: bool = True, progress: Progress | None = None
) -> Report:
    """Check an archive and the data of all its sound members; each faulty one is a fault.

    Args:
        path: the file.
        alignment: required divisor of the offsets of stored data; 1 for none. Default: that of `add_files`.
        data: whether to read the data of members and compare its CRC-32.
        progress: called with the number of bytes read since the last call.

    Raises:
        NotAnArchiveError: the file has no end record.
        MissingDependencyError: a member is compressed with Deflate64, and zipfile-deflate64 is not installed.
        OSError: the file cannot be read.
    """
    check_alignment(alignment)
    path = Path(path)
    try:
        archive = survey_archive(path)
    except ZipFormatError as e:
        return Report(path, None, (_fault(e),))
    findings = [_fault(member.fault) for member in archive.faulty_entries]
    with open_input(path) as fd:
        findings += [*_check_layout(fd, archive, alignment), *_check_names(archive)]
        for entry in archive.entries if data else ():
            findings += _check_data(fd, entry, progress)
    return Report(path, archive, tuple(findings))


def _fault(error: ZipFormatError) -> Finding:
    return Finding(Severity.FAULT, error.field or "archive", error.reason, error.entry, error.offset)


def _check_layout(fd: int, archive: Archive, alignment: int | None) -> Iterator[Finding]:
    """Read the archive as a stream, from header to header, and compare with the directory."""
    ends = [0]
    for entry in archive.entries:
        end = entry.data_end
        if entry.flags & FLAG_DATA_DESCRIPTOR:
            descriptor = DataDescriptor(entry.crc, entry.compressed_size, entry.size)
            data = os.pread(fd, _DESCRIPTOR_SIZE, end)
            size = next((len(form) for form in descriptor.forms() if data.startswith(form)), None)
            if size is None:
                reason = "the data descriptor disagrees with the directory"
                yield Finding(Severity.FAULT, "descriptor", reason, entry.name, end)
            end += size or 0
        ends.append(end)
        expected = data_alignment(alignment, entry.size, stored=entry.is_stored)
        if entry.is_stored and entry.size and entry.data_offset % expected:
            reason = f"the data is not aligned (got {entry.alignment}, expected {expected})"
            yield Finding(Severity.FAULT, "alignment", reason, entry.name, entry.data_offset)
        if entry.is_directory and entry.size:
            yield Finding(Severity.FAULT, "central.size", "a directory has data", entry.name, entry.data_offset)
        if stat.S_IFMT(entry.unix_mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            reason = "is a symbolic link or another special file, which --import refuses"
            yield Finding(Severity.NOTE, "central.external_attributes", reason, entry.name)
        if not entry.is_stored:
            yield Finding(Severity.NOTE, "central.method", "is compressed, so it cannot be mapped", entry.name)
    yield from _check_unlisted_headers(fd, archive, ends)


def _check_unlisted_headers(fd: int, archive: Archive, ends: list[int]) -> Iterator[Finding]:
    """Yield a fault for each local header that a stream reader would read as a member."""
    known = {member.header_offset for member in archive.members}
    unlisted = [
        end
        for end in ends
        if end not in known and end < archive.directory_offset and os.pread(fd, 4, end) == LocalHeader.SIGNATURE
    ]
    if not unlisted:
        return
    # Earlier directories list the members that were replaced or removed.
    earlier = superseded_headers(fd, archive.directory_offset)
    for offset in unlisted:
        if offset not in earlier:
            yield Finding(Severity.FAULT, "local.signature", "a local header is not in the directory", None, offset)


def _check_names(archive: Archive) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for entry in archive.entries:
        key = unicodedata.normalize("NFC", entry.name).casefold()
        if key in seen:
            reason = f"differs from {seen[key]!r} only in case or Unicode form: some systems cannot extract both"
            yield Finding(Severity.NOTE, "central.name", reason, entry.name)
        seen.setdefault(key, entry.name)


def _check_data(fd: int, entry: Entry, progress: Progress | None) -> Iterator[Finding]:
    try:
        for chunk in entry_chunks(fd, entry):
            if progress is not None:
                progress(len(chunk))
    except ZipFormatError as e:
        yield _fault(e)
