"""Llamafiles opened for a change, or for its plan."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError, InterruptedUpgradeError, NotAnApeError
from apepack.format.prologue import SCAN_SIZE, parse_prologue
from apepack.upgrade.contents import split_contents
from apepack.upgrade.plan import OldFile
from apepack.upgrade.undo_record import is_interrupted
from zipalign.input_file import map_file, open_input
from zipalign.lock import locked
from zipalign.output_file import OutputFile
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.format.prologue import Magic

__all__ = ["is_native", "magic_of", "opened", "read_llamafile"]

# Of ELF and Mach-O programs: what assimilate makes of a llamafile.
_NATIVE_MAGICS: Final = (b"\x7fELF", b"\xcf\xfa\xed\xfe")


@contextmanager
def opened(path: Path, *, read_only: bool) -> Iterator[OutputFile]:
    """Open the file PATH, and unless READ_ONLY, lock it for a change.

    Raises:
        ZipalignError: another process writes it, or it is running.
        OSError: it cannot be opened.
    """
    if read_only:
        with open_input(path) as fd:
            yield OutputFile(fd)
    else:
        with locked(path, create=False) as (fd, _):
            yield OutputFile(fd)


def read_llamafile(path: Path, fd: int) -> OldFile:
    """Read the llamafile PATH, open as FD.

    Raises:
        InputError: it is no llamafile, or one that became a native program.
        InterruptedUpgradeError: its upgrade was interrupted.
        ZipalignError: its archive is damaged, or a member is faulty.
    """
    data = map_file(path)
    if is_interrupted(data):
        raise InterruptedUpgradeError(path)
    if is_native(data):
        raise InputError(path, "this is a native program: convert it back first, with assimilate --restore")
    magic_of(path, data)
    archive, trailing = read_for_append(fd, path)
    if trailing is not None:  # of an interrupted append
        data = data[: trailing.old_size]
    if archive is None:
        raise InputError(path, "this is no llamafile: it has no archive")
    return OldFile(fd, data, archive, split_contents(archive.require_sound().entries, fd))


def magic_of(path: Path, data: memoryview) -> Magic:
    """Return the magic of the llamafile DATA.

    Raises:
        InputError: it is none.
    """
    try:
        return parse_prologue(bytes(data[:SCAN_SIZE])).magic
    except NotAnApeError as error:
        raise InputError(path, f"this is no llamafile: {error}") from error


def is_native(data: memoryview) -> bool:
    """Return whether the file DATA begins as a native program does."""
    return bytes(data[:4]) in _NATIVE_MAGICS
