"""The contents of all files of all repositories, by SHA-256: uploaded whole, or in chunks.

Chunks are in the local store of hf_xet, which its client writes and reads by itself: the address of the service is
`local://FOLDER`. A shard in it states of which file it has the chunks, with the file's SHA-256
(https://huggingface.co/docs/xet/shard).
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

__all__ = ["DamagedObjectError", "ObjectStore", "XetFile", "digest_of"]

_SHARD_HEADER_SIZE: Final = 48
_RECORD: Final = struct.Struct("<36xI8x")  # all are of one size; of an entry, the number is its size
_FILE: Final = struct.Struct("<32sII8x")
_HAS_VERIFICATION: Final = 0x80000000
_HAS_METADATA: Final = 0x40000000
_LAST: Final = b"\xff" * 32
_CHUNK_SIZE: Final = 1 << 20


class DamagedObjectError(Exception):
    """The data does not have the SHA-256 or the size that was announced for it."""


@dataclass(frozen=True, slots=True)
class XetFile:
    """A file whose chunks are in the store."""

    hash: str  # names it in the store
    size: int


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ObjectStore:
    """The objects in a folder.

    Args:
        folder: where they are; it is created.
    """

    def __init__(self, folder: Path) -> None:
        self._whole = folder / "objects"
        self._whole.mkdir(parents=True, exist_ok=True)
        self.chunks = folder / "chunks"

    def path(self, sha256: str) -> Path:
        """Return where the object is, or would be, in one piece."""
        return self._whole / sha256

    def has(self, sha256: str) -> bool:
        """Return whether the object is there, in one piece or in chunks."""
        return self.path(sha256).is_file() or self.xet_file(sha256) is not None

    def add(self, data: bytes) -> str:
        """Store DATA and return its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.path(sha256).write_bytes(data)
        return sha256

    def receive(self, source: BufferedIOBase, size: int, sha256: str) -> None:
        """Store the next SIZE bytes of SOURCE, if they are the object with this SHA-256.

        Raises:
            DamagedObjectError: they are not, or there are fewer.
        """
        digest = hashlib.sha256()
        with tempfile.TemporaryDirectory(dir=self._whole) as folder:
            received = Path(folder, sha256)
            with received.open("wb") as file:
                while size and (chunk := source.read(min(size, _CHUNK_SIZE))):
                    digest.update(chunk)
                    file.write(chunk)
                    size -= len(chunk)
            if size or digest.hexdigest() != sha256:
                raise DamagedObjectError(sha256)
            received.replace(self.path(sha256))

    def whole(self, sha256: str) -> Path:
        """Return the path of the object, after putting its chunks together if they are all there is of it."""
        path = self.path(sha256)
        found = self.xet_file(sha256)
        if not path.is_file() and found:
            import hf_xet  # noqa: PLC0415  # only chunks need it

            with tempfile.TemporaryDirectory(dir=self._whole) as folder:
                made = Path(folder, sha256)
                with hf_xet.XetSession().new_file_download_group(endpoint=self.chunk_address) as group:
                    group.start_download_file(hf_xet.XetFileInfo(found.hash, found.size), str(made))
                made.replace(path)
        return path

    @property
    def chunk_address(self) -> str:
        """The address of the service for chunks."""
        return f"local://{self.chunks}"

    @property
    def chunk_bytes(self) -> int:
        """The size of all stored chunks: what clients sent, compressed and without what was there already."""
        return sum(path.stat().st_size for path in self.chunks.glob("xet/xorbs/xorbs/*") if path.suffix != ".tagset")

    def xet_file(self, sha256: str) -> XetFile | None:
        """Return the file with this SHA-256 if its chunks are in the store."""
        for path in self.chunks.glob("xet/xorbs/shards/*.mdb"):
            for digest, file in _files_of_shard(path.read_bytes()):
                if digest == sha256:
                    return file
        return None


def _files_of_shard(data: bytes) -> Iterator[tuple[str, XetFile]]:
    """Yield the SHA-256 and the hash of each file in a shard."""
    at = _SHARD_HEADER_SIZE
    while True:
        file_hash, flags, count = _FILE.unpack_from(data, at)
        if file_hash == _LAST:
            return
        at += _FILE.size
        size = sum(_RECORD.unpack_from(data, at + index * _RECORD.size)[0] for index in range(count))
        at += count * _RECORD.size * (2 if flags & _HAS_VERIFICATION else 1)
        if flags & _HAS_METADATA:
            yield _hexadecimal(data[at : at + 32]), XetFile(_hexadecimal(file_hash), size)
            at += _RECORD.size


def _hexadecimal(raw: bytes) -> str:
    """Return a hash as text: four numbers of 64 bits."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))
