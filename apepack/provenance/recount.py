"""The digests of the parts of a llamafile, computed for a comparison: a damaged part is a result, not an error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from apepack.errors import LayoutError
from apepack.provenance.description import program_sha256
from apepack.provenance.digests import member_sha256, range_sha256, remainder_sha256
from apepack.provenance.manifest import MEMBER_NAME
from zipalign import ZipFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from apepack.provenance.description import Parts
    from apepack.provenance.digests import Hasher, Progress
    from apepack.provenance.manifest import Manifest
    from zipalign import Entry

__all__ = ["Counted", "Recount", "recount"]


@dataclass(frozen=True, slots=True)
class Counted:
    """One part as it is: its size in bytes, and its digest or what is wrong with it."""

    size: int
    sha256: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Recount:
    """All parts: programs and loaders by platform, members by name."""

    programs: Mapping[str, Counted]
    loaders: Mapping[str, Counted]
    members: Mapping[str, Counted]
    remainder: str


def recount(fd: int, parts: Parts, manifest: Manifest, hasher: Hasher) -> Recount:
    """Compute the digests of PARTS, a file with MANIFEST.

    Of stored members in the manifest, the CRC-32 is not computed: it is covered by another digest.

    Raises:
        OSError: the file cannot be read.
    """
    own = parts.archive.entry(MEMBER_NAME) if parts.archive else None
    end = own.header_offset if own else parts.size
    listed = [entry for entry in parts.entries if manifest.member(entry.name)]
    members = {
        entry.name: hasher.submit(partial(_member_sha256, fd, entry, is_listed=entry in listed))
        for entry in sorted(parts.entries, key=lambda entry: entry.size, reverse=True)  # the long ones first
    }
    remainder = hasher.submit(partial(remainder_sha256, fd, listed, end, file_end=parts.size))
    programs = {
        program.platform: (program.size, hasher.submit(partial(program_sha256, parts, program)))
        for program in parts.programs
    }
    loaders = {
        loader.platform: (
            loader.span.size,
            hasher.submit(partial(range_sha256, fd, [(loader.span.offset, loader.span.end)])),
        )
        for loader in parts.loaders
    }
    return Recount(
        {name: _counted(size, digest) for name, (size, digest) in programs.items()},
        {name: _counted(size, digest) for name, (size, digest) in loaders.items()},
        {entry.name: _counted(entry.size, members[entry.name]) for entry in parts.entries},
        remainder.result(),
    )


def _member_sha256(fd: int, entry: Entry, progress: Progress, *, is_listed: bool) -> str:
    if is_listed and entry.is_stored:
        return range_sha256(fd, [(entry.data_offset, entry.data_end)], progress)
    return member_sha256(fd, entry, progress)


def _counted(size: int, digest: Future[str]) -> Counted:
    try:
        return Counted(size, digest.result())
    except (LayoutError, ZipFormatError) as error:
        return Counted(size, fault=str(error))
