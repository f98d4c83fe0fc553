"""The undo record NAME.ape-head of a conversion to a complete program, and the marker of an interrupted conversion.

The undo record is a header and the overwritten bytes. It is on the disk before the file changes, so that the conversion
can be undone, or finished after an interruption. During the conversion the file begins with the marker: a script that
prints how to finish or undo the conversion.

Files of this name with 64 bytes have no header; they contain the bytes that an ELF header replaced.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final, Self

from assimilate.errors import BackupError
from zipalign.marked_head import MARKER_SIZE

__all__ = ["State", "UndoRecord", "interrupted_platform"]

_HINT: Final = "remove it if it is not needed for --restore"
_MARKER_HEAD: Final = """\
#!/bin/sh
# assimilate: interrupted, {platform}, {checksum:08x}
"""
_MARKER_TEXT: Final = """\
p="${{0##*/}}: its conversion for {platform} was interrupted"
echo "$p: finish it with assimilate -t {platform}, or undo it with assimilate --restore" >&2
exit 126
"""
_MARKED: Final = re.compile(rb"#!/bin/sh\n# assimilate: interrupted, ([a-z0-9-]+), [0-9a-f]{8}\n")


class State(Enum):
    """The state of a file between an APE and a native program."""

    ORIGINAL = auto()  # it begins with the bytes in the undo record
    INTERRUPTED = auto()  # it begins with the marker
    CONVERTED = auto()  # it begins with the program
    UNRELATED = auto()  # it is another file, or has changed since


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """The contents of NAME.ape-head. Sizes and offsets are in bytes."""

    MAGIC: ClassVar = b"assimilate.head\n"
    VERSION: ClassVar = 1
    STRUCT: ClassVar = struct.Struct("<16sI20sQQQQQIII")
    SIZE: ClassVar = STRUCT.size + 4  # and a checksum of the header

    platform: str  # of the native program
    file_size: int  # before the conversion
    new_size: int  # after the conversion
    appended_offset: int  # of the bytes appended to the file
    image_size: int  # of the native program
    image_checksum: int  # CRC-32
    appended_checksum: int  # of the bytes from appended_offset to new_size
    data: bytes  # the original first bytes

    @property
    def checksum(self) -> int:
        """The CRC-32 of the original first bytes."""
        return zlib.crc32(self.data)

    def pack(self) -> bytes:
        """Return the contents of the file."""
        head = self.STRUCT.pack(
            self.MAGIC, self.VERSION, self.platform.encode(), len(self.data), self.file_size, self.new_size,
            self.appended_offset, self.image_size, self.image_checksum, self.appended_checksum, self.checksum,
        )  # fmt: skip  # in their order
        return head + zlib.crc32(head).to_bytes(4, "little") + self.data

    @classmethod
    def unpack(cls, contents: bytes) -> Self:
        """Read the contents of a file.

        Raises:
            BackupError: they are damaged, or of another version.
        """
        if len(contents) < cls.SIZE or not contents.startswith(cls.MAGIC):
            raise BackupError(f"is no backup (it begins with {contents[:16]!r})", field="magic", offset=0)
        head, data = contents[: cls.STRUCT.size], contents[cls.SIZE :]
        _, version, name, size, *sizes, image_checksum, appended_checksum, checksum = cls.STRUCT.unpack(head)
        if version != cls.VERSION:
            reason = f"was written by another version of assimilate (got {version}, expected {cls.VERSION})"
            raise BackupError(reason, field="version", offset=len(cls.MAGIC))
        if zlib.crc32(head) != int.from_bytes(contents[cls.STRUCT.size : cls.SIZE], "little"):
            raise BackupError(f"has a damaged header: {_HINT}", field="header_checksum", offset=cls.STRUCT.size)
        if len(data) != size or zlib.crc32(data) != checksum:
            reason = f"is damaged or incomplete (got {len(data)} bytes, expected {size}): {_HINT}"
            raise BackupError(reason, field="checksum", offset=cls.SIZE)
        platform = name.rstrip(b"\0").decode()
        file_size, new_size, appended_offset, image_size = sizes
        return cls(platform, file_size, new_size, appended_offset, image_size, image_checksum, appended_checksum, data)

    @property
    def marker(self) -> bytes:
        """The marker for this conversion: the first bytes of the file while it is neither."""
        text = (_MARKER_HEAD + _MARKER_TEXT).format(platform=self.platform, checksum=self.checksum)
        return text.encode().ljust(MARKER_SIZE - 1, b"#") + b"\n"

    def state_of(self, data: bytes | memoryview) -> State:
        """Return the state of the file DATA."""
        name = _MARKER_HEAD.format(platform=self.platform, checksum=self.checksum).encode()
        if data[: len(name)] == name:
            return State.INTERRUPTED
        if data[: len(self.data)] == self.data:
            return State.ORIGINAL
        image = data[: self.image_size]
        if len(image) == self.image_size and zlib.crc32(image) == self.image_checksum:
            return State.CONVERTED
        return State.UNRELATED

    def appended_is_unchanged(self, data: bytes | memoryview) -> bool:
        """Return whether the file DATA was not extended since, so that it can be cut to its original size."""
        return len(data) == self.new_size and zlib.crc32(data[self.appended_offset :]) == self.appended_checksum


def interrupted_platform(window: bytes) -> str | None:
    """Return the target platform of an interrupted conversion, if the file begins with a marker."""
    found = _MARKED.match(window)
    return found[1].decode() if found else None
