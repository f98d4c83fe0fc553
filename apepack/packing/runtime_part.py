"""What stands before the weights: a runtime linked from builds, or a llamafile that is there already."""

from __future__ import annotations

import os
import shutil
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError, NotAnApeError
from apepack.format.first_member import FirstMember
from apepack.format.inspect import read_platforms
from apepack.format.link import LinkedApe, current_umask, link, plan_link
from apepack.format.prologue import Magic
from apepack.packing.portable_part import portable_member_names, portable_members
from runtime.builder.build import builds_in_cache
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.webui.build import page_members
from runtime.platforms import Launch
from zipalign import add_files, remove_entries
from zipalign.input_file import map_file, open_input
from zipalign.layout import NewMember, central_header_size, plan_append
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zipalign import Entry, Member

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
_INSTALLED_RUNTIME: Final = Path(__file__).parents[2] / "installed" / "llamafile"
_DEFLATE_LEVEL: Final = 6


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
    linked: LinkedApe | None = None


def cached_programs(magic: Magic) -> list[Path]:
    """Return the runtime builds in the cache that a file beginning with MAGIC can start.

    Raises:
        BuildError: the tools that built them are not installed.
    """
    builds = builds_in_cache()
    return [item.path for item in builds if magic is Magic.MZ or item.platform.launch is not Launch.PE]


def installed_runtime() -> Path | None:
    """Return the llamafile that `make install` installed with this package, if it did."""
    return _INSTALLED_RUNTIME.resolve() if _INSTALLED_RUNTIME.is_file() else None


def plan_runtime(programs: Sequence[Path], *, magic: Magic = Magic.MZ, portable: bool = True) -> RuntimePart:
    """Return what link_runtime() would make, without writing anything.

    Raises:
        ApepackError, RuntimePackageError: as link_runtime() does.
    """
    first_member = _notices_member(programs)
    part = _linked_part(plan_link(programs, magic=magic, first_member=first_member), first_member)
    return _with_members(part, _archive_members(programs, portable=portable))


def link_runtime(
    programs: Sequence[Path], output: Path, *, magic: Magic = Magic.MZ, portable: bool = True
) -> RuntimePart:
    """Link PROGRAMS into the APE OUTPUT, with what lies beside the first: licence texts, web pages.

    Unless PORTABLE says no, what llamafile-build made comes with what Python needs to run models as well.

    Raises:
        ApepackError, RuntimePackageError, ZipalignError: as link() does.
    """
    first_member = _notices_member(programs)
    part = _linked_part(link(programs, output, magic=magic, first_member=first_member), first_member)
    members = _archive_members(programs, portable=portable)
    if not members:
        return part
    archive = add_files(output, members, level=_DEFLATE_LEVEL, alignment=1)
    names = tuple(entry.name for entry in archive.entries)
    return replace(part, size=archive.file_size, members=names, directory_size=_directory_size(archive.entries))


def _notices_member(programs: Sequence[Path]) -> FirstMember | None:
    notices = programs[0].with_name(NOTICES_NAME)
    return FirstMember.of(NOTICES_NAME, notices.read_bytes()) if notices.is_file() else None


def _archive_members(programs: Sequence[Path], *, portable: bool) -> list[Member]:
    """Return what the archive gets besides its first member; only where there are licences are there models to run."""
    is_ours = programs[0].with_name(NOTICES_NAME).is_file()
    return [*page_members(programs[0]), *(portable_members() if is_ours and portable else [])]


def _linked_part(linked: LinkedApe, first_member: FirstMember | None) -> RuntimePart:
    names = (NOTICES_NAME,) if first_member else ()
    platforms = tuple(image.platform.name for image in linked.images)
    return RuntimePart(linked.size, platforms, names, sum(central_header_size(name.encode()) for name in names), linked)


def _with_members(part: RuntimePart, members: Sequence[Member]) -> RuntimePart:
    """Return PART with MEMBERS behind it, where and as long as zipalign.add_files() puts them."""
    if not members:
        return part
    added = [NewMember(member.name.encode(), _deflated_size(member), 1) for member in members]
    append = plan_append(part.size, added, kept_size=part.directory_size)
    names = (*part.members, *(member.name for member in members))
    return replace(part, size=append.end, members=names, directory_size=append.directory_size)


def _deflated_size(member: Member) -> int:
    data = member.source if isinstance(member.source, bytes) else member.source.read_bytes()
    compressor = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(compressor.compress(data)) + len(compressor.flush()) if data else 0


def read_runtime(path: Path, *, portable: bool = True) -> RuntimePart:
    """Return the facts of the llamafile PATH, which is to be put in front, be it without what Python runs.

    Raises:
        InputError: it is not an APE.
        ZipalignError: its archive is damaged.
        OSError: it cannot be read.
    """
    with open_input(path) as fd:
        archive, trailing = read_for_append(fd, path)
        size = trailing.old_size if trailing else os.fstat(fd).st_size
    try:
        platforms = read_platforms(map_file(path))
    except NotAnApeError as error:
        raise InputError(
            path, "this is not an APE: name a llamafile, such as build/llamafile, with --runtime"
        ) from error
    if archive is None:
        return RuntimePart(size, platforms, (), 0)
    excluded = [] if portable else portable_member_names(entry.name for entry in archive.entries)
    kept = [entry for entry in archive.entries if entry.name not in excluded]
    directory_size = _directory_size(kept) + len(archive.comment)
    if excluded:
        size = plan_append(size, (), kept_size=directory_size).end  # as remove_entries() leaves it
    return RuntimePart(size, platforms, tuple(entry.name for entry in kept), directory_size)


def _directory_size(entries: Sequence[Entry]) -> int:
    return sum(entry.record.packed_size for entry in entries)


def copy_runtime(source: Path, target: Path, *, portable: bool = True) -> None:
    """Copy the llamafile SOURCE to TARGET, as a new executable, be it without what Python runs."""
    shutil.copyfile(source, target)
    target.chmod(0o777 & ~current_umask())
    excluded = [] if portable else portable_member_names(read_runtime(target).members)
    if excluded:
        remove_entries(target, excluded)
