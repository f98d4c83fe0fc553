"""The crash-safe replacement of a file's first megabytes: a kill or a power loss at any moment loses no data.

The backup NAME.ape-head with the overwritten bytes is on the disk before the file changes. The first sector then
becomes the marker of an interrupted conversion, the bytes behind it are written, and finally the first sector, with a
sync after each step. So the file is the old one, the new one, or one that begins with the marker; the backup leads from
each of them to the old and the new one.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assimilate.errors import AssimilateError, BackupError, InterruptedConversionError
from assimilate.undo_record import State, UndoRecord
from assimilate.view import file_view
from zipalign.marked_head import MARKER_SIZE, overwrite_head
from zipalign.recovery import find_trailing_data
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assimilate.native import Patch
    from zipalign.output_file import OutputFile
    from zipalign.relocation import RelocatedMembers

__all__ = [
    "backup_path",
    "original_size",
    "read_backup",
    "restore_head",
    "undo_on_error",
    "undo_record_for",
    "write_backup",
]


def backup_path(path: Path) -> Path:
    """Return the path of the backup of PATH's first bytes, in the folder of the file itself, not of a link to it."""
    target = path.resolve() if path.is_symlink() else path
    return target.with_name(f"{target.name}.ape-head")


def undo_record_for(platform: str, patch: Patch, file_size: int, relocated: RelocatedMembers | None) -> UndoRecord:
    """Return the undo record for a file of FILE_SIZE bytes."""
    new_size = max(relocated.end if relocated else file_size, len(patch.new))
    appended_offset = relocated.offset if relocated else new_size
    checksums = zlib.crc32(patch.new), relocated.checksum if relocated else 0
    return UndoRecord(platform, file_size, new_size, appended_offset, len(patch.new), *checksums, patch.old)


def read_backup(path: Path) -> UndoRecord | bytes | None:
    """Return the backup in the file PATH: an undo record, the 64 bytes that an ELF header replaced, or None without it.

    Raises:
        BackupError: it is damaged.
    """
    try:
        contents = path.read_bytes()
    except FileNotFoundError:
        return None
    if not contents.startswith(UndoRecord.MAGIC):
        return contents
    try:
        return UndoRecord.unpack(contents)
    except AssimilateError as error:
        error.path = path
        raise


def write_backup(path: Path, backup: UndoRecord | bytes, mode: int, *, force: bool) -> None:
    """Write the backup PATH and wait until it is on the disk.

    Raises:
        BackupError: there is another backup, and FORCE is False.
    """
    contents = backup if isinstance(backup, bytes) else backup.pack()
    if path.exists() and not force and path.read_bytes() != contents:
        raise BackupError("keeps the first bytes of another file: remove it, or overwrite it with -f", path=path)
    with replacing(path, mode & 0o666) as file:
        file.write(contents)


def original_size(path: Path, output_file: OutputFile, undo: UndoRecord) -> int | None:
    """Return the size to which to cut the file, or None if that would lose members added since."""
    data = file_view(path)
    if undo.appended_is_unchanged(data):
        return undo.file_size
    if undo.state_of(data) is State.ORIGINAL and len(data) > undo.file_size:
        # The append of relocated members was interrupted, perhaps before its marker was on the disk.
        trailing = find_trailing_data(output_file.fd, len(data))
        if trailing is not None and trailing.old_size == undo.file_size:
            return undo.file_size if trailing.is_marked or not any(data[undo.file_size :]) else None
    return None


def restore_head(path: Path, output_file: OutputFile, undo: UndoRecord) -> None:
    """Restore the original first bytes; members added to the archive since stay."""
    size = original_size(path, output_file, undo)
    if undo.state_of(file_view(path)) is not State.ORIGINAL:
        overwrite_head(output_file, undo.data.ljust(MARKER_SIZE, b"\0"), undo.marker)
    if size is not None and output_file.size != size:
        output_file.truncate(size)
        output_file.sync()


@contextmanager
def undo_on_error(output_file: OutputFile, undo: UndoRecord, backup_file: Path) -> Iterator[None]:
    """Restore the file on any exception, and remove its backup.

    Raises:
        InterruptedConversionError: the restoration failed; the file then begins with the marker.
    """
    try:
        yield
    except BaseException as error:
        try:
            if output_file.read(len(undo.data), 0) != undo.data:
                overwrite_head(output_file, undo.data.ljust(MARKER_SIZE, b"\0"), undo.marker)
            output_file.truncate(undo.file_size)
            output_file.sync()
        except OSError:
            raise InterruptedConversionError(undo.platform) from error
        backup_file.unlink()
        raise
