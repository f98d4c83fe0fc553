"""The six records of a ZIP file, as APPNOTE.TXT 6.3.10 lays them out.

Codecs only: nothing here reads files, follows offsets or judges values. Field comments tell where a field lives: (l) in
the local header, (c) in the central directory, (cl) in both, where the two must agree.
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from zipalign.cursor import Cursor

__all__ = [
    "FLAG_CENTRAL_ENCRYPTED",
    "FLAG_DATA_DESCRIPTOR",
    "FLAG_ENCRYPTED",
    "FLAG_STRONG_ENCRYPTION",
    "FLAG_UTF8",
    "METHOD_DEFLATE",
    "METHOD_DEFLATE64",
    "METHOD_STORED",
    "NO_U16",
    "NO_U32",
    "VERSION_MADE_BY",
    "VERSION_ZIP64",
    "CentralHeader",
    "DataDescriptor",
    "EndRecord",
    "LocalHeader",
    "Zip64EndRecord",
    "Zip64Locator",
]

METHOD_STORED: Final = 0
METHOD_DEFLATE: Final = 8
METHOD_DEFLATE64: Final = 9

FLAG_ENCRYPTED: Final = 1 << 0
FLAG_DATA_DESCRIPTOR: Final = 1 << 3  # sizes and CRC follow the data; the local header may hold zeros
FLAG_STRONG_ENCRYPTION: Final = 1 << 6
FLAG_UTF8: Final = 1 << 11
FLAG_CENTRAL_ENCRYPTED: Final = 1 << 13

NO_U16: Final = 0xFFFF  # the real value stands in the ZIP64 end record
NO_U32: Final = 0xFFFFFFFF  # the real value stands in the ZIP64 extra field or end record

VERSION_ZIP64: Final = 45  # 4.5, the first version that knows ZIP64
VERSION_MADE_BY: Final = 3 << 8 | VERSION_ZIP64  # 3: the external attributes are a Unix mode


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """What stands before a member's data (4.3.7)."""

    SIGNATURE: ClassVar = b"PK\x03\x04"
    STRUCT: ClassVar = struct.Struct("<4sHHHHHIIIHH")

    version_needed: int  # (cl)
    flags: int  # (cl)
    method: int  # (cl)
    time: int  # (cl)
    date: int  # (cl)
    crc: int  # (cl)
    compressed_size: int  # (cl)
    size: int  # (cl)
    name: bytes  # (cl)
    extra: bytes  # (l)

    @classmethod
    def unpack(cls, cursor: Cursor) -> LocalHeader:
        """Read one, name and extra fields included."""
        fields = cursor.unpack_signed(cls.STRUCT, cls.SIGNATURE, "local")
        version, flags, method, time, date, crc, compressed, size, name_size, extra_size = fields
        name = cursor.take(name_size, "local.name")
        extra = cursor.take(extra_size, "local.extra")
        return cls(version, flags, method, time, date, crc, compressed, size, name, extra)

    def pack(self) -> bytes:
        """Return the bytes of the header, name and extra fields included."""
        fixed = self.STRUCT.pack(
            self.SIGNATURE,
            self.version_needed,
            self.flags,
            self.method,
            self.time,
            self.date,
            self.crc,
            self.compressed_size,
            self.size,
            len(self.name),
            len(self.extra),
        )
        return fixed + self.name + self.extra


@dataclass(frozen=True, slots=True)
class CentralHeader:
    """A member's line in the central directory (4.3.12)."""

    SIGNATURE: ClassVar = b"PK\x01\x02"
    STRUCT: ClassVar = struct.Struct("<4sHHHHHHIIIHHHHHII")

    version_made_by: int  # (c)
    version_needed: int  # (cl)
    flags: int  # (cl)
    method: int  # (cl)
    time: int  # (cl)
    date: int  # (cl)
    crc: int  # (cl)
    compressed_size: int  # (cl)
    size: int  # (cl)
    disk: int  # (c)
    internal_attributes: int  # (c)
    external_attributes: int  # (c)
    header_offset: int  # (c)
    name: bytes  # (cl)
    extra: bytes  # (c)
    comment: bytes  # (c)

    @classmethod
    def unpack(cls, cursor: Cursor) -> CentralHeader:
        """Read one, name and extra fields included."""
        fields = cursor.unpack_signed(cls.STRUCT, cls.SIGNATURE, "central")
        *head, name_size, extra_size, comment_size, disk, internal, external, header_offset = fields
        made_by, needed, flags, method, time, date, crc, compressed, size = head
        name = cursor.take(name_size, "central.name")
        extra = cursor.take(extra_size, "central.extra")
        comment = cursor.take(comment_size, "central.comment")
        return cls(
            made_by,
            needed,
            flags,
            method,
            time,
            date,
            crc,
            compressed,
            size,
            disk,
            internal,
            external,
            header_offset,
            name,
            extra,
            comment,
        )

    def pack(self) -> bytes:
        """Return the bytes of the header, name, extra fields and comment included."""
        fixed = self.STRUCT.pack(
            self.SIGNATURE,
            self.version_made_by,
            self.version_needed,
            self.flags,
            self.method,
            self.time,
            self.date,
            self.crc,
            self.compressed_size,
            self.size,
            len(self.name),
            len(self.extra),
            len(self.comment),
            self.disk,
            self.internal_attributes,
            self.external_attributes,
            self.header_offset,
        )
        return fixed + self.name + self.extra + self.comment


