"""Files made native, and APE again: in place, or as a copy.

An ELF header is 64 bytes, written in one piece, so that a kill or a power loss leaves the old file or the new one.
Files of our dialect hold the bytes it replaces twice; for others they are kept in a file beside. A complete program is
megabytes long; `front` exchanges those. How large the archive behind is makes no difference to either.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, original_head
from assimilate.copies import copy_as_ape, copy_as_native, reading
from assimilate.errors import AlreadyError, InterruptedConversionError, naming
from assimilate.in_place import append_tail, backup_path, exchange, kept_of, put_back, read_kept, undoing, write_kept
from assimilate.in_use import check_unused
from assimilate.native import to_ape
from assimilate.plan import Options, Outcome, interruption, kept_for, native_patch, tail_of
from assimilate.undo_record import KeptHead, Place
from assimilate.view import view_of
from zipalign.lock import locked
from zipalign.output_file import Medium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assimilate.native import Patch
    from runtime.platforms import Platform

__all__ = ["assimilate", "restore"]

_DEFAULT = Options()


def assimilate(path: Path, target: Platform, options: Options = _DEFAULT) -> Outcome:
    """Make the APE PATH, or a copy of it, the native program of TARGET.

    A conversion that was interrupted is finished.

    Raises:
        AssimilateError: it cannot become that.
        ZipalignError: it is being written by someone else, or running, or its archive is damaged.
        OSError: the system refuses something.
    """
    if options.output is not None:
        return copy_as_native(path, options.output, target, options)
    with _writing(path, options) as medium, naming(path):
        if not options.dry_run:
            _settle(path, medium)
        data = view_of(path)
        interrupted = interruption(data)
        if interrupted is not None:
            return _finish(path, medium, target, interrupted, options)
        patch = native_patch(path, data, target, options)
        if patch is None:
            return Outcome(path, path, changed=False)
        if len(patch.new) > HEAD_SIZE:
            return _exchange(path, medium, target, patch, options)
        return _write_head(path, medium, patch, options, ours=original_head(bytes(data[:SCAN_SIZE])) is not None)


def restore(path: Path, options: Options = _DEFAULT) -> Outcome:
    """Make PATH, or a copy of it, the APE it was before: byte for byte, if nothing was added to its archive since.

    Raises:
        AssimilateError: it is not a file that was one, or nothing is known of its first bytes.
        ZipalignError: it is being written by someone else, or running.
        OSError: the system refuses something.
    """
    if options.output is not None:
        return copy_as_ape(path, options.output, options)
    with _writing(path, options) as medium, naming(path):
        data = view_of(path)
        kept_path = backup_path(path)
        kept = kept_for(path, data)
        if isinstance(kept, KeptHead):
            check_unused(path)
            if not options.dry_run:
                put_back(path, medium, kept)
                kept_path.unlink()
            return Outcome(path, path, changed=True)
        try:
            patch = to_ape(data, kept)
        except AlreadyError:
            if options.force:
                return Outcome(path, path, changed=False)
            raise
        if not options.dry_run:
            _write(medium, patch.new)
            if kept == patch.new:
                kept_path.unlink()
        return Outcome(path, path, changed=True)


def _settle(path: Path, medium: Medium) -> None:
    """Undo a conversion that was interrupted before it reached the file's first bytes."""
    kept = read_kept(backup_path(path))
    if isinstance(kept, KeptHead) and kept.place_of(view_of(path)) is Place.BEFORE:
        put_back(path, medium, kept)
        backup_path(path).unlink()


def _write_head(path: Path, medium: Medium, patch: Patch, options: Options, *, ours: bool) -> Outcome:
    kept_path = backup_path(path) if options.backup and not ours else None
    if not options.dry_run:
        if kept_path is not None:
            write_kept(kept_path, patch.old, path.stat().st_mode, force=options.force)
        _write(medium, patch.new)
    return Outcome(path, path, changed=True, backup=kept_path)


def _exchange(path: Path, medium: Medium, target: Platform, patch: Patch, options: Options) -> Outcome:
    archive, tail = tail_of(path, medium, view_of(path), patch)
    kept = kept_of(target.name, patch, medium.size, tail)
    kept_path = backup_path(path)
    check_unused(path)
    if not options.dry_run:
        write_kept(kept_path, kept, path.stat().st_mode, force=options.force)
        with undoing(medium, kept, kept_path):
            if tail is not None:
                append_tail(path, medium, archive, tail)
            exchange(medium, patch.new, kept.marker)
        if not options.backup:
            kept_path.unlink()
    return Outcome(path, path, changed=True, backup=kept_path if options.backup else None)


def _finish(path: Path, medium: Medium, target: Platform, interrupted: str, options: Options) -> Outcome:
    """Finish a conversion from what was kept: all of what the program is made from may be overwritten."""
    kept_path = backup_path(path)
    kept = kept_for(path, view_of(path))
    if interrupted != target.name or not isinstance(kept, KeptHead):
        raise InterruptedConversionError(interrupted)
    patch = native_patch(path, view_of(path, kept.data), target, options)
    if patch is None or kept_of(target.name, patch, kept.file_size, None).image_checksum != kept.image_checksum:
        raise InterruptedConversionError(interrupted, lost=kept_path)
    if not options.dry_run:
        exchange(medium, patch.new, kept.marker)
        if not options.backup:
            kept_path.unlink()
    return Outcome(path, path, changed=True, backup=kept_path if options.backup else None)


def _write(medium: Medium, head: bytes) -> None:
    medium.write(head, 0)
    medium.sync()


@contextmanager
def _writing(path: Path, options: Options) -> Iterator[Medium]:
    if options.dry_run:
        with reading(path) as medium:
            yield medium
    else:
        with locked(path, create=False) as (fd, _):
            yield Medium(fd)
