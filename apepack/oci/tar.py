"""Headers of tar archives, in the form of POSIX.1-2001 (pax), with times and owners that are always the same.

The data of a large file begin at a multiple of 4096, so that file systems with shared blocks can share those of the
file that they are copied from: a comment in an extended header fills the space before them. Readers ignore comments.
"""

from __future__ import annotations

import tarfile
from typing import Final

__all__ = ["BLOCK_SIZE", "END", "SHARED_ALIGNMENT", "file_header", "folder_header", "link_header", "padding"]

BLOCK_SIZE: Final = tarfile.BLOCKSIZE
SHARED_ALIGNMENT: Final = 4096  # the size of blocks of file systems that can share them
END: Final = bytes(2 * BLOCK_SIZE)
_EXTENDED_SIZE_MIN: Final = 3 * BLOCK_SIZE  # a header for the extended header, one block of that, the file's header
_COMMENT_FRAME_SIZE: Final = len("9999 comment=\n")


def folder_header(name: str) -> bytes:
    """Return the header of the folder NAME."""
    return _pack(_info(f"{name}/", tarfile.DIRTYPE, 0o755))


def link_header(name: str, target: str) -> bytes:
    """Return the header of NAME, a symbolic link to TARGET."""
    info = _info(name, tarfile.SYMTYPE, 0o777)
    info.linkname = target
    return _pack(info)


def file_header(name: str, size: int, *, mode: int = 0o644, offset: int | None = None) -> bytes:
    """Return the header of a file of SIZE bytes.

    Args:
        name: its name.
        size: its size in bytes.
        mode: its permissions.
        offset: where the header begins, if the data are to begin at a multiple of 4096.
    """
    info = _info(name, tarfile.REGTYPE, mode)
    info.size = size
    plain = _pack(info)
    if offset is None or not -(offset + len(plain)) % SHARED_ALIGNMENT:
        return plain
    header_size = -offset % SHARED_ALIGNMENT
    while header_size < max(_EXTENDED_SIZE_MIN, len(plain)):
        header_size += SHARED_ALIGNMENT
    records = len(plain) - 2 * BLOCK_SIZE if len(plain) > BLOCK_SIZE else 0  # at most: they are padded, too
    room = header_size - 2 * BLOCK_SIZE - records
    if room < BLOCK_SIZE:
        header_size, room = header_size + SHARED_ALIGNMENT, room + SHARED_ALIGNMENT
    info.pax_headers = {"comment": " " * (room - _COMMENT_FRAME_SIZE)}
    header = _pack(info)
    if len(header) != header_size:
        raise AssertionError(f"the header has {len(header)} bytes (expected {header_size})")
    return header


def padding(size: int) -> bytes:
    """Return the zeros behind the data of a file of SIZE bytes."""
    return bytes(-size % BLOCK_SIZE)


def _info(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = mode  # the owner is root, and the time 1970-01-01: those of a new TarInfo
    return info


def _pack(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
