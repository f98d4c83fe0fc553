"""The files of a publication: whole files, ranges of llamafiles, and texts."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from apepack.errors import InputError
from apepack.hub.llamafile import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from apepack.hub.llamafile import Llamafile

__all__ = ["FileRange", "PublishedFile", "collect_files"]

_CHUNK_SIZE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileRange:
    """A part of a file on disk, or all of it."""

    path: Path
    offset: int
    size: int

    def open(self, progress: Callable[[int], None] | None = None) -> io.BufferedReader:
        """Open it for reading; PROGRESS is called with the number of bytes that are read for the first time."""
        return io.BufferedReader(_RangeReader(self, progress or (lambda _: None)), _CHUNK_SIZE)

    def chunks(self, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """Yield the content in pieces."""
        with self.open(progress) as file:
            while chunk := file.read(_CHUNK_SIZE):
                yield chunk


class _RangeReader(io.RawIOBase):
    """Reads a range as if it was a file, without a descriptor that would show the whole one."""

    def __init__(self, source: FileRange, progress: Callable[[int], None]) -> None:
        self._fd = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
        self._source = source
        self._progress = progress
        self._position = 0
        self._seen = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer, says the library
        size = min(len(buffer), max(0, self._source.size - self._position))
        got = os.preadv(self._fd, [memoryview(buffer)[:size]], self._source.offset + self._position) if size else 0
        if size and not got:
            raise InputError(self._source.path, "it became shorter while it was sent")
        self._position += got
        self._progress(max(0, self._position - self._seen))
        self._seen = max(self._seen, self._position)
        return got

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as it will be in the repository.

    Attributes:
        name: its name there.
        source: its content, on disk or in memory.
        sha256: the digest of the content.
        contents: the digests and sizes of parts that may be files of their own.
    """

    name: str
    source: FileRange | bytes
    sha256: str
    contents: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of_text(cls, name: str, data: bytes) -> Self:
        """Return a file with a content in memory."""
        return cls(name, data, hashlib.sha256(data).hexdigest())

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.size

    @property
    def is_large(self) -> bool:
        """Whether the Hub stores it outside git: models and programs, not texts."""
        return not isinstance(self.source, bytes)

    def chunks(self, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """Yield the content in pieces."""
        if isinstance(self.source, bytes):
            yield self.source
        else:
            yield from self.source.chunks(progress)

    @property
    def git_hash(self) -> str:
        """The name that git gives the content, which is how the Hub names small files."""
        data = b"".join(self.chunks())
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def collect_files(llamafiles: Sequence[Llamafile], *, gguf: bool = True) -> list[PublishedFile]:
    """Return the files that are published for LLAMAFILES, but for the card; weights first.

    The weights are read from where they are in the llamafiles.

    Args:
        llamafiles: the llamafiles.
        gguf: whether to publish the weights as files of their own too.

    Raises:
        InputError: two different files have the same name.
        OSError: a file cannot be read.
    """
    files: dict[str, PublishedFile] = {}
    origins: dict[str, Path] = {}
    for file, origin in [
        *(pair for llamafile in llamafiles if gguf for pair in _models(llamafile)),
        *(pair for llamafile in llamafiles for pair in _programs(llamafile)),
    ]:
        known = files.setdefault(file.name, file)
        if known.sha256 != file.sha256:
            reason = (
                f"its {file.name} is another one than that of {origins[file.name]}: publish them in two repositories"
            )
            raise InputError(origin, reason)
        origins.setdefault(file.name, origin)
    return list(files.values())


def _models(llamafile: Llamafile) -> Iterator[tuple[PublishedFile, Path]]:
    for digest, entry in zip(llamafile.models, llamafile.entries, strict=True):
        source = FileRange(llamafile.path, entry.data_offset, entry.size)
        yield PublishedFile(entry.name, source, digest.sha256), llamafile.path


def _programs(llamafile: Llamafile) -> Iterator[tuple[PublishedFile, Path]]:
    contents = tuple((digest.sha256, digest.size) for digest in llamafile.models)
    whole = FileRange(llamafile.path, 0, llamafile.size)
    yield PublishedFile(llamafile.name, whole, llamafile.sha256, contents), llamafile.path
    if llamafile.companion:
        source = FileRange(llamafile.companion, 0, llamafile.companion.stat().st_size)
        yield PublishedFile(llamafile.companion.name, source, file_sha256(llamafile.companion)), llamafile.path
    if llamafile.signature:
        signature = PublishedFile.of_text(llamafile.signature.name, llamafile.signature.read_bytes())
        yield signature, llamafile.path
