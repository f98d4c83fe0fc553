"""Bounds-checked reading of fields from untrusted bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zipalign.errors import ZipFormatError

if TYPE_CHECKING:
    import struct
    from collections.abc import Callable

    Damaged = Callable[[str, int, str], Exception]

__all__ = ["Cursor", "zip_damaged"]


def zip_damaged(reason: str, offset: int, field: str) -> Exception:
    """Return this package's error for truncated or invalid bytes."""
    return ZipFormatError(reason, offset=offset, field=field)


class Cursor:
    """A position in a run of bytes; reading past the end is an error with the offset and the field.

    Args:
        data: the bytes.
        base: the offset of the first byte in the file, so that errors contain offsets in the file.
        damaged: returns the exception for a reason, an offset in the file and a field; packages with another error
            root pass their own.
    """

    __slots__ = ("_base", "_damaged", "_view", "position")

    def __init__(self, data: bytes | memoryview, base: int = 0, damaged: Damaged = zip_damaged) -> None:
        self._view = memoryview(data)
        self._base = base
        self._damaged = damaged
        self.position = 0

    @property
    def offset(self) -> int:
        """The position as an offset in the file."""
        return self._base + self.position

    def error(self, reason: str, offset: int, field: str) -> Exception:
        """Return the error of the reading package for a field at an offset of the file."""
        return self._damaged(reason, offset, field)

    @property
    def remaining(self) -> int:
        """The number of bytes left."""
        return len(self._view) - self.position

    def take(self, size: int, field: str) -> bytes:
        """Return the next `size` bytes and step over them."""
        start = self._step(size, field)
        return bytes(self._view[start : self.position])

    def unpack(self, layout: struct.Struct, field: str) -> tuple[Any, ...]:
        """Return the fields of one fixed-size record and step over it."""
        return layout.unpack_from(self._view, self._step(layout.size, field))

    def _step(self, size: int, field: str) -> int:
        """Step over `size` bytes and return the position before."""
        start = self.position
        if size > len(self._view) - start:
            reason = f"{field} is cut short (got {self.remaining} bytes, expected {size})"
            raise self._damaged(reason, self.offset, field)
        self.position = start + size
        return start

    def u32(self, field: str) -> int:
        """Return the next little-endian 32-bit number."""
        return int.from_bytes(self.take(4, field), "little")

    def u64(self, field: str) -> int:
        """Return the next little-endian 64-bit number."""
        return int.from_bytes(self.take(8, field), "little")
