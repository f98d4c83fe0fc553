"""CRC-32 as fast as this machine offers, and beside a copy instead of after it."""

from __future__ import annotations

import functools
import os
import queue
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TrailingChecksum", "crc32_function"]

_BUFFER_SIZE: Final = 1 << 18  # stays in the processor's cache between the read and the sum


@functools.cache
def crc32_function() -> Callable[[bytes | memoryview, int], int]:
    """Return isal's CRC-32, which uses carry-less multiplication, or zlib's when isal is not installed."""
    try:
        from isal.isal_zlib import crc32  # noqa: PLC0415 -- optional, and not worth its import for --help
    except ImportError:
        from zlib import crc32  # noqa: PLC0415 -- the other branch of the import above
    return crc32


class TrailingChecksum:
    """The CRC-32 of a range of a file, summed by a second thread right behind the one that writes it.

    What is summed is what arrived in the file, so a source that changes meanwhile cannot make the CRC wrong.
    """

    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._end = offset
        self._crc = 0
        self._failure: BaseException | None = None
        self._stopped = False
        self._written: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="zipalign-crc", daemon=True)
        self._thread.start()

    def advance(self, end: int) -> None:
        """Tell that the file is written up to `end`."""
        self._written.put(end)

    def finish(self) -> int:
        """Return the CRC of everything that was announced.

        Raises:
            OSError: the file could not be read back.
        """
        self._written.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._crc

    def stop(self) -> None:
        """Give up as soon as possible."""
        self._stopped = True
        self._written.put(None)
        self._thread.join()

    def _run(self) -> None:
        crc32 = crc32_function()
        view = memoryview(bytearray(_BUFFER_SIZE))
        try:
            while (end := self._written.get()) is not None:
                while self._end < end and not self._stopped:
                    size = os.preadv(self._fd, [view[: end - self._end]], self._end)
                    if not size:
                        raise OSError(0, "the archive became shorter while it was written")  # noqa: TRY301 -- carried over to the other thread
                    self._crc = crc32(view[:size], self._crc)
                    self._end += size
        except BaseException as e:  # noqa: BLE001 -- raised again by finish()
            self._failure = e
