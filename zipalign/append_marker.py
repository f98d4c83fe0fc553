"""The marker of an append in progress, which says where the old file ends."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import ClassVar

from zipalign.alignment import align_up

__all__ = ["AppendMarker"]


@dataclass(frozen=True, slots=True)
class AppendMarker:
    """The marker of an append in progress.

    It lies at a multiple of its size, so no disk writes half of it.

    Attributes:
        old_size: the size to which the file is cut if the append is interrupted, in bytes.
    """

    MAGIC: ClassVar = b"zipalign.append\n"
    STRUCT: ClassVar = struct.Struct("<16sQII")
    SIZE: ClassVar = 32

    old_size: int

    @property
    def offset(self) -> int:
        """The offset of the marker: the first multiple of its size behind the old file."""
        return align_up(self.old_size, self.SIZE)

    @property
    def end(self) -> int:
        """The end of the marker, where the append may begin."""
        return self.offset + self.SIZE

    def pack(self) -> bytes:
        """Return the bytes of the marker."""
        checksum = zlib.crc32(self.STRUCT.pack(self.MAGIC, self.old_size, 0, 0)[:24])
        return self.STRUCT.pack(self.MAGIC, self.old_size, checksum, 0)

    @classmethod
    def unpack(cls, data: bytes, offset: int) -> AppendMarker | None:
        """Return the marker in `data`, read at `offset`, or None if there is none."""
        if len(data) < cls.SIZE:
            return None
        marker = cls(int.from_bytes(data[16:24], "little"))
        return marker if marker.offset == offset and marker.pack() == data[: cls.SIZE] else None
