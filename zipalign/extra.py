"""Extra fields: the tagged values behind a header's name (APPNOTE 4.5), including ZIP64 and Unicode Path.

Unknown fields are ignored and kept: the headers of kept members are copied byte for byte.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from zipalign.errors import ZipFormatError
from zipalign.records import NO_U16, NO_U32

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "UNICODE_PATH_ID",
    "ZIP64_ID",
    "Zip64Values",
    "apply_zip64",
    "extra_field",
    "fields",
    "unicode_path",
    "zip64_field",
]

ZIP64_ID: Final = 0x0001
UNICODE_PATH_ID: Final = 0x7075
_HEADER: Final = struct.Struct("<HH")
_ZIP64_WIDTHS: Final = (8, 8, 8, 4)  # size, compressed size, header offset, disk


class Zip64Values(NamedTuple):
    """The values of a header and its ZIP64 field, in the order of the field (4.5.3)."""

    size: int
    compressed_size: int
    header_offset: int = 0
    disk: int = 0


def fields(extra: bytes, *, offset: int, header: str) -> Iterator[tuple[int, bytes]]:
    """Yield (id, value) of each extra field of a header; `offset` is that of the header, for errors.

    Raises:
        ZipFormatError: a field exceeds the header, or stray bytes follow the last field.
    """
    at = 0
    while at < len(extra):
        if len(extra) - at < _HEADER.size:
            reason = f"{len(extra) - at} stray bytes follow the last extra field"
            raise ZipFormatError(reason, offset=offset, field=f"{header}.extra")
        field_id, size = _HEADER.unpack_from(extra, at)
        at += _HEADER.size
        if size > len(extra) - at:
            reason = f"extra field {field_id:#06x} overruns its header (got {size} bytes, {len(extra) - at} are left)"
            raise ZipFormatError(reason, offset=offset, field=f"{header}.extra")
        yield field_id, extra[at : at + size]
        at += size


def extra_field(field_id: int, value: bytes) -> bytes:
    """Return the bytes of an extra field."""
    return _HEADER.pack(field_id, len(value)) + value


def zip64_field(*values: int) -> bytes:
    """Return a ZIP64 extra field with these 64-bit values, in the order of 4.5.3."""
    return struct.pack(f"<HH{len(values)}Q", ZIP64_ID, 8 * len(values), *values)


def apply_zip64(narrow: Zip64Values, value: bytes | None, *, offset: int, header: str) -> Zip64Values:
    """Return the real values of a header from its 32-bit fields and its ZIP64 field.

    The field contains only values that do not fit into the header, in fixed order. Many writers add other values; these
    are accepted if they agree with the header. If the header refers to no value, the field is ignored: Info-ZIP leaves
    obsolete ones behind. Without a ZIP64 field all ones are a literal value: Info-ZIP writes 4 GiB - 1 like this.

    Raises:
        ZipFormatError: the field is too short, too long, or contradicts the header.
    """
    if value is None:
        return narrow
    absent = [narrow.size == NO_U32, narrow.compressed_size == NO_U32]
    absent += [narrow.header_offset == NO_U32, narrow.disk == NO_U16]
    needed = sum(width for width, missing in zip(_ZIP64_WIDTHS, absent, strict=True) if missing)
    field = f"{header}.extra.zip64"
    if len(value) < needed or len(value) > sum(_ZIP64_WIDTHS):
        reason = f"the ZIP64 field has the wrong size (got {len(value)} bytes, expected {needed})"
        raise ZipFormatError(reason, offset=offset, field=field)
    if not needed:
        return narrow
    if len(value) == needed:
        return Zip64Values(*_select(narrow, value, absent))
    full = [len(value) >= sum(_ZIP64_WIDTHS[: n + 1]) for n in range(len(_ZIP64_WIDTHS))]
    wide = Zip64Values(*_select(narrow, value, full))
    settled = [here if missing else w == n for w, n, missing, here in zip(wide, narrow, absent, full, strict=True)]
    if sum(w for w, here in zip(_ZIP64_WIDTHS, full, strict=True) if here) != len(value) or not all(settled):
        reason = f"the ZIP64 field contradicts the header (got {tuple(wide)}, the header says {tuple(narrow)})"
        raise ZipFormatError(reason, offset=offset, field=field)
    return wide


def _select(narrow: Zip64Values, value: bytes, present: list[bool]) -> Iterator[int]:
    at = 0
    for literal, width, here in zip(narrow, _ZIP64_WIDTHS, present, strict=True):
        yield int.from_bytes(value[at : at + width], "little") if here else literal
        at += width if here else 0


def unicode_path(value: bytes, name: bytes, offset: int) -> str:
    """Return the name in a Unicode Path field (4.6.9), which must belong to `name`.

    Raises:
        ZipFormatError: it belongs to another name, or is not UTF-8.
    """
    if len(value) < 5 or value[0] != 1 or int.from_bytes(value[1:5], "little") != zlib.crc32(name):
        reason = "the Unicode Path field does not belong to the header's name"
        raise ZipFormatError(reason, offset=offset, field="central.extra.unicode_path")
    try:
        return value[5:].decode()
    except UnicodeDecodeError as e:
        reason = f"the Unicode Path field is not UTF-8 ({e.reason})"
        raise ZipFormatError(reason, offset=offset, field="central.extra.unicode_path") from e
