"""Members that a program will overwrite, appended to the archive again.

In our files that is only the first member, the licence texts. The file is a valid archive before and after the append.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assimilate.errors import ForeignFileError
from zipalign.relocation import MemberCopy, relocation

if TYPE_CHECKING:
    from zipalign.archive import Archive
    from zipalign.relocation import RelocatedMembers

__all__ = ["relocate_members"]

_SIZE_MAX: Final = 64 << 20  # of all relocated members: the licence texts have a few KiB, and weights are not moved


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
    copies = [MemberCopy(entry, data[entry.data_offset : entry.data_end]) for entry in displaced]
    return relocation(len(data), headers, copies, archive.comment)


def _overwritten(what: str, size: int) -> ForeignFileError:
    return ForeignFileError(
        f"{what}, inside of the first {size:#x} bytes, which the program needs: link the file again with apepack"
    )
