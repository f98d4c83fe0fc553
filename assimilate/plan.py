"""The plan of a conversion, made before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, original_head
from assimilate.errors import AlreadyError, BackupError, ForeignFileError, InterruptedConversionError
from assimilate.in_place import backup_path, read_backup
from assimilate.lief_oracle import verify_with_lief
from assimilate.native import Patch, to_native
from assimilate.relocated_members import relocate_members
from assimilate.undo_record import State, UndoRecord, interrupted_platform
from assimilate.view import file_view
from zipalign.marked_head import MARKER_SIZE
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.platforms import Platform
    from zipalign.archive import Archive
    from zipalign.output_file import OutputFile
    from zipalign.relocation import RelocatedMembers

__all__ = ["Options", "Outcome", "backup_for", "interrupted_target", "native_patch", "relocation_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a conversion.

    Attributes:
        output: write a copy here and do not change the file.
        force: succeed if the file is already converted; overwrite a backup of another file.
        keep_osabi: keep EI_OSABI of the APE.
        backup: back up the overwritten bytes if the file has no copy of them.
        verified: compare the result with LIEF before writing.
        dry_run: make all checks, change nothing.
        progress: called with the number of bytes copied since the last call.
    """

    output: Path | None = None
    force: bool = False
    keep_osabi: bool = False
    backup: bool = True
    verified: bool = False
    dry_run: bool = False
    progress: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a conversion, or of its dry run.

    Attributes:
        path: the file as given.
        output: the written file: the same, or the copy.
        changed: False if it was already converted.
        backup: the file with the overwritten bytes, if one is needed.
    """

    path: Path
    output: Path
    changed: bool
    backup: Path | None = None


def native_patch(path: Path, data: memoryview, target: Platform, options: Options) -> Patch | None:
    """Return the patch that converts the file DATA, or None if it is converted already and `options.force` is set.

    A patch longer than an ELF header has a sector at least, for the marker during the conversion.

    Raises:
        AssimilateError: it cannot be converted.
    """
    try:
        patch = to_native(data, target, keep_osabi=options.keep_osabi)
    except AlreadyError:
        if not options.force:
            raise
        patch = None
    if options.verified:
        verify_with_lief(_result(path, data, patch), target.image_format)
    if patch is not None and HEAD_SIZE < len(patch.new) < MARKER_SIZE:
        old = bytes(data[:MARKER_SIZE])
        return Patch(old, patch.new + old[len(patch.new) :])
    return patch


def _result(path: Path, data: memoryview, patch: Patch | None) -> memoryview:
    if patch is None:
        return data
    return memoryview(patch.new) if len(patch.new) > len(data) else file_view(path, patch.new)


def relocation_for(
    path: Path, output_file: OutputFile, data: memoryview, patch: Patch
) -> tuple[Archive | None, RelocatedMembers | None]:
    """Return the file's archive, and the members to append to it before PATCH is applied.

    Raises:
        ForeignFileError: the patch would overwrite the directory, or the archive is incomplete.
        ZipFormatError: the archive is damaged.
    """
    if len(patch.new) <= SCAN_SIZE:  # only the script is there
        return None, None
    archive, trailing = read_for_append(output_file.fd, path)
    if trailing is not None:
        raise ForeignFileError("an append to its archive was interrupted: run zipalign --recover first")
    if archive is None:
        return None, None
    return archive, relocate_members(archive.require_sound(), data, len(patch.new))


def interrupted_target(data: memoryview) -> str | None:
    """Return the target platform of the interrupted conversion of the file DATA, or None."""
    return interrupted_platform(bytes(data[:MARKER_SIZE]))


def backup_for(path: Path, data: memoryview) -> UndoRecord | bytes | None:
    """Return the backup of the file DATA: its undo record, the 64 bytes that an ELF header replaced, or None.

    Raises:
        BackupError: the backup is damaged, or that of another file.
        InterruptedConversionError: the backup is needed to finish or undo a conversion, and missing.
    """
    backup_file = backup_path(path)
    backup = read_backup(backup_file)
    if isinstance(backup, UndoRecord) and backup.state_of(data) is not State.UNRELATED:
        return backup
    interrupted = interrupted_target(data)
    if interrupted is not None:
        raise InterruptedConversionError(interrupted, lost=backup_file)
    if isinstance(backup, UndoRecord):
        if original_head(bytes(data[:SCAN_SIZE])) is None:
            raise BackupError(
                f"keeps the first bytes of another file than {path}, or of an older one", path=backup_file
            )
        return None
    return backup
