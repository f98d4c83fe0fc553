"""What a conversion is to do to a file, found out before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, original_head
from assimilate.errors import AlreadyError, BackupError, ForeignFileError, InterruptedConversionError
from assimilate.in_place import backup_path, read_backup
from assimilate.lief_oracle import verify_with_lief
from assimilate.native import Patch, to_native
from assimilate.relocated_members import RelocatedMembers, relocate_members
from assimilate.undo_record import MARKER_SIZE, State, UndoRecord, interrupted_platform
from assimilate.view import file_view
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.platforms import Platform
    from zipalign.output_file import OutputFile
    from zipalign.reader import Archive

__all__ = ["Options", "Outcome", "backup_for", "interrupted_target", "native_patch", "relocation_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command's options choose, beside what is done and to which file.

    Attributes:
        output: write a copy here and leave the file alone.
        force: succeed when it is already what it is to become; overwrite a backup that another file left.
        keep_osabi: leave EI_OSABI as it stands in the APE.
        backup: keep the overwritten bytes where the file itself does not.
        verified: compare with what LIEF reads before anything is written.
        dry_run: check everything, change nothing.
        progress: is told how many bytes were copied.
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
    """What was done, or would be.

    Attributes:
        path: the file as it was given.
        output: the file that was written: the same, or the copy.
        changed: False when it was already what it was to become.
        backup: the file beside it that keeps the overwritten bytes, where one is needed.
    """

    path: Path
    output: Path
    changed: bool
    backup: Path | None = None


def native_patch(path: Path, data: memoryview, target: Platform, options: Options) -> Patch | None:
    """Return the change that makes the file DATA native, or None when it is and that is no error.

    Whatever is longer than an ELF header is a sector at least: the marker takes its place while it is written.

    Raises:
        AssimilateError: it cannot become that.
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
    """Return the file's archive, and what has to be appended to it before PATCH is made.

    Raises:
        ForeignFileError: it is in the way, or not complete.
        ZipFormatError: it is damaged.
    """
    if len(patch.new) <= SCAN_SIZE:  # nothing but a script is there
        return None, None
    archive, trailing = read_for_append(output_file.fd, path)
    if trailing is not None:
        raise ForeignFileError("an append to its archive was interrupted: run zipalign --recover first")
    if archive is None:
        return None, None
    return archive, relocate_members(archive, data, len(patch.new))


def interrupted_target(data: memoryview) -> str | None:
    """Return the platform that the file DATA was being converted for when that was interrupted, or None."""
    return interrupted_platform(bytes(data[:MARKER_SIZE]))


def backup_for(path: Path, data: memoryview) -> UndoRecord | bytes | None:
    """Return what is kept of the file DATA outside of it: everything that was overwritten, or 64 bytes.

    Raises:
        BackupError: what is kept is damaged, or that of another file.
        InterruptedConversionError: it is needed to finish or undo a conversion, and not there.
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
