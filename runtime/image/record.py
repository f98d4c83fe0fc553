"""The base of the records in native images: errors name a field as its specification does, with its offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.image.errors import ImageFormatError
from zipalign.cursor import Cursor
from zipalign.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ImageRecord", "cursor_at", "image_damaged"]


class ImageRecord(Record):
    """A record whose fields can be named in errors; `field_name()` gives the specification's name."""

    __slots__ = ()

    @classmethod
    def error(cls, message: str, name: str, at: int) -> ImageFormatError:
        """Return the error of the field NAME of the record at offset AT of the file."""
        return ImageFormatError(message, field=cls.field_name(name), offset=at + cls.OFFSETS[name])


def image_damaged(reason: str, offset: int, field: str) -> ImageFormatError:
    """Return the error for bytes that are missing or have a wrong value; a factory for Cursor."""
    return ImageFormatError(reason.removeprefix(f"{field} "), field=field, offset=offset)


def cursor_at(
    data: bytes | memoryview, offset: int, damaged: Callable[[str, int, str], ImageFormatError] = image_damaged
) -> Cursor:
    """Return a cursor over DATA from OFFSET on."""
    return Cursor(memoryview(data)[offset:], offset, damaged)
