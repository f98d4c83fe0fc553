"""What stands before the weights: a runtime linked from builds, or a llamafile that is there already."""

from __future__ import annotations

import os
import shutil
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.carried import carried_platforms
from apepack.errors import InputError, LayoutError, NotAnApeError
from apepack.link import Linked, current_umask, link
from apepack.link import plan as plan_link
from apepack.mapping import map_file
from apepack.opening import OpeningMember
from apepack.prologue import Magic
from runtime.build import builds_in_cache
from runtime.notices import MEMBER_NAME as NOTICES_NAME
from runtime.pages import page_members
from runtime.platforms import Launch
from zipalign import add_files
from zipalign.layout import END_SIZE, central_size, header_offset_for, header_size
from zipalign.medium import opened
from zipalign.remains import Mark
from zipalign.transaction import examine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zipalign import Member

__all__ = [
    "RuntimePart",
    "cached_programs",
    "copy_runtime",
    "installed_runtime",
    "link_runtime",
    "plan_runtime",
    "read_runtime",
]

# `make install` makes it a link to the llamafile that it installs.
_INSTALLED: Final = Path(__file__).parents[1] / "installed" / "llamafile"
_PAGES_LEVEL: Final = 6


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


def installed_runtime() -> Path | None:
    """Return the llamafile that `make install` installed with this package, if it did."""
    return _INSTALLED.resolve() if _INSTALLED.is_file() else None


def plan_runtime(programs: Sequence[Path], *, magic: Magic = Magic.MZ) -> RuntimePart:
    """Return what link_runtime() would make, without writing anything.

    Raises:
        ApepackError, RuntimeBuildError: as link_runtime() does.
    """
    opening = _opening(programs)
    return _with_pages(_part(plan_link(programs, magic=magic, opening=opening), opening), page_members(programs[0]))


def link_runtime(programs: Sequence[Path], output: Path, *, magic: Magic = Magic.MZ) -> RuntimePart:
    """Link PROGRAMS into the APE OUTPUT, with and what lies beside the first: licence texts, web pages.

    Raises:
        ApepackError, RuntimeBuildError, ZipalignError: as link() does.
    """
    opening = _opening(programs)
    pages = page_members(programs[0])
    part = _with_pages(_part(link(programs, output, magic=magic, opening=opening), opening), pages)
    if pages:
        size = add_files(output, pages, level=_PAGES_LEVEL, alignment=1).file_size
        if size != part.size:
            raise LayoutError(f"{output} came to {size} bytes with its pages (expected {part.size})")
    return part


def _opening(programs: Sequence[Path]) -> OpeningMember | None:
    notices = programs[0].with_name(NOTICES_NAME)
    return OpeningMember.of(NOTICES_NAME, notices.read_bytes()) if notices.is_file() else None


def _part(linked: Linked, opening: OpeningMember | None) -> RuntimePart:
    names = (NOTICES_NAME,) if opening else ()
    platforms = tuple(image.platform.name for image in linked.images)
    return RuntimePart(linked.size, platforms, names, sum(central_size(name.encode()) for name in names), linked)


def _with_pages(part: RuntimePart, pages: Sequence[Member]) -> RuntimePart:
    """Return PART with PAGES behind it, where and as long as zipalign.add_files() puts them."""
    if not pages:
        return part
    end = Mark(part.size).end
    directory_size = part.directory_size
    for page in pages:
        name = page.name.encode()
        end = header_offset_for(end, name, 1) + header_size(name) + _deflated_size(page)
        directory_size += central_size(name)
    names = (*part.members, *(page.name for page in pages))
    return replace(part, size=end + directory_size + END_SIZE, members=names, directory_size=directory_size)


def _deflated_size(page: Member) -> int:
    data = page.source if isinstance(page.source, bytes) else page.source.read_bytes()
    compressor = zlib.compressobj(_PAGES_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(compressor.compress(data)) + len(compressor.flush()) if data else 0


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
