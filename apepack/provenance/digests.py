"""SHA-256 digests of the parts of a llamafile, computed by several threads: hashlib releases the interpreter's lock."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import TYPE_CHECKING, Final, Self

from zipalign.inflate import entry_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from zipalign import Entry

    Progress = Callable[[int], None]

__all__ = ["Hasher", "member_sha256", "range_sha256", "remainder_sha256"]

_CHUNK_SIZE: Final = 1 << 18  # stays in the cache of one processor from reading to hashing


class Hasher:
    """Digests that are computed in the background, each by one thread, the long ones first.

    Used as a context manager; an exception in its block stops the threads.

    Args:
        progress: called with the number of bytes hashed since the last call, by one thread at a time.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._lock = Lock()
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._stopped.set()
        self._pool.shutdown(cancel_futures=exception[0] is not None)

    def submit(self, digest: Callable[[Progress], str]) -> Future[str]:
        """Compute DIGEST in a thread; it is called with the function to report progress to, which may stop it."""
        return self._pool.submit(digest, self._advance)

    def _advance(self, size: int) -> None:
        if self._stopped.is_set():
            raise InterruptedError
        if self._progress:
            with self._lock:
                self._progress(size)


def range_sha256(fd: int, ranges: Iterable[tuple[int, int]], progress: Progress) -> str:
    """Return the digest of RANGES of a file, pairs of start and end. Bytes behind its end are zero."""
    return _range_digest(fd, ranges, progress).hexdigest()


def _range_digest(fd: int, ranges: Iterable[tuple[int, int]], progress: Progress) -> hashlib._Hash:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK_SIZE)
    view = memoryview(buffer)
    for start, end in ranges:
        at = start
        while at < end:
            size = os.preadv(fd, [view[: min(_CHUNK_SIZE, end - at)]], at)
            if not size:
                digest.update(bytes(end - at))
                break
            digest.update(view[:size])
            at += size
            progress(size)
    return digest


def member_sha256(fd: int, entry: Entry, progress: Progress) -> str:
    """Return the digest of the content of the member ENTRY, whose CRC-32 is checked.

    Raises:
        ZipFormatError: the content has another size or CRC-32 than declared.
    """
    digest = hashlib.sha256()
    for chunk in entry_chunks(fd, entry):
        digest.update(chunk)
        progress(len(chunk))
    return digest.hexdigest()


def remainder_sha256(fd: int, entries: Sequence[Entry], end: int, progress: Progress, *, file_end: int) -> str:
    """Return the digest of all bytes up to END that are in no stored member of ENTRIES, and of their headers.

    The headers in the directory follow the bytes: the directory is behind END, and says more than local headers. The
    data of compressed members is among the bytes, because equal contents have several compressed forms. Bytes from
    FILE_END to END, which are not written yet, count as zeros.
    """
    ranges = list(_ranges_outside(entries, min(end, file_end)))
    digest = _range_digest(fd, ranges, progress)
    digest.update(bytes(max(0, end - file_end)))
    for entry in entries:
        digest.update(entry.record.pack())
    return digest.hexdigest()


def _ranges_outside(entries: Sequence[Entry], end: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a file up to END that are not the data of the stored members in ENTRIES."""
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.data_offset):
        if entry.is_stored and entry.data_end <= end:
            yield at, entry.data_offset
            at = entry.data_end
    yield at, end
