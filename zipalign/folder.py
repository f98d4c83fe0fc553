"""The files in folders, for `zipalign -r`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from zipalign.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["files_below"]


def files_below(path: str, archive: os.stat_result | None) -> Iterator[str]:
    """Yield the files in a folder and its subfolders, in the order of their names; another path as it is.

    Symbolic links are followed, as they are for named files.

    Args:
        path: a folder, or any other path.
        archive: the status of the archive, which is left out of a folder, if it exists.

    Raises:
        InputFileError: a symbolic link leads back to a folder that contains it.
        OSError: a folder cannot be read.
    """
    if not os.path.isdir(path):  # noqa: PTH112 -- pathlib would change the path that -v prints
        yield path
        return
    yield from _below(path, archive, ())


def _below(folder: str, archive: os.stat_result | None, parents: tuple[tuple[int, int], ...]) -> Iterator[str]:
    status = os.stat(folder)  # noqa: PTH116 -- as above
    identity = (status.st_dev, status.st_ino)
    if identity in parents:
        raise InputFileError(f"{folder} is a symbolic link to a folder that contains it", path=folder)
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 -- as above
        path = os.path.join(folder, name)  # noqa: PTH118 -- as above
        if os.path.isdir(path):  # noqa: PTH112 -- as above
            yield from _below(path, archive, (*parents, identity))
        elif archive is None or not os.path.samestat(os.stat(path), archive):  # noqa: PTH116 -- as above
            yield path