@dataclass(frozen=True, slots=True)
class DataDescriptor:
    """CRC and sizes behind the data, for producers that could not seek back (4.3.9)."""

    SIGNATURE: ClassVar = b"PK\x07\x08"  # optional in the file
    STRUCT: ClassVar = struct.Struct("<III")
    STRUCT64: ClassVar = struct.Struct("<IQQ")

    crc: int
    compressed_size: int
    size: int

    def forms(self) -> tuple[bytes, ...]:
        """Return every way these values may stand in a file, the longest first."""
        wide = self.STRUCT64.pack(self.crc, self.compressed_size, self.size)
        forms = [self.SIGNATURE + wide, wide]
        if max(self.compressed_size, self.size) <= NO_U32:
            narrow = self.STRUCT.pack(self.crc, self.compressed_size, self.size)
            forms += [self.SIGNATURE + narrow, narrow]
        return tuple(forms)


@dataclass(frozen=True, slots=True)
class EndRecord:
    """The end of central directory record, the last thing in the file (4.3.16)."""

    SIGNATURE: ClassVar = b"PK\x05\x06"
    STRUCT: ClassVar = struct.Struct("<4sHHHHIIH")

    disk: int
    directory_disk: int
    entries_on_disk: int
    entries: int
    directory_size: int
    directory_offset: int
    comment: bytes

    @classmethod
    def unpack(cls, cursor: Cursor) -> EndRecord:
        """Read one."""
        fields = cursor.unpack_signed(cls.STRUCT, cls.SIGNATURE, "end")
        disk, directory_disk, on_disk, entries, size, offset, comment_size = fields
        comment = cursor.take(comment_size, "end.comment")
        return cls(disk, directory_disk, on_disk, entries, size, offset, comment)

    def pack(self) -> bytes:
        """Return the bytes of the record and its comment."""
        fixed = self.STRUCT.pack(
            self.SIGNATURE,
            self.disk,
            self.directory_disk,
            self.entries_on_disk,
            self.entries,
            self.directory_size,
            self.directory_offset,
            len(self.comment),
        )
        return fixed + self.comment


@dataclass(frozen=True, slots=True)
class Zip64EndRecord:
    """The end record's wide twin, right behind the directory (4.3.14)."""

    SIGNATURE: ClassVar = b"PK\x06\x06"
    STRUCT: ClassVar = struct.Struct("<4sQHHIIQQQQ")
    BODY_SIZE: ClassVar = 44  # what `record_size` says when no extensible data follows

    record_size: int
    version_made_by: int
    version_needed: int
    disk: int
    directory_disk: int
    entries_on_disk: int
    entries: int
    directory_size: int
    directory_offset: int

    @classmethod
    def unpack(cls, cursor: Cursor) -> Zip64EndRecord:
        """Read one."""
        return cls(*cursor.unpack_signed(cls.STRUCT, cls.SIGNATURE, "end64"))

    def pack(self) -> bytes:
        """Return the bytes of the record."""
        return self.STRUCT.pack(
            self.SIGNATURE,
            self.record_size,
            self.version_made_by,
            self.version_needed,
            self.disk,
            self.directory_disk,
            self.entries_on_disk,
            self.entries,
            self.directory_size,
            self.directory_offset,
        )


@dataclass(frozen=True, slots=True)
class Zip64Locator:
    """Where the ZIP64 end record is; stands right before the end record (4.3.15)."""

    SIGNATURE: ClassVar = b"PK\x06\x07"
    STRUCT: ClassVar = struct.Struct("<4sIQI")

    record_disk: int
    record_offset: int
    disks: int

    @classmethod
    def unpack(cls, cursor: Cursor) -> Zip64Locator:
        """Read one."""
        return cls(*cursor.unpack_signed(cls.STRUCT, cls.SIGNATURE, "locator"))

    def pack(self) -> bytes:
        """Return the bytes of the locator."""
        return self.STRUCT.pack(self.SIGNATURE, self.record_disk, self.record_offset, self.disks)
