"""An archive as its directory describes it: sound members, and faulty ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zipalign.records import METHOD_STORED

if TYPE_CHECKING:
    from pathlib import Path

    from zipalign.errors import ZipFormatError
    from zipalign.records import CentralHeader

__all__ = ["Archive", "Entry", "FaultyEntry"]

_UNIX: Final = 3  # APPNOTE 4.4.2.2: the upper half of the external attributes is a Unix mode


@dataclass(frozen=True, slots=True)
class Entry:
    """One sound member. Sizes and offsets are in bytes, offsets from the start of the file."""

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
    def unix_mode(self) -> int:
        """The file's type and permissions; 0 if the archive does not state them."""
        return self.record.external_attributes >> 16 if self.record.version_made_by >> 8 == _UNIX else 0

    @property
    def alignment(self) -> int:
        """The largest power of two that divides the offset of the data."""
        return self.data_offset & -self.data_offset


@dataclass(frozen=True, slots=True)
class FaultyEntry:
    """A member that must not be extracted: readers interpret it differently, or not at all.

    It has no offset of data, so no reader can use its data by mistake.
    """

    name: str  # bytes that are not UTF-8 are escaped
    size: int  # as stated, like the other numbers
    compressed_size: int
    header_offset: int
    record: CentralHeader  # the header in the directory
    fault: ZipFormatError


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive's directory."""

    path: Path
    members: tuple[Entry | FaultyEntry, ...]  # in the directory's order
    directory_offset: int
    directory_size: int
    file_size: int
    comment: bytes
    zip64: bool  # the end records are in ZIP64 form

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The sound members."""
        return tuple(member for member in self.members if isinstance(member, Entry))

    @property
    def faulty_entries(self) -> tuple[FaultyEntry, ...]:
        """The faulty members."""
        return tuple(member for member in self.members if isinstance(member, FaultyEntry))

    def entry(self, name: str) -> Entry | None:
        """Return the sound member with exactly this name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def require_sound(self) -> Archive:
        """Return the archive itself if no member is faulty.

        Raises:
            ZipFormatError: the fault of the first faulty member.
        """
        for member in self.faulty_entries:
            raise member.fault
        return self
