"""The uncompressed data of a member: stored, or decompressed from Deflate or Deflate64.

The directory bounds the output, and the chunk size bounds memory, for any input.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from zipalign.checksum import crc32_function
from zipalign.copying import read_chunks
from zipalign.errors import MissingDependencyError, ZipFormatError
from zipalign.records import METHOD_DEFLATE, METHOD_STORED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zipalign.archive import Entry

__all__ = ["check_crc", "entry_chunks"]

_OUTPUT_SIZE: Final = 1 << 20
_MAX_RATIO: Final = 1032  # deflate's own limit: a match of 258 bytes takes at least two bits
_DEFLATE64_MAX_RATIO: Final = 65538 * 4  # a match of 65538 bytes takes at least two bits
_DEFLATE64_INPUT_SIZE: Final = 64  # its decoder cannot stop early; this input decompresses to 16 MiB at most


def entry_chunks(fd: int, entry: Entry) -> Iterator[bytes]:
    """Yield a member's data in pieces.

    Raises:
        ZipFormatError: the data has another size or CRC than declared.
        MissingDependencyError: it is Deflate64, and zipfile-deflate64 is not installed.
    """
    ratio = {METHOD_STORED: 1, METHOD_DEFLATE: _MAX_RATIO}.get(entry.method, _DEFLATE64_MAX_RATIO)
    if entry.size > entry.compressed_size * ratio:
        reason = f"{entry.compressed_size} bytes cannot hold the declared size (got {entry.size})"
        raise _damaged(entry, reason, "central.size")
    chunks = read_chunks(fd, entry.data_offset, entry.compressed_size)
    if entry.method == METHOD_STORED:
        pieces = chunks
    elif entry.method == METHOD_DEFLATE:
        pieces = _inflated(chunks, entry)
    else:
        pieces = _inflated64(chunks, entry)
    crc32 = crc32_function()
    crc = size = 0
    for piece in pieces:
        size += len(piece)
        crc = crc32(piece, crc)
        if size > entry.size:
            break
        yield piece
    if size != entry.size:
        found = f"more than {entry.size}" if size > entry.size else str(size)
        raise _damaged(entry, f"the data has the wrong size (got {found}, expected {entry.size})", "data")
    check_crc(entry, crc)


def check_crc(entry: Entry, crc: int) -> None:
    """Raise ZipFormatError unless `crc` is that in the directory."""
    if crc != entry.crc:
        reason = f"the data has the wrong CRC (got {crc:08x}, expected {entry.crc:08x})"
        raise _damaged(entry, reason, "data.crc")


def _inflated(chunks: Iterator[bytes], entry: Entry) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    for chunk in chunks:
        _check_no_excess(entry, over=decoder.eof)
        pending = chunk
        while pending and not decoder.eof:
            try:
                piece = decoder.decompress(pending, _OUTPUT_SIZE)
            except zlib.error as e:
                raise _damaged(entry, f"the deflate stream is damaged ({e})", "data") from e
            pending = decoder.unconsumed_tail
            if piece:
                yield piece
    _check_no_excess(entry, over=bool(decoder.unused_data))
    while not decoder.eof:  # output that exceeded the last piece
        piece = decoder.decompress(b"", _OUTPUT_SIZE)
        if not piece:
            raise _damaged(entry, "the deflate stream is cut short", "data")
        yield piece


def _inflated64(chunks: Iterator[bytes], entry: Entry) -> Iterator[bytes]:
    try:
        from zipfile_deflate64 import deflate64  # noqa: PLC0415 -- optional, and patches the standard zipfile
    except ImportError as e:
        raise MissingDependencyError("zipfile-deflate64", f"{entry.name!r} is compressed with Deflate64, which") from e
    decoder: Any = deflate64.Deflate64()
    for chunk in chunks:
        for at in range(0, len(chunk), _DEFLATE64_INPUT_SIZE):
            _check_no_excess(entry, over=decoder.eof)
            try:
                yield decoder.decompress(chunk[at : at + _DEFLATE64_INPUT_SIZE])
            except (ValueError, RuntimeError, MemoryError) as e:
                raise _damaged(entry, f"the Deflate64 stream is damaged ({e})", "data") from e
    if not decoder.eof:
        raise _damaged(entry, "the Deflate64 stream is cut short", "data")


def _check_no_excess(entry: Entry, *, over: bool) -> None:
    if over:
        raise _damaged(entry, "bytes follow the end of the compressed data", "data")


def _damaged(entry: Entry, reason: str, field: str) -> ZipFormatError:
    return ZipFormatError(reason, offset=entry.data_offset, entry=entry.name, field=field)
