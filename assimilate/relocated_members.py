"""Members that a program will overwrite, appended to the archive again.

In our files that is only the first member, the licence texts. The append is that of zipalign(1): it overwrites no byte
of the archive, and the file is a valid archive before and after it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assimilate.errors import ForeignFileError
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

if TYPE_CHECKING:
    from zipalign.archive import Archive, Entry

__all__ = ["RelocatedMembers", "relocate_members"]

_SIZE_MAX: Final = 64 << 20  # of all relocated members: the licence texts have a few KiB, and weights are not moved


@dataclass(frozen=True, slots=True)
class RelocatedMembers:
    """Bytes to append: members, then directory and end records."""

    offset: int
    members: bytes
    directory: bytes

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


def relocate_members(archive: Archive, data: bytes | memoryview, size: int) -> RelocatedMembers | None:
    """Return the members to append to the file DATA before its first SIZE bytes are overwritten.

    Returns:
        None if no member is overwritten.

    Raises:
        ForeignFileError: the directory, or too much data, would be overwritten.
    """
    if archive.directory_offset < size:
        raise _overwritten(f"the archive's directory begins at {archive.directory_offset:#x}", size)
    displaced = [entry for entry in archive.entries if entry.header_offset < size]
    if not displaced:
        return None
    if sum(entry.compressed_size for entry in displaced) > _SIZE_MAX:
        raise _overwritten(f"{displaced[0].name!r} begins at {displaced[0].header_offset:#x}", size)
    headers = [entry.record for entry in archive.entries if entry.header_offset >= size]
    plan = plan_append(len(data), [_new_member(entry) for entry in displaced])
    offset = AppendMarker(len(data)).end
    members = bytearray()
    for entry, planned in zip(displaced, plan.members, strict=True):
        fields = _header_fields(entry)
        members += bytes(planned.header_offset - offset - len(members)) + local_header(fields).pack()
        members += data[entry.data_offset : entry.data_end]
        headers.append(central_header(fields, planned.header_offset))
    directory = pack_directory(headers, plan.directory_offset, archive.comment)
    return RelocatedMembers(offset, bytes(members), directory)


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


def _overwritten(what: str, size: int) -> ForeignFileError:
    return ForeignFileError(
        f"{what}, inside of the first {size:#x} bytes, which the program needs: link the file again with apepack"
    )
