"""The output of a completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Output"]


class Output:
    """A stream that never receives parts of a UTF-8 character, as in shim/completion/output.cpp."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._pending = b""
        self._ends_line = True

    def write(self, data: bytes) -> None:
        """Write DATA; an incomplete character at its end waits for more bytes."""
        data = self._pending + data
        size = len(data) - _incomplete_size(data)
        self._pending = data[size:]
        if size > 0:
            self._stream.write(data[:size])
            self._stream.flush()
            self._ends_line = data[size - 1 : size] == b"\n"

    def finish(self) -> None:
        """Write an incomplete character, if there is one, and end the line."""
        self._stream.write(self._pending + (b"" if self._ends_line and not self._pending else b"\n"))
        self._stream.flush()
        self._pending = b""
        self._ends_line = True


def _incomplete_size(data: bytes) -> int:
    """Return the size of an incomplete character at the end of DATA."""
    for size in range(1, min(3, len(data)) + 1):
        byte = data[-size]
        if byte < 0x80 or byte > 0xF4:
            return 0  # invalid UTF-8 is written at once
        if byte >= 0xC0:
            whole = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2
            return size if size < whole else 0
    return 0
