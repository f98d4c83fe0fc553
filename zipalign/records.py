"""The six records of a ZIP file (APPNOTE.TXT 6.3.10).

Codecs only: values are not checked. Comments name the headers that contain a field: (l) the local header, (c) the
central directory, (cl) both, which must agree.
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from zipalign.record import U16, U32, U64, Code, Record, Sized16

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

NO_U16: Final = 0xFFFF  # the value is in the ZIP64 end record
NO_U32: Final = 0xFFFFFFFF  # the value is in the ZIP64 extra field or end record

VERSION_ZIP64: Final = 45  # 4.5, the first version with ZIP64
VERSION_MADE_BY: Final = 3 << 8 | VERSION_ZIP64  # 3: the external attributes are a Unix mode


_Signature = Annotated[bytes, Code("4s")]


@dataclass(frozen=True, slots=True)
class LocalHeader(Record):
    """The header before a member's data (4.3.7)."""

    NAME: ClassVar = "local"
    SIGNATURE: ClassVar[_Signature] = b"PK\x03\x04"

    version_needed: U16  # (cl)
    flags: U16  # (cl)
    method: U16  # (cl)
    time: U16  # (cl)
    date: U16  # (cl)
    crc: U32  # (cl)
    compressed_size: U32  # (cl)
    size: U32  # (cl)
    name: Sized16  # (cl)
    extra: Sized16  # (l)


@dataclass(frozen=True, slots=True)
class CentralHeader(Record):
    """A member's header in the central directory (4.3.12)."""

    NAME: ClassVar = "central"
    SIGNATURE: ClassVar[_Signature] = b"PK\x01\x02"

    version_made_by: U16  # (c)
    version_needed: U16  # (cl)
    flags: U16  # (cl)
    method: U16  # (cl)
    time: U16  # (cl)
    date: U16  # (cl)
    crc: U32  # (cl)
    compressed_size: U32  # (cl)
    size: U32  # (cl)
    name: Sized16  # (cl)
    extra: Sized16  # (c)
    comment: Sized16  # (c)
    disk: U16  # (c)
    internal_attributes: U16  # (c)
    external_attributes: U32  # (c)
    header_offset: U32  # (c)


@dataclass(frozen=True, slots=True)
class DataDescriptor:
    """CRC and sizes behind the data, for writers that could not seek back (4.3.9)."""

    SIGNATURE: ClassVar = b"PK\x07\x08"  # optional in the file
    STRUCT: ClassVar = struct.Struct("<III")
    STRUCT64: ClassVar = struct.Struct("<IQQ")

    crc: int
    compressed_size: int
    size: int

    def forms(self) -> tuple[bytes, ...]:
        """Return every form in which these values may be stored, the longest first."""
        values = (self.crc, self.compressed_size, self.size)
        wide = self.STRUCT64.pack(*values)
        forms = [self.SIGNATURE + wide, wide]
        if max(self.compressed_size, self.size) <= NO_U32:
            narrow = self.STRUCT.pack(*values)
            forms += [self.SIGNATURE + narrow, narrow]
        return tuple(forms)


@dataclass(frozen=True, slots=True)
class EndRecord(Record):
    """The end of central directory record, which ends the file (4.3.16)."""

    NAME: ClassVar = "end"
    SIGNATURE: ClassVar[_Signature] = b"PK\x05\x06"

    disk: U16
    directory_disk: U16
    entries_on_disk: U16
    entries: U16
    directory_size: U32
    directory_offset: U32
    comment: Sized16


@dataclass(frozen=True, slots=True)
class Zip64EndRecord(Record):
    """The ZIP64 form of the end record, directly behind the directory (4.3.14)."""

    NAME: ClassVar = "end64"
    SIGNATURE: ClassVar[_Signature] = b"PK\x06\x06"
    BODY_SIZE: ClassVar = 44  # `record_size` without extensible data

    record_size: U64
    version_made_by: U16
    version_needed: U16
    disk: U32
    directory_disk: U32
    entries_on_disk: U64
    entries: U64
    directory_size: U64
    directory_offset: U64


@dataclass(frozen=True, slots=True)
class Zip64Locator(Record):
    """The offset of the ZIP64 end record; directly before the end record (4.3.15)."""

    NAME: ClassVar = "locator"
    SIGNATURE: ClassVar[_Signature] = b"PK\x06\x07"

    record_disk: U32
    record_offset: U64
    disks: U32
