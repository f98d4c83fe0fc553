"""Verification of a written llamafile before it is renamed to the output.

The directory, all local headers, the offset and size of each member, all programs, and the content of small members are
read back. Weights are not: they were read back for their digests in the manifest, when their CRC-32 was compared. That
came from the page cache, which verifies nothing of the disk; `apepack verify` does at any later time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError, NotAnApeError, VerificationError
from apepack.format.inspect import check_programs, read_platforms
from zipalign import ZipFormatError, read_archive
from zipalign.inflate import entry_chunks
from zipalign.input_file import map_file, open_input
from zipalign.layout import DEFAULT_ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apepack.packing.plan import Plan
    from apepack.packing.runtime_part import RuntimePart
    from zipalign import Archive

__all__ = ["verify"]

_CRC_CHECKED_SIZE_MAX: Final = 1 << 20


def verify(path: Path, output: Path, runtime: RuntimePart, plan: Plan) -> None:
    """Check that the file PATH consists of RUNTIME and the members of PLAN. OUTPUT is its final path, for messages.

    Raises:
        VerificationError: the file differs.
        OSError: the file cannot be read.
    """
    try:
        archive = read_archive(path)
        difference = next(_differences(archive, runtime, plan), None)
        data = map_file(path)
        if read_platforms(data) != runtime.platforms:
            difference = (
                f"it has programs for {', '.join(read_platforms(data))} (expected {', '.join(runtime.platforms)})"
            )
        if runtime.linked:  # other linkers write dialects that this cannot check
            check_programs(data)
        _check_small_members(archive)
    except (ZipFormatError, LayoutError, NotAnApeError) as error:
        raise VerificationError(output, str(error)) from error
    if difference:
        raise VerificationError(output, difference)


def _differences(archive: Archive, runtime: RuntimePart, plan: Plan) -> Iterator[str]:
    if archive.file_size != plan.size:
        yield f"it has {archive.file_size} bytes (expected {plan.size})"
    for name in runtime.members:
        if archive.entry(name) is None:
            yield f"{name!r} is not in it any more"
    for member in plan.members:
        entry = archive.entry(member.name)
        if entry is None:
            yield f"{member.name!r} is not in it"
        elif (entry.data_offset, entry.size) != (member.data_offset, member.size):
            got = f"{entry.size} bytes at {entry.data_offset:#x}"
            yield f"{member.name!r} is {got} (expected {member.size} at {member.data_offset:#x})"
        elif not entry.is_stored or entry.data_offset % DEFAULT_ALIGNMENT:
            yield f"{member.name!r} cannot be mapped"


def _check_small_members(archive: Archive) -> None:
    """Compare the CRC-32 of each small member.

    Raises:
        ZipFormatError: the content of a member differs from its CRC-32.
    """
    with open_input(archive.path) as fd:
        for entry in archive.entries:
            if entry.size <= _CRC_CHECKED_SIZE_MAX:
                for _ in entry_chunks(fd, entry):
                    pass
