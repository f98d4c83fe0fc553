"""A small language for ZIP files, good and bad ones: items, and overrides for any field of any record.

Written apart from `zipalign.records` on purpose, so that one does not repeat the other's mistakes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["ALL_ONES", "Item", "build", "deflated", "extra", "zip64_extra"]

ALL_ONES: Final = 0xFFFFFFFF

_LOCAL: Final = "4s signature H version H flags H method H time H date I crc I csize I size H name_size H extra_size"
_CENTRAL: Final = (
    "4s signature H made_by H version H flags H method H time H date I crc I csize I size H name_size H extra_size"
    " H comment_size H disk H internal I external I offset"
)
_END: Final = (
    "4s signature H disk H directory_disk H entries_here H entries I directory_size I directory_offset H comment_size"
)
_END64: Final = (
    "4s signature Q record_size H made_by H version I disk I directory_disk Q entries_here Q entries Q directory_size"
    " Q directory_offset"
)
_LOCATOR: Final = "4s signature I record_disk Q record_offset I disks"

Fields = dict[str, Any]


def _pack(layout: str, values: Fields) -> bytes:
    words = layout.split()
    names = words[1::2]
    assert set(values) <= set(names), set(values) - set(names)
    return struct.pack("<" + "".join(words[::2]), *(values[name] for name in names))


def deflated(data: bytes) -> bytes:
    """Compress to a raw deflate stream."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def extra(field_id: int, value: bytes) -> bytes:
    """Return one extra field."""
    return struct.pack("<HH", field_id, len(value)) + value


def zip64_extra(*values: int) -> bytes:
    """Return a ZIP64 extra field of 64-bit values."""
    return extra(1, struct.pack(f"<{len(values)}Q", *values))


@dataclass(frozen=True)
class Item:
    """A member. `stored` is the stored form of `data`; the dicts override header fields."""

    name: bytes = b"a.txt"
    data: bytes = b"hello"
    method: int = 0
    stored: bytes | None = None
    flags: int = 0x0800
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    descriptor: bytes = b""  # behind the data
    gap: bytes = b""  # before the local header
    listed: bool = True  # in the directory
    present: bool = True  # has a local header and data

    def fields(self) -> Fields:
        stored = self.stored_bytes()
        stamp = {"time": 0xB1AA, "date": 0x576E, "crc": zlib.crc32(self.data)}
        sizes = {"csize": len(stored), "size": len(self.data)}
        return {"version": 20, "flags": self.flags, "method": self.method, **stamp, **sizes}

    def stored_bytes(self) -> bytes:
        if self.stored is not None:
            return self.stored
        return deflated(self.data) if self.method == 8 else self.data

    def local_header(self) -> bytes:
        name = self.name if self.local_name is None else self.local_name
        sizes = {"name_size": len(name), "extra_size": len(self.local_extra)}
        values = {"signature": b"PK\x03\x04", **self.fields(), **sizes, **self.local}
        return _pack(_LOCAL, values) + name + self.local_extra

    def central_header(self, offset: int) -> bytes:
        sizes = {"name_size": len(self.name), "extra_size": len(self.central_extra), "comment_size": len(self.comment)}
        rest = {"made_by": 3 << 8 | 20, "disk": 0, "internal": 0, "external": 0o100644 << 16, "offset": offset}
        values = {"signature": b"PK\x01\x02", **self.fields(), **sizes, **rest, **self.central}
        return _pack(_CENTRAL, values) + self.name + self.central_extra + self.comment


def build(
    items: list[Item] | tuple[Item, ...] = (Item(),),
    *,
    prefix: bytes = b"",
    shift: int = 0,
    end: Fields | None = None,
    end64: Fields | None = None,
    locator: Fields | None = None,
    comment: bytes = b"",
    before_end: bytes = b"",
    trailing: bytes = b"",
) -> bytes:
    """Return a ZIP file.

    Args:
        items: the members.
        prefix: bytes before the first one.
        shift: is added to every offset; minus the size of the prefix makes a classic self-extractor.
        end: overrides of the end record.
        end64: overrides of the ZIP64 end record, which is there unless this is None.
        locator: overrides of the ZIP64 locator, which is there unless this is None.
        comment: the archive's comment.
        before_end: bytes between the directory and the end records.
        trailing: bytes behind the archive.
    """
    out = bytearray(prefix)
    offsets = []
    for item in items:
        out += item.gap
        offsets.append(len(out) + shift)
        if item.present:
            out += item.local_header() + item.stored_bytes() + item.descriptor
    directory_offset = len(out)
    listed = [(item, offset) for item, offset in zip(items, offsets, strict=True) if item.listed]
    for item, offset in listed:
        out += item.central_header(offset)
    span = {"directory_size": len(out) - directory_offset, "directory_offset": directory_offset + shift}
    facts = {"disk": 0, "directory_disk": 0, "entries_here": len(listed), "entries": len(listed), **span}
    out += before_end
    record_offset = len(out)
    if end64 is not None:
        head = {"signature": b"PK\x06\x06", "record_size": 44, "made_by": 3 << 8 | 45, "version": 45}
        out += _pack(_END64, {**head, **facts, **end64})
    if locator is not None:
        head = {"signature": b"PK\x06\x07", "record_disk": 0, "record_offset": record_offset, "disks": 1}
        out += _pack(_LOCATOR, {**head, **locator})
    out += _pack(_END, {"signature": b"PK\x05\x06", **facts, "comment_size": len(comment), **(end or {})})
    return bytes(out + comment + trailing)
