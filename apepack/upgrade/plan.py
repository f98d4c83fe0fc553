"""The plan of an upgrade, made before the first byte is written: the way, the offsets, and the costs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from apepack.packing.plan import reserve_for
from zipalign.extents import extents, hole_size
from zipalign.inflate import entry_chunks
from zipalign.layout import DEFAULT_ALIGNMENT, moved_header
from zipalign.records import FLAG_DATA_DESCRIPTOR
from zipalign.relocation import MemberCopy, relocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.upgrade.contents import Contents
    from apepack.upgrade.new_runtime import NewRuntime
    from zipalign import Archive, Entry
    from zipalign.extents import Extent
    from zipalign.relocation import RelocatedMembers

__all__ = ["Block", "OldFile", "UpgradePlan", "Way", "plan_upgrade"]

_DESCRIPTOR_SIZE: Final = 24  # at most, behind data


class Way(StrEnum):
    """How a file gets another runtime."""

    NONE = "none"  # it has this one already
    IN_PLACE = "in-place"  # its first megabytes are exchanged
    COPY = "copy"  # a new file is written and renamed


class Block(NamedTuple):
    """The part of the old file that stays: from the first large member to the end of the last member."""

    offset: int
    end: int

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.end - self.offset


@dataclass(frozen=True, slots=True)
class OldFile:
    """A llamafile to upgrade.

    Attributes:
        fd: the file, open.
        data: its bytes, mapped.
        archive: its archive.
        contents: the members.
    """

    fd: int
    data: memoryview
    archive: Archive
    contents: Contents

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.data)

    @property
    def block(self) -> Block:
        """The part that stays; empty, at the end of the file, if there is nothing large."""
        if not self.contents.weights:
            return Block(self.size, self.size)
        start = self.contents.weights[0].header_offset
        ends = [_end(entry) for entry in self.contents.author if entry.header_offset >= start]
        return Block(start, min(max(ends), self.archive.directory_offset))

    def content(self, entry: Entry) -> bytes:
        """Return the content of the small member ENTRY.

        Raises:
            ZipFormatError: it is damaged.
        """
        return b"".join(entry_chunks(self.fd, entry))

    def copy(self, entry: Entry) -> MemberCopy:
        """Return the member ENTRY with its data."""
        return MemberCopy(entry, self.data[entry.data_offset : entry.data_end])


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """An upgrade.

    Attributes:
        way: how it is done.
        runtime: the runtime to come.
        old: the file.
        front_size: the number of bytes of the runtime that begin the new file.
        shift: the offset of the block in the new file, less that in the old one.
        appended: members behind the block, and the directory.
        dropped: the names of members that go and do not come again.
        saved: the ranges of the old file that the undo record keeps.
        shares_blocks: whether a copy takes no space for the weights.
        block_data_size: the size of the block without holes.
        filled_size: the size of holes in the old file that the runtime fills.
    """

    way: Way
    runtime: NewRuntime
    old: OldFile
    front_size: int
    shift: int
    appended: RelocatedMembers
    dropped: tuple[str, ...]
    saved: tuple[Extent, ...]
    shares_blocks: bool
    block_data_size: int
    filled_size: int

    @property
    def size(self) -> int:
        """The size of the new file in bytes, without its manifest."""
        return self.appended.end

    @property
    def saved_size(self) -> int:
        """The size of what the undo record keeps."""
        return sum(extent.end - extent.start for extent in self.saved)

    @property
    def copied_size(self) -> int:
        """The number of bytes of weights to copy."""
        return self.block_data_size if self.way is Way.COPY and not self.shares_blocks else 0

    @property
    def written_size(self) -> int:
        """The number of bytes written, those of the undo record without."""
        if self.way is Way.NONE:
            return 0
        return self.front_size + len(self.appended.members) + len(self.appended.directory) + self.copied_size

    @property
    def space_needed(self) -> int:
        """The free space that it needs, in bytes, without the undo record; an old file stays until the new one is."""
        if self.way is Way.IN_PLACE:
            return self.filled_size + self.appended.end - self.old.size
        return self.written_size


def plan_upgrade(
    old: OldFile, runtime: NewRuntime, *, reserve: int | None = None, copy: bool = False, shares_blocks: bool = False
) -> UpgradePlan:
    """Return the plan for the file OLD.

    Args:
        old: the file.
        runtime: the runtime to come.
        reserve: the number of bytes to leave free before the weights of a copy; None for the default.
        copy: write a new file even if the runtime fits before the weights.
        shares_blocks: whether the file system copies weights without space.
    """
    block = old.block
    front_size = runtime.front_size(block.offset) if block.size else None
    shift = 0
    if not copy and _is_present(old, runtime, front_size or runtime.size):
        way = Way.NONE
    elif front_size is not None and not copy:
        way = Way.IN_PLACE
    else:
        way = Way.COPY
    if front_size is None or way is Way.COPY:
        front_size = runtime.size
        free = reserve_for(runtime.part.size) if reserve is None else reserve
        shift = _aligned(front_size + free - block.offset) if block.size else 0
    base = block.end + shift if block.size else front_size
    if way is not Way.COPY:
        base = old.size
    names = {entry.name for entry in old.contents.author}
    coming = [entry for entry in runtime.entries if entry.name not in names]
    before = [entry for entry in coming if entry.data_end <= front_size]
    staying = [entry for entry in old.contents.author if block.size and entry.header_offset >= block.offset]
    copies = [old.copy(entry) for entry in old.contents.author if entry not in staying]
    copies += [MemberCopy(e, runtime.data[e.data_offset : e.data_end]) for e in coming if e not in before]
    headers = [entry.record for entry in before]
    headers += [moved_header(entry, entry.header_offset + shift) if shift else entry.record for entry in staying]
    appended = relocation(base, headers, copies, old.archive.comment)
    dropped = {entry.name for entry in old.contents.runtime} - {entry.name for entry in coming}
    return UpgradePlan(
        way,
        runtime,
        old,
        front_size,
        shift,
        appended,
        tuple(sorted(dropped)),
        tuple(_saved(old, block, whole=way is Way.COPY)),
        shares_blocks,
        block.size - hole_size(old.fd, block.offset, block.end),
        hole_size(old.fd, 0, front_size),
    )


def _saved(old: OldFile, block: Block, *, whole: bool) -> Iterator[Extent]:
    """Yield the data of the old file before the block, and, if WHOLE, behind it."""
    ranges = [(0, block.offset), (block.end, old.size)] if whole else [(0, block.offset)]
    for start, end in ranges:
        yield from (extent for extent in extents(old.fd, start, end) if not extent.is_hole)


def _is_present(old: OldFile, runtime: NewRuntime, front_size: int) -> bool:
    """Return whether OLD has RUNTIME already."""
    if zlib.crc32(old.data[:front_size]) != zlib.crc32(runtime.data[:front_size]):
        return False
    present = {(entry.name, entry.crc, entry.size) for entry in (*old.contents.runtime, *old.contents.author)}
    names = {entry.name for entry in old.contents.author}
    coming = {(entry.name, entry.crc, entry.size) for entry in runtime.entries if entry.name not in names}
    return coming <= present and {entry.name for entry in old.contents.runtime} <= {name for name, _, _ in coming}


def _aligned(size: int) -> int:
    """Return SIZE, which may be negative, rounded up to the alignment of weights."""
    return -(-size // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT


def _end(entry: Entry) -> int:
    return entry.data_end + (_DESCRIPTOR_SIZE if entry.flags & FLAG_DATA_DESCRIPTOR else 0)
