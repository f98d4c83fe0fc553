"""The manifest of an existing llamafile: computed from its bytes, read from its archive, and written into it."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from apepack.errors import InputError, ManifestError, NotAnApeError
from apepack.format.contents import read_loaders, read_programs
from apepack.provenance.digests import Hasher, member_sha256, range_sha256, remainder_sha256
from apepack.provenance.json_object import SIZE_MAX
from apepack.provenance.manifest import (
    MEMBER_NAME,
    SIGNATURE_NAME,
    ImageDigest,
    Manifest,
    MemberDigest,
    Origin,
)
from apepack.provenance.models import read_models
from zipalign import Member, add_files
from zipalign.inflate import entry_chunks
from zipalign.input_file import map_file, open_input
from zipalign.layout import NewMember, data_alignment, plan_append
from zipalign.transaction import read_for_append

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from apepack.format.contents import EmbeddedLoader, EmbeddedProgram
    from apepack.provenance.digests import Progress
    from apepack.provenance.manifest import Source
    from zipalign import Archive, Entry
    from zipalign.layout import AppendPlan

__all__ = [
    "UNKNOWN",
    "Parts",
    "describe",
    "listed_entries",
    "plan_manifest",
    "program_sha256",
    "read_content",
    "read_manifest",
    "read_parts",
    "renew_manifest",
    "sketch",
]

_Digest = TypeVar("_Digest", ImageDigest, MemberDigest)

UNKNOWN: Final = "0" * 64  # a digest that is not computed yet


@dataclass(frozen=True, slots=True)
class Parts:
    """A llamafile, read but for the data of its members.

    Attributes:
        data: its bytes, mapped.
        programs: the programs.
        loaders: the loaders.
        archive: its archive, if there is one.
        size: its size in bytes, without the remains of an interrupted append.
    """

    data: memoryview
    programs: tuple[EmbeddedProgram, ...]
    loaders: tuple[EmbeddedLoader, ...]
    archive: Archive | None
    size: int

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The members that a manifest lists: all but itself and the signature."""
        return listed_entries(self.archive)


def listed_entries(archive: Archive | None) -> tuple[Entry, ...]:
    """Return the members of ARCHIVE that a manifest lists: all but itself and the signature."""
    entries = archive.entries if archive else ()
    return tuple(entry for entry in entries if entry.name not in {MEMBER_NAME, SIGNATURE_NAME})


