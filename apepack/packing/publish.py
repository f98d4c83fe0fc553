"""Files that appear complete, all of them or none."""

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
    """Files in the making, each on the file system where it is to appear.

    Args:
        folder: a private folder beside their places.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[Path, Path] = {}

    def working_path(self, target: Path) -> Path:
        """Return the path to make the file at that is to appear at TARGET. The first one that is named appears last."""
        return self._paths.setdefault(target, self._folder / target.name)

    def commit(self) -> None:
        """Move all files to their places.

        The last move is what counts. If anything before it fails, what was moved goes back, and what was moved aside
        for it returns.
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
    """Yield what makes OUTPUT, and other files beside it, appear when the block ends well; if not, nothing is left."""
    with tempfile.TemporaryDirectory(prefix=".apepack.", dir=output.parent) as folder:
        publication = Publication(Path(folder))
        publication.working_path(output)
        yield publication
        publication.commit()
