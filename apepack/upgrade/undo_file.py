"""The file with an undo record: written before an upgrade, read by a restoration."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.errors import UndoRecordError
from apepack.upgrade.plan import Way
from apepack.upgrade.undo_record import SUFFIX, SavedExtent, UndoRecord, block_checksum
from zipalign.copying import copy_extent
from zipalign.input_file import map_file
from zipalign.output_file import OutputFile
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.upgrade.plan import UpgradePlan

__all__ = ["Undo", "read_undo", "undo_path", "undo_record_for", "write_undo"]


@dataclass(frozen=True, slots=True)
class Undo:
    """An undo record with its saved bytes."""

    path: Path
    record: UndoRecord
    saved: memoryview

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the offset and the bytes of each saved range, in the order of the file."""
        at = 0
        for extent in self.record.saved:
            yield extent.offset, self.saved[at : at + extent.size]
            at += extent.size


def undo_path(path: Path) -> Path:
    """Return the path of the undo record of PATH, in the folder of the file itself, not of a link to it."""
    target = path.resolve()
    return target.with_name(target.name + SUFFIX)


def undo_record_for(plan: UpgradePlan) -> UndoRecord:
    """Return the undo record of an upgrade."""
    old, block = plan.old, plan.old.block
    return UndoRecord(
        file_size=old.size,
        new_size=plan.size,
        front_size=plan.front_size,
        front_checksum=zlib.crc32(plan.runtime.data[: plan.front_size]),
        block_offset=block.offset,
        block_size=block.size,
        block_shift=plan.shift if plan.way is Way.COPY else 0,
        block_checksum=block_checksum(old.data[block.offset : block.end]),
        appended=plan.appended.header_offsets,
        saved=tuple(SavedExtent(start, end - start, zlib.crc32(old.data[start:end])) for start, end, _ in plan.saved),
    )


def write_undo(path: Path, plan: UpgradePlan, mode: int) -> Undo:
    """Write the undo record PATH, and wait until it is on the disk."""
    record = undo_record_for(plan)
    with replacing(path, mode & 0o666) as file:
        output_file = OutputFile(file.fileno())
        output_file.write(record.pack(), 0)
        at = record.size
        for extent in record.saved:
            copied = copy_extent(plan.old.fd, extent.offset, output_file, at, extent.size, None)
            if copied != extent.size:
                raise UndoRecordError("was not written: the file became shorter meanwhile", path)
            at += extent.size
    return Undo(path, record, map_file(path)[record.size :])


def read_undo(path: Path) -> Undo | None:
    """Return the undo record of the llamafile PATH, or None if there is none.

    Raises:
        UndoRecordError: it is damaged.
    """
    record_path = undo_path(path)
    try:
        contents = map_file(record_path)
    except FileNotFoundError:
        return None
    try:
        record = UndoRecord.unpack(contents)
    except UndoRecordError as error:
        error.path = record_path
        raise
    undo = Undo(record_path, record, contents[record.size :])
    for (offset, data), extent in zip(undo.pieces(), record.saved, strict=True):
        if zlib.crc32(data) != extent.checksum:
            raise UndoRecordError(f"is damaged: its copy of the bytes at {offset:#x} has changed", record_path)
    return undo
