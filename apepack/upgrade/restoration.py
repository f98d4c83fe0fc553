"""The way back from an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apepack.errors import InterruptedUpgradeError, UndoRecordError
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.upgrade.exchange import restore_in_place
from apepack.upgrade.opening import is_native, opened
from apepack.upgrade.rewriting import rewrite_old
from apepack.upgrade.sidecars import restore_sidecars
from apepack.upgrade.undo_file import read_undo, undo_path
from apepack.upgrade.undo_record import State, is_interrupted
from zipalign.errors import ZipFormatError
from zipalign.input_file import map_file
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from pathlib import Path

    from apepack.upgrade.undo_file import Undo
    from zipalign import Entry
    from zipalign.copying import Progress
    from zipalign.output_file import OutputFile

__all__ = ["restore", "undo_interrupted"]


def restore(path: Path, *, dry_run: bool = False, progress: Progress | None = None) -> bool:
    """Undo the upgrade of PATH: byte for byte, if no member was added since; added ones stay.

    Returns:
        False if the upgrade had not begun.

    Raises:
        UndoRecordError: there is no undo record, or it is damaged, or of another file.
        ZipalignError: another process writes PATH, or it is running.
        OSError: a file cannot be read or written.
    """
    with opened(path, read_only=dry_run) as output_file:
        undo = read_undo(path)
        data = map_file(path)
        if undo is None and is_interrupted(data):
            raise InterruptedUpgradeError(path, undo_path(path))
        if undo is None:
            raise UndoRecordError("does not exist: nothing is kept of what it was before", undo_path(path))
        state = undo.record.state_of(data)
        if state is State.UNRELATED:
            hint = "convert it back first, with assimilate --restore" if is_native(data) else "it has changed since"
            raise UndoRecordError(f"is not of {path} as it is now: {hint}", undo.path)
        if dry_run:
            return state is not State.ORIGINAL
        if state is not State.ORIGINAL:
            _put_back(path, output_file, undo, progress)
        restore_sidecars(path)
        undo.path.unlink()
        return state is not State.ORIGINAL


def _put_back(path: Path, output_file: OutputFile, undo: Undo, progress: Progress | None) -> None:
    added = _added(path, output_file, undo)
    if undo.record.is_in_place:
        restore_in_place(path, output_file, undo, added)
    else:
        rewrite_old(path, output_file, undo, added, progress)


def _added(path: Path, output_file: OutputFile, undo: Undo) -> list[Entry]:
    """Return the members that were added since an upgrade; the manifest is none."""
    try:
        archive, _ = read_for_append(output_file.fd, path)
    except ZipFormatError:  # the exchange was interrupted
        return []
    record = undo.record
    first = record.file_size if record.is_in_place else record.new_size
    return [
        entry
        for entry in (archive.entries if archive else ())
        if entry.header_offset >= first and entry.header_offset not in record.appended and entry.name != MANIFEST_NAME
    ]


def undo_interrupted(path: Path, output_file: OutputFile) -> None:
    """Undo the upgrade of PATH if it was interrupted.

    Raises:
        InterruptedUpgradeError: the undo record is missing, or that of another file.
    """
    data = map_file(path)
    if not is_interrupted(data):
        return
    undo = read_undo(path)
    if undo is None or undo.record.state_of(data) is not State.INTERRUPTED:
        raise InterruptedUpgradeError(path, undo_path(path))
    _put_back(path, output_file, undo, None)
