"""Conversion as a copy: the file itself is only read, so no backup is needed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assimilate.errors import (
    AlreadyError,
    AssimilateError,
    ForeignFileError,
    InterruptedConversionError,
    adding_path,
)
from assimilate.in_place import original_size
from assimilate.native import to_ape
from assimilate.plan import Outcome, backup_for, interrupted_target, native_patch, relocation_for
from assimilate.undo_record import UndoRecord
from assimilate.view import file_view
from zipalign.copying import copy_file
from zipalign.output_file import OutputFile
from zipalign.replacement import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assimilate.plan import Options
    from runtime.platforms import Platform
    from zipalign.relocation import RelocatedMembers

__all__ = ["copy_as_ape", "copy_as_native", "reading"]


@dataclass(frozen=True, slots=True)
class _Change:
    """The differences of a copy: its first bytes, the appended members, and its size."""

    head: bytes = b""
    relocated: RelocatedMembers | None = None
    size: int | None = None


def copy_as_native(path: Path, output: Path, target: Platform, options: Options) -> Outcome:
    """Write OUTPUT, the native program of TARGET made from the APE PATH.

    Raises:
        AssimilateError: PATH cannot be converted.
        OSError: a file cannot be read or written.
    """
    with reading(path) as source, adding_path(path):
        data = file_view(path)
        interrupted = interrupted_target(data)
        if interrupted is not None:
            raise InterruptedConversionError(interrupted)
        patch = native_patch(path, data, target, options)
        change = _Change(patch.new, relocation_for(path, source, data, patch)[1]) if patch else None
        return _copy(path, source, output, change, options)


def copy_as_ape(path: Path, output: Path, options: Options) -> Outcome:
    """Write OUTPUT, the original APE of PATH.

    Raises:
        AssimilateError: PATH was no APE, or there is no backup of its first bytes.
        OSError: a file cannot be read or written.
    """
    with reading(path) as source, adding_path(path):
        data = file_view(path)
        backup = backup_for(path, data)
        change: _Change | None
        if isinstance(backup, UndoRecord):
            change = _Change(backup.data, size=original_size(path, source, backup))
        else:
            try:
                change = _Change(to_ape(data, backup).new)
            except AlreadyError:
                if not options.force:
                    raise
                change = None
        return _copy(path, source, output, change, options)


def _copy(path: Path, source: OutputFile, output: Path, change: _Change | None, options: Options) -> Outcome:
    if output.exists() and output.samefile(path):
        raise AssimilateError("the output is the input: omit -o to convert it in place")
    if not options.dry_run:
        with replacing(output, path.stat().st_mode & 0o777) as file:
            size = source.size
            target = OutputFile(file.fileno())
            done = copy_file(source.fd, target, size, options.progress)
            if done != size:
                raise AssimilateError(f"became shorter while it was copied (got {done} bytes, expected {size})")
            _apply(target, change or _Change())
    return Outcome(path, output, changed=change is not None)


def _apply(output_file: OutputFile, change: _Change) -> None:
    output_file.write(change.head, 0)
    if change.relocated is not None:
        output_file.write(change.relocated.members, change.relocated.offset)
        output_file.write(change.relocated.directory, change.relocated.directory_offset)
    if change.size is not None:
        output_file.truncate(change.size)


@contextmanager
def reading(path: Path) -> Iterator[OutputFile]:
    """Open a file for reading only.

    Raises:
        ForeignFileError: it is a directory, a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise ForeignFileError("is not a regular file", path=path)
    with path.open("rb") as file:
        yield OutputFile(file.fileno())
