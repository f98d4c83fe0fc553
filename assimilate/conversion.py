"""Files changed by what native.py computes: in place with one small write, or as a copy.

In place, nothing but the first 64 bytes is written, in one piece, so that time does not depend on the file's size and a
kill or power loss leaves the old file or the new one. Files of our dialect carry those bytes twice; for others they are
kept in a file beside, which is on the disk before the change is made.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.prologue import WINDOW_SIZE, kept_head
from assimilate.copying import copy_file
from assimilate.errors import AlreadyError, AssimilateError, BackupError, ForeignFileError
from assimilate.native import KIND_APE, Patch, Subject, examine, to_ape, to_native
from zipalign.lock import locked
from zipalign.medium import Medium
from zipalign.transaction import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.platforms import Platform

__all__ = ["Outcome", "assimilate", "backup_path", "inspect", "restore"]


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


def backup_path(path: Path) -> Path:
    """Return the name of the file that keeps the first bytes of PATH."""
    return path.with_name(f"{path.name}.ape-head")


def inspect(path: Path, target: Platform) -> Subject:
    """Say what PATH is; if an APE, check that it can become native for TARGET.

    Raises:
        AssimilateError: it is no such file, or damaged.
        OSError: it cannot be read.
    """
    with _reading(path) as medium, _naming(path):
        window = medium.read(WINDOW_SIZE, 0)
        subject = examine(window, _reader(medium))
        if subject.kind == KIND_APE:
            with suppress(AlreadyError):  # a PE program
                to_native(window, medium.size, _reader(medium), target, keep_osabi=False)
        return subject


def assimilate(  # noqa: PLR0913  # each is one of the command's options
    path: Path,
    target: Platform,
    *,
    output: Path | None = None,
    force: bool = False,
    keep_osabi: bool = False,
    backup: bool = True,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Make the APE PATH, or a copy of it, the native program of TARGET.

    Args:
        path: the file.
        target: what it is to become.
        output: write a copy here and leave PATH alone.
        force: succeed when it is native already; overwrite a backup that another file left.
        keep_osabi: leave EI_OSABI as it stands in the APE.
        backup: keep the overwritten bytes where the file itself does not.
        dry_run: check everything, change nothing.
        progress: is told how many bytes were copied.

    Raises:
        AssimilateError: it cannot become that.
        ZipalignError: it is being written by someone else, or running.
        OSError: the system refuses something.
    """

    def change(medium: Medium) -> Patch:
        return to_native(medium.read(WINDOW_SIZE, 0), medium.size, _reader(medium), target, keep_osabi=keep_osabi)

    if output is not None:
        return _convert_copy(path, output, change, force=force, dry_run=dry_run, progress=progress)
    with _writing(path, dry_run=dry_run) as medium, _naming(path):
        patch = _wanted(change, medium, force=force)
        if patch is None:
            return Outcome(path, path, changed=False)
        needs_backup = backup and kept_head(medium.read(WINDOW_SIZE, 0)) is None
        kept = backup_path(path) if needs_backup else None
        if not dry_run:
            if kept is not None:
                _write_backup(kept, patch.old, force=force)
            _apply(medium, patch)
        return Outcome(path, path, changed=True, backup=kept)


def restore(
    path: Path,
    *,
    output: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Make PATH, or a copy of it, the APE it was before: byte for byte.

    Raises:
        AssimilateError: it is not a file that was one, or nothing is known of its first bytes.
        ZipalignError: it is being written by someone else, or running.
        OSError: the system refuses something.
    """
    kept = backup_path(path)

    def change(medium: Medium) -> Patch:
        backup = kept.read_bytes() if kept.exists() else None
        return to_ape(medium.read(WINDOW_SIZE, 0), _reader(medium), backup)

    if output is not None:
        return _convert_copy(path, output, change, force=force, dry_run=dry_run, progress=progress)
    with _writing(path, dry_run=dry_run) as medium, _naming(path):
        patch = _wanted(change, medium, force=force)
        if patch is None:
            return Outcome(path, path, changed=False)
        if not dry_run:
            _apply(medium, patch)
            kept.unlink(missing_ok=True)
        return Outcome(path, path, changed=True)


def _wanted(change: Callable[[Medium], Patch], medium: Medium, *, force: bool) -> Patch | None:
    try:
        return change(medium)
    except AlreadyError:
        if force:
            return None
        raise


def _apply(medium: Medium, patch: Patch) -> None:
    medium.write(patch.new, 0)
    medium.sync()


def _convert_copy(
    path: Path,
    output: Path,
    change: Callable[[Medium], Patch],
    *,
    force: bool,
    dry_run: bool,
    progress: Callable[[int], None] | None,
) -> Outcome:
    if output.exists() and output.samefile(path):
        raise AssimilateError("the output is the input: leave out -o to change it in place", path=path)
    with _reading(path) as source, _naming(path):
        patch = _wanted(change, source, force=force)
        if not dry_run:
            with replacing(output, path.stat().st_mode & 0o777) as file:
                size = source.size
                done = copy_file(source.fd, file.fileno(), size, progress)
                if done != size:
                    raise AssimilateError(f"became shorter while it was copied (got {done} bytes, expected {size})")
                if patch is not None:
                    Medium(file.fileno()).write(patch.new, 0)
    return Outcome(path, output, changed=patch is not None)


def _write_backup(kept: Path, head: bytes, *, force: bool) -> None:
    if kept.exists() and not force and kept.read_bytes() != head:
        raise BackupError("keeps the first bytes of another file: remove it, or overwrite it with -f", path=kept)
    with replacing(kept, 0o644) as file:
        file.write(head)


def _reader(medium: Medium) -> Callable[[int, int], bytes]:
    return lambda offset, size: medium.read(size, offset)


@contextmanager
def _reading(path: Path) -> Iterator[Medium]:
    if path.exists() and not path.is_file():
        raise ForeignFileError("is not a regular file", path=path)
    with path.open("rb") as file:
        yield Medium(file.fileno())


@contextmanager
def _writing(path: Path, *, dry_run: bool) -> Iterator[Medium]:
    if dry_run:
        with _reading(path) as medium:
            yield medium
    else:
        with locked(path, create=False) as (fd, _):
            yield Medium(fd)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its contents."""
    try:
        yield
    except AssimilateError as error:
        if error.path is None:
            raise type(error)(str(error), path=path) from error
        raise
