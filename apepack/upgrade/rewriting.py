"""A new file with another runtime and the same weights, and the way back: for a runtime that does not fit before them.

The kernel copies the weights, and shares them with the old file where the file system can.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Final

from apepack.errors import OutputError
from apepack.upgrade.exchange import check_written
from zipalign.copying import copy_extent
from zipalign.eocd import find_eocd
from zipalign.output_file import OutputFile
from zipalign.reader import read_directory
from zipalign.relocation import MemberCopy, relocation
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from apepack.upgrade.plan import UpgradePlan
    from apepack.upgrade.undo_file import Undo
    from zipalign import Entry
    from zipalign.copying import Progress

__all__ = ["rewrite", "rewrite_old", "shares_blocks"]

_BLOCK_SIZE: Final = 4096


def shares_blocks(path: Path, folder: Path) -> bool:
    """Return whether a copy of PATH in FOLDER takes no space, as on XFS and btrfs. Leaves nothing there."""
    try:
        with path.open("rb") as source, tempfile.TemporaryFile(dir=folder) as target:
            return OutputFile(target.fileno()).clone(source.fileno(), 0, 0, _BLOCK_SIZE)
    except OSError:  # nothing can be created there, which a copy will report
        return False


def rewrite(output: Path, plan: UpgradePlan, mode: int, progress: Progress | None) -> None:
    """Write the new file OUTPUT; only when it is complete does it take that name.

    Raises:
        OutputError: the old file became shorter meanwhile.
        VerificationError: the data read back differs from the data written.
    """
    block = plan.old.block
    with replacing(output, mode) as file:
        target = OutputFile(file.fileno())
        target.write(plan.runtime.data[: plan.front_size], 0)
        _copy_block(output, plan.old.fd, block.offset, target, block.offset + plan.shift, block.size, progress)
        target.write(plan.appended.members, plan.appended.offset)
        target.write(plan.appended.directory, plan.appended.directory_offset)
        check_written(output, target, plan)


def rewrite_old(
    path: Path, output_file: OutputFile, undo: Undo, added: Sequence[Entry], progress: Progress | None
) -> None:
    """Write the old file of UNDO, with members that were ADDED since, in the place of the new one, OUTPUT_FILE."""
    record = undo.record
    with replacing(path, os.fstat(output_file.fd).st_mode & 0o777) as file:
        target = OutputFile(file.fileno())
        for offset, data in undo.pieces():
            target.write(data, offset)
        target.truncate(max(target.size, record.block_offset))
        start = record.block_offset
        _copy_block(path, output_file.fd, start + record.block_shift, target, start, record.block_size, progress)
        target.truncate(record.file_size)
        if added:
            archive = read_directory(target.fd, path, find_eocd(target.fd, record.file_size, path))
            names = {entry.name for entry in added}
            headers = [member.record for member in archive.members if member.name not in names]
            copies = [MemberCopy(entry, output_file.read(entry.compressed_size, entry.data_offset)) for entry in added]
            relocated = relocation(record.file_size, headers, copies, archive.comment)
            target.write(relocated.members, relocated.offset)
            target.write(relocated.directory, relocated.directory_offset)


def _copy_block(  # noqa: PLR0913, PLR0917  # of two files
    path: Path, source_fd: int, source: int, target: OutputFile, offset: int, size: int, progress: Progress | None
) -> None:
    copied = copy_extent(source_fd, source, target, offset, size, progress)
    if copied != size:
        raise OutputError(path, f"it became shorter while it was copied (got {copied} bytes, expected {size})")
