"""The end of a llamafile, from the manifest on: the bytes that no digest in the manifest can cover.

They are compared with those that zipalign writes for the same content, so that there is no byte that nothing checks.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from apepack.provenance.manifest import MEMBER_NAME, SIGNATURE_NAME
from zipalign.append_marker import AppendMarker
from zipalign.layout import HeaderFields, aligned_header_offset, central_header, data_alignment, local_header
from zipalign.layout import pack_directory as directory_bytes
from zipalign.member import PLAIN_MODE
from zipalign.records import METHOD_STORED

if TYPE_CHECKING:
    from zipalign import Archive, Entry

__all__ = ["tail_fault"]

_OWN: frozenset[str] = frozenset({MEMBER_NAME, SIGNATURE_NAME})


def tail_fault(fd: int, archive: Archive, manifest: Entry) -> str | None:
    """Return what is wrong behind the start of the member MANIFEST, or None.

    Other members than the signature must not be there.
    """
    signature = archive.entry(SIGNATURE_NAME)
    last = signature if signature and signature.header_offset > manifest.header_offset else None
    expected = _member(fd, manifest)
    without_last = [entry for entry in archive.entries if entry is not last]
    expected += _directory(fd, without_last, manifest.header_offset + len(expected))
    if last:
        old_size = manifest.header_offset + len(expected)
        alignment = data_alignment(None, last.size, stored=True)
        header_offset = aligned_header_offset(AppendMarker(old_size).end, SIGNATURE_NAME.encode(), alignment)
        if last.header_offset != header_offset:
            return f"{SIGNATURE_NAME} begins at {last.header_offset:#x} (expected {header_offset:#x})"
        expected += bytes(header_offset - old_size) + _member(fd, last)
        expected += _directory(fd, archive.entries, manifest.header_offset + len(expected))
    return _difference(fd, expected, manifest.header_offset)


def _fields(fd: int, entry: Entry) -> tuple[HeaderFields, bytes]:
    content = os.pread(fd, entry.compressed_size, entry.data_offset)
    stamp = (entry.record.time, entry.record.date)
    name = entry.name.encode()
    return HeaderFields(
        name, METHOD_STORED, *stamp, zlib.crc32(content), len(content), len(content), PLAIN_MODE
    ), content


def _member(fd: int, entry: Entry) -> bytes:
    fields, content = _fields(fd, entry)
    return local_header(fields).pack() + content


def _directory(fd: int, entries: list[Entry] | tuple[Entry, ...], offset: int) -> bytes:
    """Return the directory of ENTRIES; the headers of those that the manifest lists are covered by its digests."""
    records = [
        central_header(_fields(fd, entry)[0], entry.header_offset) if entry.name in _OWN else entry.record
        for entry in entries
    ]
    return directory_bytes(records, offset, b"")


def _difference(fd: int, expected: bytes, offset: int) -> str | None:
    got = os.pread(fd, len(expected) + 1, offset)
    if got == expected:
        return None
    pairs = zip(got, expected, strict=False)
    at = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(got), len(expected)))
    return f"the byte at {offset + at:#x} is not the one that apepack writes"
