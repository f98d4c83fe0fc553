"""The undo record NAME.before-upgrade: what leads from an upgraded llamafile back to the one before.

It is a header and saved bytes: all of the old file but for one block, the weights, which is in the new file, at the
same offset or at another one. The record is on the disk before the file changes. While bytes are exchanged in place,
the file begins with the marker: a script that prints how to continue.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final, NamedTuple, Self

from apepack.errors import UndoRecordError
from zipalign.marked_head import MARKER_SIZE

__all__ = ["SUFFIX", "SavedExtent", "State", "UndoRecord", "block_checksum", "is_interrupted"]

SUFFIX: Final = ".before-upgrade"  # of the record's name, and of other files that an upgrade replaces

_MARKER_HEAD: Final = b"#!/bin/sh\n# apepack upgrade: interrupted, "
_MARKER: Final = """\
{checksum:08x}
p="${{0##*/}}: its upgrade was interrupted"
echo "$p: repeat it with apepack upgrade, or undo it with apepack upgrade --restore" >&2
exit 126
"""
_SAMPLE_SIZE: Final = 1 << 16


class State(Enum):
    """The state of a file that was upgraded."""

    ORIGINAL = auto()  # the old file
    INTERRUPTED = auto()  # it begins with the marker
    UPGRADED = auto()  # the new file; members may have been added
    UNRELATED = auto()  # another file


class SavedExtent(NamedTuple):
    """A range of the old file whose bytes the record has. Sizes and offsets are in bytes."""

    offset: int
    size: int
    checksum: int  # CRC-32

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """The header of an undo record. Sizes and offsets are in bytes; checksums are CRC-32.

    The bytes of the old file that are neither saved nor in the block are zeros.
    """

    MAGIC: ClassVar = b"apepack.upgrade\n"
    VERSION: ClassVar = 1
    STRUCT: ClassVar = struct.Struct("<16sIIIIIIQQQQQq")
    EXTENT: ClassVar = struct.Struct("<QQI")
    OFFSET: ClassVar = struct.Struct("<Q")

    file_size: int  # of the old file
    new_size: int  # of the new file
    front_size: int  # of the new file's runtime, at its beginning
    front_checksum: int
    block_offset: int  # in the old file
    block_size: int
    block_shift: int  # its offset in the new file, less that in the old one
    block_checksum: int  # of its first and last bytes
    appended: tuple[int, ...]  # the offsets of the local headers of members that the upgrade appended
    saved: tuple[SavedExtent, ...]

    @property
    def is_in_place(self) -> bool:
        """Whether the block has the same offset in both files, so that the exchange was one in place."""
        return bool(self.block_size) and not self.block_shift

    @property
    def size(self) -> int:
        """The size of the header."""
        return (
            self.STRUCT.size + len(self.saved) * self.EXTENT.size + len(self.appended) * self.OFFSET.size + 4
        )  # and a checksum

    @property
    def saved_size(self) -> int:
        """The number of saved bytes, which follow the header in the order of the extents."""
        return sum(extent.size for extent in self.saved)

    def pack(self) -> bytes:
        """Return the header."""
        head = self.STRUCT.pack(
            self.MAGIC, self.VERSION, len(self.saved), len(self.appended), self.front_checksum, self.block_checksum, 0,
            self.file_size, self.new_size, self.front_size, self.block_offset, self.block_size, self.block_shift,
        )  # fmt: skip  # in their order
        head += b"".join(self.EXTENT.pack(*extent) for extent in self.saved)
        head += b"".join(self.OFFSET.pack(offset) for offset in self.appended)
        return head + zlib.crc32(head).to_bytes(4, "little")

    @classmethod
    def unpack(cls, contents: memoryview) -> Self:
        """Read the header at the beginning of a record.

        Raises:
            UndoRecordError: it is damaged, incomplete, or of another version.
        """
        if len(contents) < cls.STRUCT.size or bytes(contents[:16]) != cls.MAGIC:
            raise UndoRecordError(f"is no undo record (it begins with {bytes(contents[:16])!r})")
        _, version, saved, appended, front_checksum, checksum, _, *sizes = cls.STRUCT.unpack_from(contents)
        if version != cls.VERSION:
            raise UndoRecordError(f"was written by another version of apepack (got {version}, expected {cls.VERSION})")
        extents_end = cls.STRUCT.size + saved * cls.EXTENT.size
        end = extents_end + appended * cls.OFFSET.size
        if zlib.crc32(contents[:end]).to_bytes(4, "little") != bytes(contents[end : end + 4]):
            raise UndoRecordError("has a damaged header")
        file_size, new_size, front_size, block_offset, block_size, block_shift = sizes
        record = cls(
            file_size, new_size, front_size, front_checksum, block_offset, block_size, block_shift, checksum,
            tuple(offset for (offset,) in cls.OFFSET.iter_unpack(contents[extents_end:end])),
            tuple(SavedExtent(*extent) for extent in cls.EXTENT.iter_unpack(contents[cls.STRUCT.size : extents_end])),
        )  # fmt: skip  # in their order
        if len(contents) != record.size + record.saved_size:
            raise UndoRecordError(
                f"is incomplete (got {len(contents)} bytes, expected {record.size + record.saved_size})"
            )
        return record

    @property
    def marker(self) -> bytes:
        """The marker of this exchange: the first bytes of the file while it is neither."""
        text = _MARKER.format(checksum=int.from_bytes(self.pack()[-4:], "little")).encode()
        return (_MARKER_HEAD + text).ljust(MARKER_SIZE - 1, b"#") + b"\n"

    def state_of(self, data: memoryview) -> State:
        """Return the state of the file DATA."""
        if bytes(data[:MARKER_SIZE]) == self.marker:
            return State.INTERRUPTED
        if len(data) == self.file_size and all(
            zlib.crc32(data[extent.offset : extent.end]) == extent.checksum for extent in self.saved
        ):
            return State.ORIGINAL
        moved = self.block_offset + self.block_shift
        if (
            len(data) >= self.new_size
            and zlib.crc32(data[: self.front_size]) == self.front_checksum
            and block_checksum(data[moved : moved + self.block_size]) == self.block_checksum
        ):
            return State.UPGRADED
        return State.UNRELATED


def block_checksum(block: memoryview) -> int:
    """Return the CRC-32 of the first and the last bytes of a block: all of it would take seconds."""
    return zlib.crc32(block[-_SAMPLE_SIZE:], zlib.crc32(block[:_SAMPLE_SIZE]))


def is_interrupted(data: bytes | memoryview) -> bool:
    """Return whether the file DATA begins with a marker."""
    return bytes(data[: len(_MARKER_HEAD)]) == _MARKER_HEAD
