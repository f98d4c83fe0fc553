"""The first megabytes of a file exchanged for others so that a kill or a power loss at any moment loses nothing.

What is overwritten is in NAME.ape-head, and on the disk, before anything changes. The first sector then becomes a
marker that says that the file is neither the one nor the other; everything behind it is written, and only then the
first sector. Between the steps the disk is waited for. So the file is the old one, the new one, or one that begins with
the marker, and whichever it is, the bytes that were kept lead to both.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from assimilate.errors import AssimilateError, BackupError, InterruptedConversionError
from assimilate.undo_record import MARKER_SIZE, KeptHead, Place
from assimilate.view import view_of
from zipalign.recovery import find_remains
from zipalign.transaction import Append, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assimilate.native import Patch
    from assimilate.relocated_members import Tail
    from zipalign.output_file import Medium
    from zipalign.reader import Archive

__all__ = [
    "append_tail",
    "backup_path",
    "exchange",
    "former_size",
    "kept_of",
    "put_back",
    "read_kept",
    "undoing",
    "write_kept",
]


def backup_path(path: Path) -> Path:
    """Return the name of the file that keeps the first bytes of PATH: beside it, not beside a link to it."""
    target = path.resolve() if path.is_symlink() else path
    return target.with_name(f"{target.name}.ape-head")


def kept_of(platform: str, patch: Patch, file_size: int, tail: Tail | None) -> KeptHead:
    """Return what is to be kept of a file of FILE_SIZE bytes."""
    new_size = max(tail.end if tail else file_size, len(patch.new))
    tail_offset = tail.offset if tail else new_size
    checksums = zlib.crc32(patch.new), tail.checksum if tail else 0
    return KeptHead(platform, file_size, new_size, tail_offset, len(patch.new), *checksums, patch.old)


def read_kept(path: Path) -> KeptHead | bytes | None:
    """Return what the file PATH keeps: everything, only the 64 bytes of an ELF header, or None without the file.

    Raises:
        BackupError: it is damaged.
    """
    try:
        contents = path.read_bytes()
    except FileNotFoundError:
        return None
    if not contents.startswith(KeptHead.MAGIC):
        return contents
    try:
        return KeptHead.unpack(contents)
    except AssimilateError as error:
        error.path = path
        raise


def write_kept(path: Path, kept: KeptHead | bytes, mode: int, *, force: bool) -> None:
    """Make the file PATH keep what is about to be overwritten; it is on the disk afterwards.

    Raises:
        BackupError: it keeps something else already, and FORCE does not say to drop that.
    """
    contents = kept if isinstance(kept, bytes) else kept.pack()
    if path.exists() and not force and path.read_bytes() != contents:
        raise BackupError("keeps the first bytes of another file: remove it, or overwrite it with -f", path=path)
    with replacing(path, mode & 0o666) as file:
        file.write(contents)


def append_tail(path: Path, medium: Medium, archive: Archive | None, tail: Tail) -> None:
    """Append TAIL to the file as zipalign does; on any exception it is cut off again."""
    append = Append(path, medium, archive)
    try:
        append.begin(tail.end)
        medium.write(tail.members, tail.offset)
        append.commit(tail.directory, tail.directory_offset)
    except BaseException:
        append.rollback()
        raise


def exchange(medium: Medium, new: bytes, marker: bytes) -> None:
    """Write NEW, of which the first sector is written last, over the start of the file; if that fails, MARKER stays."""
    try:
        medium.write(marker, 0)
        medium.sync()
        medium.write(memoryview(new)[MARKER_SIZE:], MARKER_SIZE)
        medium.sync()
        medium.write(new[:MARKER_SIZE], 0)
        medium.sync()
    except BaseException:
        with suppress(OSError):
            medium.write(marker, 0)
            medium.sync()
        raise


def former_size(path: Path, medium: Medium, kept: KeptHead) -> int | None:
    """Return what the file is to be cut back to, or None where that would lose what was added since."""
    data = view_of(path)
    if kept.has_only_our_tail(data):
        return kept.file_size
    if kept.place_of(data) is Place.BEFORE and len(data) > kept.file_size:
        # The append of what lies in the way was interrupted, perhaps before its mark was on the disk.
        remains = find_remains(medium.fd, len(data))
        if remains is not None and remains.old_size == kept.file_size:
            return kept.file_size if remains.marked or not any(data[kept.file_size :]) else None
    return None


def put_back(path: Path, medium: Medium, kept: KeptHead) -> None:
    """Make the file what it was before; what was added to its archive since stays."""
    size = former_size(path, medium, kept)
    if kept.place_of(view_of(path)) is not Place.BEFORE:
        exchange(medium, kept.data.ljust(MARKER_SIZE, b"\0"), kept.marker)
    if size is not None and medium.size != size:
        medium.truncate(size)
        medium.sync()


@contextmanager
def undoing(medium: Medium, kept: KeptHead, kept_path: Path) -> Iterator[None]:
    """Make the file what it was before on any exception, and remove what was kept of it.

    Raises:
        InterruptedConversionError: the system does not let us; the file then begins with the marker.
    """
    try:
        yield
    except BaseException as error:
        try:
            if medium.read(len(kept.data), 0) != kept.data:
                exchange(medium, kept.data.ljust(MARKER_SIZE, b"\0"), kept.marker)
            medium.truncate(kept.file_size)
            medium.sync()
        except OSError:
            raise InterruptedConversionError(kept.platform) from error
        kept_path.unlink()
        raise
