"""An array in the metadata of a GGUF file, decoded on request."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from runtime.errors import GgufFormatError
from zipalign.cursor import Cursor

__all__ = ["SCALARS", "TEXT", "GgufArray", "Scalar"]

_NUMBERS_MAX: Final = 1 << 22  # sixteen times the largest vocabulary, as for texts


class Scalar(NamedTuple):
    """A value type of fixed size."""

    name: str
    layout: struct.Struct


SCALARS: Final = {
    number: Scalar(name, struct.Struct(f"<{code}"))
    for number, name, code in (
        (0, "u8", "B"), (1, "i8", "b"), (2, "u16", "H"), (3, "i16", "h"), (4, "u32", "I"), (5, "i32", "i"),
        (6, "f32", "f"), (7, "bool", "?"), (10, "u64", "Q"), (11, "i64", "q"), (12, "f64", "d"),
    )
}  # fmt: skip  # six to a line
TEXT: Final = "text"

_CODES: Final = {scalar.name: scalar.layout.format[1:] for scalar in SCALARS.values()}


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array; the header checked that it is complete."""

    key: str
    element: str  # the name of the element type
    count: int
    offset: int  # of the first element in the file
    data: memoryview

    def numbers(self) -> tuple[int | float, ...]:
        """Return the numbers; truth values are numbers too.

        Raises:
            GgufFormatError: the elements are texts, or there are too many.
        """
        if self.element not in _CODES:
            raise self._refused(f"an array of type {self.element} (expected numbers)")
        if self.count > _NUMBERS_MAX:
            raise self._refused(f"an array of {self.count} numbers (expected {_NUMBERS_MAX} at most)")
        return struct.unpack(f"<{self.count}{_CODES[self.element]}", self.data)

    def texts(self) -> list[bytes]:
        """Return the texts as stored: UTF-8 in valid files.

        Raises:
            GgufFormatError: the elements are numbers, or the file changed since its header was read.
        """
        if self.element != TEXT:
            raise self._refused(f"an array of type {self.element} (expected texts)")
        cursor = Cursor(self.data, self.offset, _damaged)
        return [cursor.take(cursor.u64(self.key), self.key) for _ in range(self.count)]

    def _refused(self, reason: str) -> GgufFormatError:
        return _damaged(f"{self.key}: {reason}", self.offset, self.key)


def _damaged(reason: str, offset: int, field: str) -> GgufFormatError:
    return GgufFormatError(reason, offset=offset, field=field)