def read_parts(path: Path) -> Parts:
    """Read the llamafile PATH.

    Raises:
        InputError: the file is not an APE.
        LayoutError: a program is damaged.
        ZipalignError: its archive is damaged, or a member is faulty.
        OSError: the file cannot be read.
    """
    with open_input(path) as fd:
        archive, trailing = read_for_append(fd, path)
        size = trailing.old_size if trailing else os.fstat(fd).st_size
    if archive is not None:
        archive.require_sound()
    data = map_file(path)
    try:
        return Parts(data, read_programs(data), read_loaders(data), archive, size)
    except NotAnApeError as error:
        raise InputError(path, f"this is no llamafile: {error}") from error


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest in the llamafile PATH, or None if it has none.

    Raises:
        ManifestError: it is damaged.
        ZipalignError: the archive is damaged.
        OSError: the file cannot be read.
    """
    with open_input(path) as fd:
        archive, _ = read_for_append(fd, path)
        entry = archive.entry(MEMBER_NAME) if archive else None
        return Manifest.unpack(read_content(fd, entry)) if entry else None


def read_content(fd: int, entry: Entry) -> bytes:
    """Return the content of the manifest or signature ENTRY.

    Raises:
        ManifestError: it is too large.
        ZipFormatError: it differs from its CRC-32.
    """
    if entry.size > SIZE_MAX:
        raise ManifestError(f"{entry.name} has {entry.size} bytes (expected {SIZE_MAX} at most)")
    return b"".join(entry_chunks(fd, entry))


def sketch(parts: Parts, origin: Origin, sources: Mapping[str, Source] | None = None) -> Manifest:
    """Return the manifest of PARTS with unknown digests. Its size is the right one.

    Args:
        parts: the llamafile.
        origin: where its programs come from.
        sources: where its models come from, by the names of their members.
    """
    return Manifest(
        programs=tuple(ImageDigest(program.platform, UNKNOWN, program.size) for program in parts.programs),
        loaders=tuple(ImageDigest(loader.platform, UNKNOWN, loader.span.size) for loader in parts.loaders),
        members=tuple(MemberDigest(entry.name, UNKNOWN, entry.size, f"{entry.crc:08x}") for entry in parts.entries),
        models=read_models(parts.data, parts.entries, sources),
        remainder_sha256=UNKNOWN,
        origin=origin,
    )


def plan_manifest(size: int, manifest: Manifest, directory_size: int) -> AppendPlan:
    """Return the place of MANIFEST in a llamafile of SIZE bytes.

    DIRECTORY_SIZE is that of the directory's headers which stay, without the header of an older manifest.
    """
    packed_size = len(manifest.pack())
    alignment = data_alignment(None, packed_size, stored=True)
    member = NewMember(MEMBER_NAME.encode(), packed_size, alignment)
    return plan_append(size, [member], kept_size=directory_size)


def describe(
    path: Path,
    *,
    origin: Origin | None = None,
    sources: Mapping[str, Source] | None = None,
    known: Sequence[Manifest] = (),
    progress: Progress | None = None,
) -> Manifest:
    """Return the manifest that the llamafile PATH would get as its next member.

    Args:
        path: the file.
        origin: where its programs come from; without it, that of the first of KNOWN that lists the same programs.
        sources: where its models come from, by the names of their members.
        known: manifests with digests of members. Members with an equal name, size and CRC-32 are not read again, and
            their models keep their sources.
        progress: called with the number of bytes read since the last call.

    Raises:
        InputError: the file is not an APE.
        LayoutError: a program is damaged.
        ZipalignError: its archive is damaged, or a member is faulty.
        OSError: the file cannot be read.
    """
    parts = read_parts(path)
    with open_input(path) as fd, Hasher(progress) as hasher:
        members = _member_digests(fd, parts, known, hasher)
        programs = [hasher.submit(partial(program_sha256, parts, program)) for program in parts.programs]
        loaders = [
            hasher.submit(partial(range_sha256, fd, [(loader.span.offset, loader.span.end)]))
            for loader in parts.loaders
        ]
        plain = sketch(parts, Origin())
        described = replace(
            plain,
            programs=_with_digests(plain.programs, programs),
            loaders=_with_digests(plain.loaders, loaders),
            members=_with_digests(plain.members, members),
        )
        described = replace(
            described,
            origin=_known_origin(described, known) if origin is None else origin,
            models=read_models(parts.data, parts.entries, {**_known_sources(described, known), **(sources or {})}),
        )
        directory_size = sum(entry.record.packed_size for entry in parts.entries)
        end = plan_manifest(parts.size, described, directory_size).members[0].header_offset
        remainder = hasher.submit(partial(remainder_sha256, fd, parts.entries, end, file_end=parts.size))
        return replace(described, remainder_sha256=remainder.result())


def _member_digests(fd: int, parts: Parts, known: Sequence[Manifest], hasher: Hasher) -> list[Future[str]]:
    digests = {
        (member.name, member.size, member.crc32): member.sha256 for manifest in known for member in manifest.members
    }
    futures: dict[str, Future[str]] = {}
    for entry in sorted(parts.entries, key=lambda entry: entry.size, reverse=True):  # the long ones first
        digest = digests.get((entry.name, entry.size, f"{entry.crc:08x}"))
        futures[entry.name] = _done(digest) if digest else hasher.submit(partial(member_sha256, fd, entry))
    return [futures[entry.name] for entry in parts.entries]


def _done(digest: str) -> Future[str]:
    future: Future[str] = Future()
    future.set_result(digest)
    return future


def program_sha256(parts: Parts, program: EmbeddedProgram, progress: Progress) -> str:
    """Return the digest of PROGRAM, as it lies in the file or decompressed.

    Raises:
        LayoutError: a compressed program is damaged.
    """
    content = program.content(parts.data)
    progress(len(content))
    return hashlib.sha256(content).hexdigest()


def _with_digests(records: Sequence[_Digest], digests: Sequence[Future[str]]) -> tuple[_Digest, ...]:
    return tuple(replace(record, sha256=digest.result()) for record, digest in zip(records, digests, strict=True))


def _known_origin(manifest: Manifest, known: Sequence[Manifest]) -> Origin:
    programs = set(manifest.programs)
    return next((old.origin for old in known if programs and set(old.programs) == programs), Origin())


def _known_sources(manifest: Manifest, known: Sequence[Manifest]) -> dict[str, Source]:
    """Return the sources of the models in KNOWN that are in MANIFEST, unchanged."""
    return {
        model.member: model.source
        for old in reversed(known)
        for model in old.models
        if model.source and old.member(model.member) == manifest.member(model.member)
    }


def renew_manifest(
    path: Path,
    *,
    origin: Origin | None = None,
    sources: Mapping[str, Source] | None = None,
    known: Sequence[Manifest] = (),
    progress: Progress | None = None,
) -> Manifest:
    """Write the manifest of the llamafile PATH into it, in the place of an older one, and return it.

    Digests in the older one are kept as describe() keeps those in KNOWN, so that the time does not depend on the size
    of weights that are the same. The arguments and the errors are those of describe(); a signature stays, and does not
    match any more.

    Raises:
        ZipalignError: the file cannot be changed.
    """
    try:
        old = read_manifest(path)
    except ManifestError:
        old = None  # it is replaced
    before = [*([old] if old else []), *known]
    manifest = describe(path, origin=origin, sources=sources, known=before, progress=progress)
    add_files(path, [Member(MEMBER_NAME, manifest.pack())])
    return manifest
