"""Members copied behind the end of a file, with a directory that has them: an append without a CRC to compute.

The append is that of zipalign(1): it overwrites no byte of the file.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from zipalign.append_marker import AppendMarker
from zipalign.layout import (
    DEFAULT_ALIGNMENT,
    HeaderFields,
    NewMember,
    central_header,
    local_header,
    pack_directory,
    plan_append,
)
from zipalign.member import PLAIN_MODE
from zipalign.transaction import Append

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zipalign.archive import Archive, Entry
    from zipalign.output_file import OutputFile
    from zipalign.records import CentralHeader

__all__ = ["MemberCopy", "RelocatedMembers", "append_members", "relocation"]


class MemberCopy(NamedTuple):
    """A member to copy: its entry, and its data as stored."""

    entry: Entry
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class RelocatedMembers:
    """Bytes to append: members, then directory and end records."""

    offset: int
    members: bytes
    directory: bytes
    header_offsets: tuple[int, ...]  # of the members' local headers

    @property
    def directory_offset(self) -> int:
        """The offset of the directory."""
        return self.offset + len(self.members)

    @property
    def end(self) -> int:
        """The size of the file afterwards."""
        return self.directory_offset + len(self.directory)

    @property
    def checksum(self) -> int:
        """The CRC-32 of all bytes."""
        return zlib.crc32(self.directory, zlib.crc32(self.members))


def relocation(
    old_size: int, kept: Sequence[CentralHeader], copies: Sequence[MemberCopy], comment: bytes
) -> RelocatedMembers:
    """Return what to append to a file of `old_size` bytes.

    Args:
        old_size: the size of the file before, in bytes.
        kept: the headers of the directory's other members.
        copies: the members to append.
        comment: the archive's comment.
    """
    headers = list(kept)
    plan = plan_append(old_size, [_new_member(entry) for entry, _ in copies])
    offset = AppendMarker(old_size).end
    members = bytearray()
    for (entry, data), planned in zip(copies, plan.members, strict=True):
        fields = _header_fields(entry)
        members += bytes(planned.header_offset - offset - len(members)) + local_header(fields).pack()
        members += data
        headers.append(central_header(fields, planned.header_offset))
    directory = pack_directory(headers, plan.directory_offset, comment)
    return RelocatedMembers(offset, bytes(members), directory, tuple(planned.header_offset for planned in plan.members))


def append_members(path: Path, output_file: OutputFile, archive: Archive | None, relocated: RelocatedMembers) -> None:
    """Append the relocated members as zipalign does; on any exception they are cut off again."""
    append = Append(path, output_file, archive)
    try:
        append.begin(relocated.end)
        output_file.write(relocated.members, relocated.offset)
        append.commit(relocated.directory, relocated.directory_offset)
    except BaseException:
        append.rollback()
        raise


def _new_member(entry: Entry) -> NewMember:
    alignment = DEFAULT_ALIGNMENT if entry.is_stored and entry.size else 1
    return NewMember(entry.name.encode(), entry.compressed_size, alignment)


def _header_fields(entry: Entry) -> HeaderFields:
    record = entry.record
    mode = entry.unix_mode or PLAIN_MODE
    name = entry.name.encode()
    return HeaderFields(
        name, entry.method, record.time, record.date, entry.crc, entry.compressed_size, entry.size, mode
    )
