"""The part of a llamafile before the weights: a runtime linked from builds, or an existing llamafile."""

from __future__ import annotations

import shutil
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError, LayoutError, ManifestError
from apepack.format.first_member import FirstMember
from apepack.format.link import LinkedApe, current_umask, link, plan_link
from apepack.format.prologue import Magic
from apepack.packing.portable_part import has_own_options, portable_member_names, portable_members
from apepack.provenance.description import (
    UNKNOWN,
    plan_manifest,
    read_manifest,
    read_parts,
    renew_manifest,
    sketch,
)
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.provenance.manifest import (
    SIGNATURE_NAME,
    ImageDigest,
    Manifest,
    MemberDigest,
    Origin,
)
from apepack.provenance.origin import origin_of_builds
from runtime.builder.gpu_part import gpu_member_names, gpu_members
from runtime.builder.notices import MEMBER_NAME as NOTICES_NAME
from runtime.builder.webui.build import page_members
from runtime.platforms import Launch
from zipalign import add_files, remove_entries
from zipalign.layout import DEFAULT_ALIGNMENT, NewMember, central_header_size, plan_append

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runtime.installed import RuntimeSource
    from zipalign import Entry, Member

__all__ = [
    "RuntimePart",
    "copy_runtime",
    "link_runtime",
    "plan_runtime",
    "programs_for",
    "read_runtime",
    "with_manifest",
]

_DEFLATE_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class RuntimePart:
    """The runtime in a llamafile, with its archive.

    Attributes:
        size: its size in bytes.
        platforms: the names of its platforms.
        members: the names of the members of its archive.
        directory_size: the size of their entries in the central directory, and of the archive comment, in bytes.
        contents: its manifest, with unknown digests.
        linked: the offsets of its parts, if it was linked.
        has_own_options: whether its options are those of this toolchain, as far as its portable runtime tells.
    """

    size: int
    platforms: tuple[str, ...]
    members: tuple[str, ...]
    directory_size: int
    contents: Manifest = field(compare=False)
    linked: LinkedApe | None = None
    has_own_options: bool = field(default=True, compare=False)  # also of a copy without the portable runtime


def programs_for(source: RuntimeSource, magic: Magic) -> list[Path]:
    """Return the programs of SOURCE that an APE with MAGIC can contain."""
    return [item.path for item in source.programs if magic is Magic.MZ or item.platform.launch is not Launch.PE]


def plan_runtime(
    programs: Sequence[Path], *, magic: Magic = Magic.MZ, portable: bool = True, gpu: bool = True
) -> RuntimePart:
    """Return the result of link_runtime() without writing a file.

    Raises:
        ApepackError, RuntimePackageError: as for link_runtime().
    """
    first_member = _notices_member(programs)
    linked = plan_link(programs, magic=magic, first_member=first_member)
    part = _linked_part(linked, first_member, programs)
    for members, level in _archive_members(programs, portable=portable, gpu=gpu):
        part = _with_members(part, members, level)
    return with_manifest(part) if first_member else part


def link_runtime(
    programs: Sequence[Path], output: Path, *, magic: Magic = Magic.MZ, portable: bool = True, gpu: bool = True
) -> RuntimePart:
    """Link PROGRAMS into the APE OUTPUT, with the licence texts and web pages in the folder of the first program.

    A result of builds by llamafile-build has a manifest; if PORTABLE, also the portable runtime, and if GPU, their part
    for GPUs.

    Raises:
        ApepackError, RuntimePackageError, ZipalignError: from linking and appending.
    """
    first_member = _notices_member(programs)
    linked = link(programs, output, magic=magic, first_member=first_member)
    part = _linked_part(linked, first_member, programs)
    for members, level in _archive_members(programs, portable=portable, gpu=gpu):
        add_files(output, members, level=level, alignment=_alignment(level))
        part = _with_members(part, members, level)
    if not first_member:
        return part
    renew_manifest(output, origin=part.contents.origin)
    return with_manifest(part)


def _notices_member(programs: Sequence[Path]) -> FirstMember | None:
    notices = programs[0].with_name(NOTICES_NAME)
    return FirstMember.of(NOTICES_NAME, notices.read_bytes()) if notices.is_file() else None


def _archive_members(programs: Sequence[Path], *, portable: bool, gpu: bool) -> list[tuple[list[Member], int]]:
    """Return the members after the first one, in groups with a level of compression.

    Only builds of llamafile-build, which have NOTICES, can run models. The members for GPUs are compressed already.
    """
    is_ours = programs[0].with_name(NOTICES_NAME).is_file()
    deflated = [*page_members(programs[0]), *(portable_members() if is_ours and portable else [])]
    stored = {member.name: member for program in programs for member in gpu_members(program)} if gpu else {}
    groups = [(deflated, _DEFLATE_LEVEL), ([stored[name] for name in sorted(stored)], 0)]
    return [(members, level) for members, level in groups if members]


