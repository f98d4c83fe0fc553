"""The exchange of a file's beginning in place, and its way back. The weights are neither read nor written.

The undo record is on the disk before the file changes. While the beginning is exchanged, the file begins with the
record's marker (zipalign.marked_head). Members that do not lie before the weights, and the new directory, are appended
as zipalign does, so that the old directory stays where it is until a later upgrade.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from apepack.errors import InterruptedUpgradeError, VerificationError
from zipalign.eocd import find_eocd
from zipalign.layout import moved_header, pack_directory
from zipalign.marked_head import MARKER_SIZE, marked
from zipalign.reader import read_directory
from zipalign.relocation import append_members
from zipalign.transaction import Append

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from apepack.upgrade.plan import UpgradePlan
    from apepack.upgrade.undo_file import Undo
    from zipalign import Archive, Entry
    from zipalign.output_file import OutputFile

__all__ = ["check_written", "exchange", "restore_in_place"]


def exchange(path: Path, output_file: OutputFile, plan: UpgradePlan, undo: Undo) -> None:
    """Put the new runtime before the weights; on any exception the old one is put back.

    Raises:
        InterruptedUpgradeError: it cannot be put back; the file then begins with the marker.
        VerificationError: the data read back differs from the data written.
    """
    front = plan.runtime.data[: plan.front_size]
    with (
        _undone_on_error(path, output_file, undo),
        marked(output_file, front[:MARKER_SIZE], undo.record.marker),
    ):
        output_file.write(front[MARKER_SIZE:], MARKER_SIZE)
        output_file.clear(plan.front_size, plan.old.block.offset - plan.front_size)
        append_members(path, output_file, plan.old.archive, plan.appended)
        check_written(path, output_file, plan)


def check_written(path: Path, output_file: OutputFile, plan: UpgradePlan) -> Archive:
    """Return the new archive, read back and compared with the plan.

    Raises:
        VerificationError: it differs.
    """
    front = plan.runtime.data[MARKER_SIZE : plan.front_size]
    if zlib.crc32(output_file.read(len(front), MARKER_SIZE)) != zlib.crc32(front):
        raise VerificationError(path, "its runtime is another one")
    archive = read_directory(output_file.fd, path, find_eocd(output_file.fd, output_file.size, path)).require_sound()
    for entry in plan.old.contents.author:
        found = archive.entry(entry.name)
        if found is None or (found.crc, found.size) != (entry.crc, entry.size):
            raise VerificationError(path, f"the member {entry.name!r} is missing")
        if entry in plan.old.contents.weights and found.data_offset != entry.data_offset + plan.shift:
            raise VerificationError(path, f"{entry.name!r} is at {found.data_offset:#x}")
    return archive


def restore_in_place(path: Path, output_file: OutputFile, undo: Undo, added: Sequence[Entry] = ()) -> None:
    """Put back the old beginning, and cut off what the upgrade appended, unless members were ADDED since."""
    first, *_ = (data for _, data in undo.pieces())
    with marked(output_file, first[:MARKER_SIZE], undo.record.marker):
        end = MARKER_SIZE
        for offset, data in undo.pieces():
            start = max(offset, MARKER_SIZE)
            output_file.clear(end, start - end)
            output_file.write(data[start - offset :], start)
            end = offset + len(data)
        output_file.clear(end, undo.record.block_offset - end)
        if added:
            _keep(path, output_file, undo.record.file_size, added)
        else:
            output_file.truncate(undo.record.file_size)


def _keep(path: Path, output_file: OutputFile, old_size: int, added: Sequence[Entry]) -> None:
    """Append a directory with the members of the old archive, which ends at OLD_SIZE, and those that were ADDED."""
    archive = read_directory(output_file.fd, path, find_eocd(output_file.fd, old_size, path))
    names = {entry.name for entry in added}
    headers = [member.record for member in archive.members if member.name not in names]
    headers += [moved_header(entry, entry.header_offset) for entry in added]
    append = Append(path, output_file, archive)
    directory = pack_directory(headers, append.start, archive.comment)
    append.begin(append.start + len(directory))
    append.commit(directory, append.start)


@contextmanager
def _undone_on_error(path: Path, output_file: OutputFile, undo: Undo) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        try:
            restore_in_place(path, output_file, undo)
        except OSError:
            raise InterruptedUpgradeError(path) from error
        undo.path.unlink()
        raise
