"""Image layouts: folders, or tar archives of such folders, whose blobs have their digests as names.

https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.errors import OutputError
from apepack.oci import tar
from apepack.oci.descriptor import Descriptor, digest_of, document
from zipalign.output_file import OutputFile
from zipalign.replacement import move_durably, replacing, sync_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

__all__ = ["ARCHIVE_SUFFIX", "Blob", "Layout", "check_output", "creating"]

ARCHIVE_SUFFIX: Final = ".tar"
_VERSION_NAME: Final = "oci-layout"
_VERSION: Final = document({"imageLayoutVersion": "1.0.0"})
_INDEX_NAME: Final = "index.json"
_BLOBS: Final = "blobs/sha256"
_ZEROS: Final = bytes(1 << 20)
_WRITTEN_EARLY: Final = 4 << 20  # after so many bytes, the system starts to write them to the disk


class Blob:
    """A blob that is being written, from its beginning to its end.

    Args:
        output_file: the file that holds it.
        start: where it begins there.
    """

    def __init__(self, output_file: OutputFile, start: int) -> None:
        self.output_file = output_file
        self.start = start
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._cloned_end = 0
        self._started = 0

    @property
    def digest(self) -> str:
        """The digest of what is written so far."""
        return f"sha256:{self._sha256.hexdigest()}"

    def clone(self, fd: int, offset: int, size: int) -> None:
        """Share the blocks of SIZE bytes at OFFSET of another file, if the file systems can; write() must follow."""
        whole = size - size % tar.SHARED_ALIGNMENT
        if whole and self.output_file.clone(fd, offset, self.start + self.size, whole):
            self._cloned_end = self.size + whole

    def write(self, data: bytes) -> None:
        """Write DATA."""
        self.hash([data])
        self.store([data])

    def hash(self, chunks: Iterable[bytes]) -> None:
        """Add CHUNKS to the digest. Another thread may store them at the same time."""
        for chunk in chunks:
            self._sha256.update(chunk)

    def store(self, chunks: Iterable[bytes]) -> None:
        """Write CHUNKS to the file. Zeros, and what is shared, take no space."""
        for chunk in chunks:
            skipped = min(max(self._cloned_end - self.size, 0), len(chunk))
            if skipped < len(chunk) and chunk != _ZEROS[: len(chunk)]:
                self.output_file.write(memoryview(chunk)[skipped:], self.start + self.size + skipped)
            self.size += len(chunk)
        if self.size - self._started >= _WRITTEN_EARLY:
            self.output_file.start_writing(self.start + self._started, self.size - self._started)
            self._started = self.size


class Layout(ABC):
    """An image layout that is being written."""

    def __init__(self) -> None:
        self._digests: set[str] = set()

    @abstractmethod
    def begin(self, size: int) -> Blob:
        """Begin a blob of SIZE bytes. Several can be written at the same time."""

    @abstractmethod
    def _finish(self, blob: Blob) -> None:
        """Give BLOB its name."""

    @abstractmethod
    def _write_file(self, name: str, content: bytes) -> None:
        """Write a file beside the blobs."""

    def end(self, blob: Blob) -> str:
        """End BLOB; returns its digest."""
        self._finish(blob)
        self._digests.add(blob.digest)
        return blob.digest

    def add(self, media_type: str, content: bytes) -> Descriptor:
        """Write CONTENT as a blob."""
        digest = digest_of(content)
        if digest not in self._digests:
            blob = self.begin(len(content))
            blob.write(content)
            self.end(blob)
        return Descriptor(media_type, digest, len(content))

    def complete(self, index: bytes) -> None:
        """Write the INDEX of the layout, which makes it complete."""
        self._write_file(_VERSION_NAME, _VERSION)
        self._write_file(_INDEX_NAME, index)


class _Folder(Layout):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[Blob, Path] = {}
        self._stack = contextlib.ExitStack()
        (folder / _BLOBS).mkdir(parents=True)

    def begin(self, size: int) -> Blob:
        del size
        path = self._folder / _BLOBS / f".{os.urandom(6).hex()}"
        file = path.open("xb", buffering=0)
        self._stack.enter_context(file)
        blob = Blob(OutputFile(file.fileno()), 0)
        self._files[blob] = path
        return blob

    def _finish(self, blob: Blob) -> None:
        blob.output_file.truncate(blob.size)
        blob.output_file.sync()
        self._files.pop(blob).rename(self._folder / _BLOBS / blob.digest.partition(":")[2])

    def _write_file(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.write_bytes(content)
        sync_path(path)

    def close(self) -> None:
        """Close all files."""
        self._stack.close()


class _Archive(Layout):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._output_file = OutputFile(file.fileno())
        self._end = 0
        self._headers: dict[Blob, int] = {}
        for name in ("blobs", _BLOBS):
            self._append(tar.folder_header(name))

    def begin(self, size: int) -> Blob:
        header_offset = self._end
        header = tar.file_header(_blob_name("0" * 64), size, offset=header_offset)
        blob = Blob(self._output_file, header_offset + len(header))
        self._headers[blob] = header_offset
        self._end = blob.start + size + len(tar.padding(size))
        return blob

    def _finish(self, blob: Blob) -> None:
        offset = self._headers.pop(blob)
        name = _blob_name(blob.digest.partition(":")[2])
        self._output_file.write(tar.file_header(name, blob.size, offset=offset), offset)

    def _write_file(self, name: str, content: bytes) -> None:
        self._append(tar.file_header(name, len(content)) + content + tar.padding(len(content)))

    def _append(self, data: bytes) -> None:
        self._output_file.write(data, self._end)
        self._end += len(data)

    def complete(self, index: bytes) -> None:
        super().complete(index)
        self._append(tar.END)


def _blob_name(digits: str) -> str:
    return f"{_BLOBS}/{digits}"


def check_output(output: Path) -> None:
    """Refuse an output that cannot be created.

    Raises:
        OutputError: there is something else, or no folder for it.
    """
    wanted = "name a new folder, or a file with .tar at its end, with -o"
    if not output.parent.is_dir():
        raise OutputError(output, f"there is no folder {output.parent}: {wanted}")
    if output.suffix == ARCHIVE_SUFFIX:
        if output.exists() and not output.is_file():
            raise OutputError(output, f"this is no regular file: {wanted}")
    elif output.is_dir():
        if any(output.iterdir()):
            raise OutputError(output, f"this folder is not empty: {wanted}")
    elif output.exists() or output.is_symlink():
        raise OutputError(output, f"this exists, and its name does not end with .tar: {wanted}")


@contextlib.contextmanager
def creating(output: Path) -> Iterator[Layout]:
    """Create the layout OUTPUT, an archive if its name ends with .tar. It appears complete or not at all.

    Raises:
        OutputError: it cannot be created.
    """
    check_output(output)
    if output.suffix == ARCHIVE_SUFFIX:
        with replacing(output, 0o644) as file:
            yield _Archive(file)
        return
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        layout = _Folder(temporary)
        with contextlib.closing(layout):
            yield layout
        temporary.chmod(0o755)
        sync_path(temporary / _BLOBS)
        move_durably(temporary, output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
