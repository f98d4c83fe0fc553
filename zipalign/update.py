"""Adding and removing members: the operations behind the zipalign command."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from zipalign.archive import FaultyEntry
from zipalign.checksum import crc32_function
from zipalign.errors import DuplicateNameError, NoSuchEntryError, NotAnArchiveError, OutOfBoundsError
from zipalign.input_file import open_input
from zipalign.layout import NewMember, check_alignment, pack_directory, plan_append
from zipalign.member import Member, input_for
from zipalign.names import printable
from zipalign.reader import survey_archive
from zipalign.transaction import appending, check_space, read_for_append
from zipalign.writer import alignment_of, stored_size_max, write_member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zipalign.archive import Archive
    from zipalign.copying import Progress
    from zipalign.layout import AppendPlan
    from zipalign.member import Input
    from zipalign.records import CentralHeader

__all__ = ["add_files", "add_inputs", "check_inputs", "hole_size", "preview", "remove_entries"]


def add_files(  # noqa: PLR0913 -- one keyword for each option
    archive: Path | str,
    members: Sequence[Member],
    *,
    level: int = 0,
    alignment: int | None = None,
    keep_times: bool = False,
    durable: bool = True,
    reserve: int = 0,
    progress: Progress | None = None,
) -> Archive:
    """Append members to an archive, aligned; present members with the same names are replaced.

    The file may be any file: the archive begins behind its present contents. It is created if it does not exist, and
    unchanged after an error. Without members, the end records of an archive are converted to ZIP64 form.

    Typical usage::

        add_files(Path("my.llamafile"), [Member("model.gguf", Path("model.gguf")), Member("NOTICE", b"...")])

    Args:
        archive: the file.
        members: the members to add, with different names.
        level: 0 stores, 1 to 9 deflate. Only stored members can be mapped.
        alignment: the offset of each member's data is a multiple of this power of two. Default: 65536 for stored data
            of at least that size, 64 for other data.
        keep_times: use the time of each file instead of a constant (or SOURCE_DATE_EPOCH).
        durable: wait for the disk, so that a power loss leaves the old or the new archive.
        reserve: the number of bytes to leave free before the first of them: a hole, for what will precede the archive.
        progress: called with the number of bytes read since the last call.

    Raises:
        ZipalignError: see the subclasses in `zipalign.errors`.
        OSError: a file cannot be read or written.
    """
    archive = Path(archive)
    items = check_inputs(archive, members, keep_times=keep_times)
    add_inputs(archive, items, level=level, alignment=alignment, durable=durable, reserve=reserve, progress=progress)
    return survey_archive(archive)


def check_inputs(
    archive: Path, members: Sequence[Member], imported: Sequence[Input] = (), *, keep_times: bool = False
) -> list[Input]:
    """Make all checks of members that do not read the archive.

    Args:
        archive: the file to add them to.
        members: the members.
        imported: checked members of another archive, which come first.
        keep_times: as for `add_files`.

    Raises:
        DuplicateNameError: two of them have the same name.
        ZipalignError: as for `add_files`.
    """
    sources = {item.name.decode(): "the imported archive" for item in imported}
    for member in members:
        source = "the given bytes" if isinstance(member.source, bytes) else str(member.source)
        if member.name in sources:
            raise DuplicateNameError(member.name, sources[member.name], source)
        sources[member.name] = source
    status = archive.stat() if archive.exists() else None
    return [*imported, *(input_for(member, status, keep_times=keep_times) for member in members)]


def add_inputs(  # noqa: PLR0913 -- as for add_files()
    archive: Path,
    items: Sequence[Input],
    *,
    level: int = 0,
    alignment: int | None = None,
    durable: bool = True,
    reserve: int = 0,
    progress: Progress | None = None,
) -> None:
    """Append checked members, as `add_files` does, without reading the archive again."""
    check_alignment(alignment)
    with appending(archive, durable=durable) as append:
        if not items and append.archive is not None and append.archive.zip64:
            return
        plan = _plan(append.old_size, append.archive, items, level=level, alignment=alignment, reserve=reserve)
        crc32_function()  # before the first write: Python may lose a Ctrl-C that arrives while a module is imported
        append.begin(plan.end, reserve + (0 if level else hole_size(items)))
        kept = _kept_headers(append.archive, _names(items))
        end = append.start + reserve
        for item in items:
            record, end = write_member(
                append.output_file, end, item, level=level, alignment=alignment, progress=progress or _ignore
            )
            kept.append(record)
        append.commit(pack_directory(kept, end, _comment(append.archive)), end)


def preview(archive: Path, items: Sequence[Input], *, level: int, alignment: int | None) -> set[str]:
    """Return the names that `add_inputs` would replace, or raise its error; changes nothing."""
    check_alignment(alignment)
    old_size = 0
    present: Archive | None = None
    if archive.exists():
        with open_input(archive) as fd:
            present, trailing = read_for_append(fd, archive)
            old_size = trailing.old_size if trailing else os.fstat(fd).st_size
    elif not archive.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(archive))
    plan = _plan(old_size, present, items, level=level, alignment=alignment)
    check_space(archive, plan.end - old_size - (0 if level else hole_size(items)))
    names = _names(items)
    return {member.name for member in (present.members if present else ()) if member.name in names}


def remove_entries(
    archive: Path | str, names: Sequence[str], *, durable: bool = True, dry_run: bool = False
) -> Archive:
    """Remove members from the directory, faulty ones too. Their bytes stay in the file.

    Args:
        archive: the file.
        names: the names, or their printable forms; all members with such a name are removed.
        durable: as for `add_files`.
        dry_run: make all checks, change nothing.

    Raises:
        NoSuchEntryError: there is no member with one of the names; none is removed.
        ZipalignError: as for `add_files`.
    """
    archive = Path(archive)
    present = _check_present(archive, names)  # first: no empty archive is added to other files
    if dry_run:
        return present
    with appending(archive, durable=durable) as append:
        kept = _kept_headers(append.archive, set(names))
        directory = pack_directory(kept, append.start, _comment(append.archive))
        append.begin(append.start + len(directory))
        append.commit(directory, append.start)
    return survey_archive(archive)


def _check_present(path: Path, names: Sequence[str]) -> Archive:
    with open_input(path) as fd:
        archive, _ = read_for_append(fd, path)
    if archive is None:
        raise NotAnArchiveError(f"{path} is not a ZIP archive: it has no members to remove", path=path)
    known = {form for member in archive.members for form in (member.name, printable(member.name))}
    for name in names:
        if name not in known:
            raise NoSuchEntryError(name)
    _kept_headers(archive, set(names))
    return archive


def _names(items: Sequence[Input]) -> set[str]:
    return {item.name.decode() for item in items}


def _kept_headers(archive: Archive | None, names: set[str]) -> list[CentralHeader]:
    """Return the headers that stay in the directory when members with `names` are replaced or removed.

    Raises:
        OutOfBoundsError: one reaches beyond the members, so that added bytes would become a part of it.
    """
    kept = []
    for member in archive.members if archive else ():
        if member.name in names or printable(member.name) in names:
            continue
        if isinstance(member, FaultyEntry) and isinstance(member.fault, OutOfBoundsError):
            reason = f"{member.fault.reason}: remove it first (--remove), or added bytes would become a part of it"
            raise OutOfBoundsError(reason, entry=member.name, field=member.fault.field)
        kept.append(member.record)
    return kept


def hole_size(items: Sequence[Input]) -> int:
    """Return the number of bytes in holes of inputs, which take no space if they are stored."""
    return sum(item.content.hole_size for item in items)


def _plan(
    old_size: int,
    archive: Archive | None,
    items: Sequence[Input],
    *,
    level: int,
    alignment: int | None,
    reserve: int = 0,
) -> AppendPlan:
    """Plan an append of `items`, each at the largest size at which it may be stored."""
    members = [
        NewMember(item.name, stored_size_max(item, level), alignment_of(item, level, alignment)) for item in items
    ]
    kept_size = sum(header.packed_size for header in _kept_headers(archive, _names(items)))
    return plan_append(old_size, members, kept_size=kept_size, comment_size=len(_comment(archive)), reserve=reserve)


def _comment(archive: Archive | None) -> bytes:
    return archive.comment if archive else b""


def _ignore(_: int) -> None:
    """Ignore progress."""
