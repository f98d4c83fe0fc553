"""Conversion of files to native programs and back to APEs, in place or as copies.

An ELF header is 64 bytes, written in one piece, so that a kill or a power loss leaves the old file or the new one.
Files of our dialect contain a copy of the overwritten bytes; for others they are backed up in another file. A complete
program is megabytes long; `in_place` writes it. Neither depends on the size of the archive.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, original_head
from assimilate.copies import copy_as_ape, copy_as_native, reading
from assimilate.errors import AlreadyError, InterruptedConversionError, adding_path
from assimilate.in_place import (
    backup_path,
    read_backup,
    restore_head,
    undo_on_error,
    undo_record_for,
    write_backup,
)
from assimilate.native import to_ape
from assimilate.plan import Options, Outcome, backup_for, interrupted_target, native_patch, relocation_for
from assimilate.undo_record import State, UndoRecord
from assimilate.view import file_view
from zipalign.lock import locked
from zipalign.marked_head import overwrite_head
from zipalign.output_file import OutputFile
from zipalign.relocation import append_members

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assimilate.native import Patch
    from runtime.platforms import Platform

__all__ = ["assimilate", "restore"]

_DEFAULT = Options()


def assimilate(path: Path, target: Platform, options: Options = _DEFAULT) -> Outcome:
    """Convert the APE PATH, or a copy of it, to the native program of TARGET.

    Finishes an interrupted conversion.

    Raises:
        AssimilateError: it cannot be converted.
        ZipalignError: another process writes it, or it is running, or its archive is damaged.
        OSError: a file cannot be read or written.
    """
    if options.output is not None:
        return copy_as_native(path, options.output, target, options)
    with _writing(path, options) as output_file, adding_path(path):
        if not options.dry_run:
            _undo_unstarted(path, output_file)
        data = file_view(path)
        interrupted = interrupted_target(data)
        if interrupted is not None:
            return _finish(path, output_file, target, interrupted, options)
        patch = native_patch(path, data, target, options)
        if patch is None:
            return Outcome(path, path, changed=False)
        if len(patch.new) > HEAD_SIZE:
            return _write_program(path, output_file, target, patch, options)
        return _write_head(path, output_file, patch, options, ours=original_head(bytes(data[:SCAN_SIZE])) is not None)


def restore(path: Path, options: Options = _DEFAULT) -> Outcome:
    """Convert PATH, or a copy of it, back to the original APE: byte for byte, if its archive was not extended since.

    Raises:
        AssimilateError: it was no APE, or there is no backup of its first bytes.
        ZipalignError: another process writes it, or it is running.
        OSError: a file cannot be read or written.
    """
    if options.output is not None:
        return copy_as_ape(path, options.output, options)
    with _writing(path, options) as output_file, adding_path(path):
        data = file_view(path)
        backup_file = backup_path(path)
        backup = backup_for(path, data)
        if isinstance(backup, UndoRecord):
            if not options.dry_run:
                restore_head(path, output_file, backup)
                backup_file.unlink()
            return Outcome(path, path, changed=True)
        try:
            patch = to_ape(data, backup)
        except AlreadyError:
            if options.force:
                return Outcome(path, path, changed=False)
            raise
        if not options.dry_run:
            _write(output_file, patch.new)
            if backup == patch.new:
                backup_file.unlink()
        return Outcome(path, path, changed=True)


def _undo_unstarted(path: Path, output_file: OutputFile) -> None:
    """Undo a conversion that was interrupted before it changed the file's first bytes."""
    backup = read_backup(backup_path(path))
    if isinstance(backup, UndoRecord) and backup.state_of(file_view(path)) is State.ORIGINAL:
        restore_head(path, output_file, backup)
        backup_path(path).unlink()


def _write_head(path: Path, output_file: OutputFile, patch: Patch, options: Options, *, ours: bool) -> Outcome:
    backup_file = backup_path(path) if options.backup and not ours else None
    if not options.dry_run:
        if backup_file is not None:
            write_backup(backup_file, patch.old, path.stat().st_mode, force=options.force)
        _write(output_file, patch.new)
    return Outcome(path, path, changed=True, backup=backup_file)


def _write_program(path: Path, output_file: OutputFile, target: Platform, patch: Patch, options: Options) -> Outcome:
    archive, relocated = relocation_for(path, output_file, file_view(path), patch)
    undo = undo_record_for(target.name, patch, output_file.size, relocated)
    backup_file = backup_path(path)
    if not options.dry_run:
        write_backup(backup_file, undo, path.stat().st_mode, force=options.force)
        with undo_on_error(output_file, undo, backup_file):
            if relocated is not None:
                append_members(path, output_file, archive, relocated)
            overwrite_head(output_file, patch.new, undo.marker)
        if not options.backup:
            backup_file.unlink()
    return Outcome(path, path, changed=True, backup=backup_file if options.backup else None)


def _finish(path: Path, output_file: OutputFile, target: Platform, interrupted: str, options: Options) -> Outcome:
    """Finish a conversion with the undo record: the source of the program may be overwritten."""
    backup_file = backup_path(path)
    backup = backup_for(path, file_view(path))
    if interrupted != target.name or not isinstance(backup, UndoRecord):
        raise InterruptedConversionError(interrupted)
    patch = native_patch(path, file_view(path, backup.data), target, options)
    if (
        patch is None
        or undo_record_for(target.name, patch, backup.file_size, None).image_checksum != backup.image_checksum
    ):
        raise InterruptedConversionError(interrupted, lost=backup_file)
    if not options.dry_run:
        overwrite_head(output_file, patch.new, backup.marker)
        if not options.backup:
            backup_file.unlink()
    return Outcome(path, path, changed=True, backup=backup_file if options.backup else None)


def _write(output_file: OutputFile, head: bytes) -> None:
    output_file.write(head, 0)
    output_file.sync()


@contextmanager
def _writing(path: Path, options: Options) -> Iterator[OutputFile]:
    if options.dry_run:
        with reading(path) as output_file:
            yield output_file
    else:
        with locked(path, create=False) as (fd, _):
            yield OutputFile(fd)
