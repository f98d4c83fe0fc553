"""Creation of several output files, all of them completely or none of them."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zipalign.replacement import sync_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Publication", "publishing"]


class Publication:
    """Output files, written to a temporary folder on the same file system.

    Args:
        folder: the temporary folder, in the folder of the outputs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[Path, Path] = {}

    def working_path(self, target: Path) -> Path:
        """Return the temporary path for the output TARGET. The first output is renamed last."""
        return self._paths.setdefault(target, self._folder / target.name)

    def commit(self) -> None:
        """Rename all files to their final paths.

        The last rename completes the transaction. If an earlier one fails, the renamed files and the files that they
        replaced are renamed back.
        """
        (main, work), *others = self._paths.items()
        for path in self._paths.values():
            sync_path(path)
        try:
            for target, made in others:
                if target.exists():
                    target.rename(self._backup_path(target))
                made.rename(target)
            work.replace(main)
        except BaseException:
            if work.exists():
                for target, made in others:
                    self._roll_back(target, made)
            raise
        sync_path(main.parent)

    def _roll_back(self, target: Path, made: Path) -> None:
        if not made.exists():
            target.rename(made)
        if self._backup_path(target).exists():
            self._backup_path(target).rename(target)

    def _backup_path(self, target: Path) -> Path:
        return self._folder / f"{target.name}.old"


@contextmanager
def publishing(output: Path) -> Iterator[Publication]:
    """Yield a Publication for OUTPUT and other files, which is committed unless the block raises an exception."""
    with tempfile.TemporaryDirectory(prefix=".apepack.", dir=output.parent) as folder:
        publication = Publication(Path(folder))
        publication.working_path(output)
        yield publication
        publication.commit()
