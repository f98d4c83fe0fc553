"""What stands before the weights: a runtime linked from builds, or a llamafile that is there already."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.carried import carried_platforms
from apepack.errors import InputError, NotAnApeError
from apepack.link import Linked, current_umask, link
from apepack.link import plan as plan_link
from apepack.mapping import map_file
from apepack.opening import OpeningMember
from apepack.prologue import Magic
from runtime.build import builds_in_cache
from runtime.notices import MEMBER_NAME as NOTICES_NAME
from runtime.platforms import Launch
from zipalign.layout import central_size
from zipalign.medium import opened
from zipalign.transaction import examine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["RuntimePart", "cached_programs", "copy_runtime", "link_runtime", "plan_runtime", "read_runtime"]


@dataclass(frozen=True, slots=True)
class RuntimePart:
    """The part of a llamafile that is a program.

    Attributes:
        size: where it ends, and the rest may begin.
        platforms: what it runs on.
        members: the names in its archive.
        directory_size: what they take in the directory of an archive that goes on behind it, its comment included.
        linked: where everything in it lies, if it was linked here.
    """

    size: int
    platforms: tuple[str, ...]
    members: tuple[str, ...]
    directory_size: int
    linked: Linked | None = None


def cached_programs(magic: Magic) -> list[Path]:
    """Return the runtime builds in the cache that a file beginning with MAGIC can start.

    Raises:
        RuntimeBuildError: the tools that made them are not installed.
    """
    builds = builds_in_cache()
    return [item.path for item in builds if magic is Magic.MZ or item.platform.launch is not Launch.PE]


def plan_runtime(programs: Sequence[Path], *, magic: Magic = Magic.MZ) -> RuntimePart:
    """Return what link_runtime() would make, without writing anything.

    Raises:
        ApepackError, RuntimeBuildError: as link_runtime() does.
    """
    opening = _opening(programs)
    return _part(plan_link(programs, magic=magic, opening=opening), opening)


def link_runtime(programs: Sequence[Path], output: Path, *, magic: Magic = Magic.MZ) -> RuntimePart:
    """Link PROGRAMS into the APE OUTPUT, with the licence texts that lie beside the first of them, if any.

    Raises:
        ApepackError, RuntimeBuildError, ZipalignError: as link() does.
    """
    opening = _opening(programs)
    return _part(link(programs, output, magic=magic, opening=opening), opening)


def _opening(programs: Sequence[Path]) -> OpeningMember | None:
    notices = programs[0].with_name(NOTICES_NAME)
    return OpeningMember.of(NOTICES_NAME, notices.read_bytes()) if notices.is_file() else None


def _part(linked: Linked, opening: OpeningMember | None) -> RuntimePart:
    names = (NOTICES_NAME,) if opening else ()
    platforms = tuple(image.platform.name for image in linked.images)
    return RuntimePart(linked.size, platforms, names, sum(central_size(name.encode()) for name in names), linked)


def read_runtime(path: Path) -> RuntimePart:
    """Return the facts of the llamafile PATH, which is to be put in front.

    Raises:
        InputError: it is not an APE.
        ZipalignError: its archive is damaged.
        OSError: it cannot be read.
    """
    with opened(path) as fd:
        archive, remains = examine(fd, path)
        size = remains.old_size if remains else os.fstat(fd).st_size
    try:
        platforms = carried_platforms(map_file(path))
    except NotAnApeError as error:
        raise InputError(
            path, "this is not an APE: name a llamafile, such as build/llamafile, with --runtime"
        ) from error
    if archive is None:
        return RuntimePart(size, platforms, (), 0)
    directory_size = sum(len(entry.record.pack()) for entry in archive.entries) + len(archive.comment)
    return RuntimePart(size, platforms, tuple(entry.name for entry in archive.entries), directory_size)


def copy_runtime(source: Path, target: Path) -> None:
    """Copy the llamafile SOURCE to TARGET, as a new executable."""
    shutil.copyfile(source, target)
    target.chmod(0o777 & ~current_umask())