def _linked_part(linked: LinkedApe, first_member: FirstMember | None, programs: Sequence[Path]) -> RuntimePart:
    names = (NOTICES_NAME,) if first_member else ()
    platforms = tuple(image.platform.name for image in linked.images)
    images = [(image, image.unpacked.size if image.unpacked else image.span.size) for image in linked.images]
    contents = Manifest(
        programs=tuple(ImageDigest(image.platform.name, UNKNOWN, size) for image, size in images),
        loaders=tuple(
            ImageDigest(image.platform.name, UNKNOWN, image.loader.size) for image, _ in images if image.loader.size
        ),
        members=tuple(_unread(NOTICES_NAME, first_member.fields.size) for _ in names if first_member),
        models=(),
        remainder_sha256=UNKNOWN,
        origin=origin_of_builds(programs) if first_member else Origin(),
    )
    directory_size = sum(central_header_size(name.encode()) for name in names)
    return RuntimePart(linked.size, platforms, names, directory_size, contents, linked)


def _unread(name: str, size: int) -> MemberDigest:
    return MemberDigest(name, UNKNOWN, size, UNKNOWN[:8])


def _with_members(part: RuntimePart, members: Sequence[Member], level: int) -> RuntimePart:
    """Return PART with MEMBERS, at the offsets that zipalign.add_files() chooses."""
    added = [NewMember(member.name.encode(), _size(member, level), _alignment(level)) for member in members]
    append = plan_append(part.size, added, kept_size=part.directory_size)
    names = (*part.members, *(member.name for member in members))
    unread = [_unread(member.name, _size(member, 0)) for member in members]
    contents = replace(part.contents, members=(*part.contents.members, *unread))
    return replace(part, size=append.end, members=names, directory_size=append.directory_size, contents=contents)


def with_manifest(part: RuntimePart) -> RuntimePart:
    """Return PART with a manifest, unless it has one."""
    if MANIFEST_NAME in part.members:
        return part
    append = plan_manifest(part.size, part.contents, part.directory_size)
    names = (*part.members, MANIFEST_NAME)
    return replace(part, size=append.end, members=names, directory_size=append.directory_size)


def _alignment(level: int) -> int:
    """Return the alignment of members: `zipalign --check` wants that of stored ones, although nothing maps these."""
    return 1 if level else DEFAULT_ALIGNMENT


def _size(member: Member, level: int) -> int:
    data = member.source if isinstance(member.source, bytes) else member.source.read_bytes()
    if not data or not level:
        return len(data)
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(compressor.compress(data)) + len(compressor.flush())


def read_runtime(path: Path, *, portable: bool = True, gpu: bool = True) -> RuntimePart:
    """Return the properties that copy_runtime() gives to a copy of the llamafile PATH.

    Raises:
        InputError: the file is not an APE, or its manifest is damaged.
        ZipalignError: its archive is damaged, or a member is faulty.
        OSError: the file cannot be read.
    """
    try:
        parts = read_parts(path)
        old = read_manifest(path)
    except LayoutError as error:
        raise InputError(path, str(error)) from error
    except InputError as error:
        reason = "this is not an APE: name a llamafile, such as build/llamafile, with --runtime"
        raise InputError(path, reason) from error
    except ManifestError as error:
        raise InputError(path, f"{error}; name another llamafile with --runtime") from error
    entries = parts.archive.entries if parts.archive else ()
    excluded = _excluded([entry.name for entry in entries], portable=portable, gpu=gpu)
    kept = [entry for entry in entries if entry.name not in excluded]
    comment_size = len(parts.archive.comment) if parts.archive else 0
    contents = sketch(parts, old.origin if old else Origin())
    names = tuple(entry.name for entry in kept)
    part = RuntimePart(
        parts.size,
        tuple(program.platform for program in parts.programs),
        names,
        _directory_size(kept) + comment_size,
        replace(contents, members=tuple(member for member in contents.members if member.name in names)),
        has_own_options=has_own_options(entries),
    )
    if excluded:  # remove_entries() appends another directory
        part = replace(part, size=plan_append(part.size, (), kept_size=part.directory_size).end)
    return part


def _directory_size(entries: Sequence[Entry]) -> int:
    return sum(entry.record.packed_size for entry in entries)


def _excluded(names: Sequence[str], *, portable: bool, gpu: bool) -> list[str]:
    """Return those of NAMES that a copy has not: parts that are not wanted, and what is not true of it any more."""
    excluded = [] if portable else portable_member_names(names)
    excluded += [] if gpu else gpu_member_names(names)
    excluded += [name for name in names if name == SIGNATURE_NAME]
    return [*excluded, *(name for name in names if excluded and name == MANIFEST_NAME)]


def copy_runtime(source: Path, target: Path, *, portable: bool = True, gpu: bool = True) -> None:
    """Copy the llamafile SOURCE to the new executable TARGET, without the parts that are not wanted."""
    shutil.copyfile(source, target)
    target.chmod(0o777 & ~current_umask())
    excluded = _excluded(read_runtime(target).members, portable=portable, gpu=gpu)
    if excluded:
        remove_entries(target, excluded)
