"""Moving a member's data into the archive, with its CRC-32."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

from zipalign.checksum import TrailingChecksum, crc32_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zipalign.medium import Medium

    Progress = Callable[[int], None]

__all__ = ["chunks_of", "copy_range", "write_chunks", "write_deflated"]

_STEP_SIZE: Final = 16 << 20  # often enough for a progress bar and Ctrl-C, too seldom to cost anything
_READ_SIZE: Final = 1 << 20  # also what is not worth a second thread


def copy_range(
    medium: Medium, source_fd: int, source_offset: int, size: int, offset: int, progress: Progress
) -> tuple[int, int]:
    """Copy a range of a file to `offset`, in the kernel where it can.

    Returns:
        The CRC-32 and the number of bytes, which is less than `size` when the source ends early.
    """
    if size <= _READ_SIZE:
        return write_chunks(medium, chunks_of(source_fd, source_offset, size), offset, progress)
    checksum = TrailingChecksum(medium.fd, offset)
    done = 0
    try:
        while done < size:
            copied = medium.copy(source_fd, source_offset + done, offset + done, min(size - done, _STEP_SIZE))
            if not copied:
                break
            done += copied
            checksum.advance(offset + done)
            progress(copied)
    except BaseException:
        checksum.stop()
        raise
    return checksum.finish(), done


def chunks_of(fd: int, offset: int, size: int) -> Iterator[bytes]:
    """Yield a range of a file in pieces; ends early when the file does."""
    while size:
        chunk = os.pread(fd, min(size, _READ_SIZE), offset)
        if not chunk:
            return
        yield chunk
        offset += len(chunk)
        size -= len(chunk)


def write_chunks(medium: Medium, chunks: Iterable[bytes], offset: int, progress: Progress) -> tuple[int, int]:
    """Write pieces one behind the other at `offset`; returns their CRC-32 and total size."""
    crc32 = crc32_function()
    crc = size = 0
    for chunk in chunks:
        medium.write(chunk, offset + size)
        crc = crc32(chunk, crc)
        size += len(chunk)
        progress(len(chunk))
    return crc, size


def write_deflated(
    medium: Medium, chunks: Iterable[bytes], level: int, offset: int, progress: Progress
) -> tuple[int, int, int]:
    """Write pieces as one raw deflate stream at `offset`.

    Returns:
        The CRC-32, the size of the stream, and the size of what went in.
    """
    crc32 = crc32_function()
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = compressed_size = size = 0
    for chunk in chunks:
        crc = crc32(chunk, crc)
        size += len(chunk)
        data = compressor.compress(chunk)
        medium.write(data, offset + compressed_size)
        compressed_size += len(data)
        progress(len(chunk))
    data = compressor.flush()
    medium.write(data, offset + compressed_size)
    return crc, compressed_size + len(data), size
