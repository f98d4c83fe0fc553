"""The text of a completion on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Output"]


class Output:
    """Bytes as they come, except that no character of UTF-8 is ever written in parts (shim/base/output.cpp)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._pending = b""
        self._ends_line = True

    def write(self, data: bytes) -> None:
        """Write DATA, but for the beginning of a character at its end, which waits for more."""
        data = self._pending + data
        size = len(data) - _incomplete_size(data)
        self._pending = data[size:]
        if size > 0:
            self._stream.write(data[:size])
            self._stream.flush()
            self._ends_line = data[size - 1 : size] == b"\n"

    def finish(self) -> None:
        """Write what is left of a character that never became whole, and end the line."""
        self._stream.write(self._pending + (b"" if self._ends_line and not self._pending else b"\n"))
        self._stream.flush()
        self._pending = b""
        self._ends_line = True


def _incomplete_size(data: bytes) -> int:
    """Return how many bytes at the end of DATA begin a character without ending it."""
    for size in range(1, min(3, len(data)) + 1):
        byte = data[-size]
        if byte < 0x80 or byte > 0xF4:
            return 0  # what is no UTF-8 is not waited for
        if byte >= 0xC0:
            whole = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2
            return size if size < whole else 0
    return 0
