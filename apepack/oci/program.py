"""The program of an image: the native program for one processor, with the members of the runtime that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apepack.errors import InputError, LayoutError
from apepack.format.embed import extract_elf
from apepack.oci.layer import LayerFile, LayerPlan, Link
from apepack.packing.portable_part import portable_member_names
from runtime.builder.gpu_part import FOLDER_NAME as GPU_FOLDER
from runtime.errors import RuntimePackageError
from zipalign.relocation import MemberCopy, relocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apepack.format.contents import EmbeddedProgram
    from apepack.oci.source import Source

__all__ = ["COMPANION_PATH", "FOLDER", "PROGRAM_PATH", "platforms_of", "program_layer"]

FOLDER: Final = "usr/bin"
PROGRAM_PATH: Final = f"{FOLDER}/llamafile"
COMPANION_PATH: Final = f"{FOLDER}/llamafile.llamafile"  # where the program looks for the archive that it lacks
# Names by which the program is a tool of its own.
_TOOLS: Final = (
    "llamafile-bench", "llamafile-imatrix", "llamafile-perplexity", "llamafile-quantize", "llamafile-rpc-server",
    "llamafile-server", "llamafile-tokenize",
)  # fmt: skip  # as many to a line as fit
_ARCHITECTURES: Final = ("amd64", "arm64")
_SYSTEM: Final = "linux"


def platforms_of(source: Source, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the platforms of SOURCE, `linux/amd64` and `linux/arm64`, or those of WANTED if it is given.

    Raises:
        InputError: it has no program for one of them, or none at all.
    """
    names = {program.platform for program in source.programs}
    present = [f"{_SYSTEM}/{name}" for name in _ARCHITECTURES if f"{_SYSTEM}-{name}" in names]
    missing = [name for name in wanted if name not in present]
    if missing or not present:
        has = f"it has those for {', '.join(sorted(names)) or 'no system'}"
        raise InputError(source.path, f"it has no program for {missing[0] if missing else 'Linux'}: {has}")
    return tuple(name for name in present if not wanted or name in wanted)


def program_layer(source: Source, platform: str, *, gpu: bool) -> LayerPlan:
    """Plan the layer with the program of SOURCE for PLATFORM.

    Raises:
        LayoutError: the program is damaged.
    """
    name = platform.replace("/", "-")
    program = next(program for program in source.programs if program.platform == name)
    content = _executable(source, program) + _archive(source, program, gpu=gpu)
    links = [Link(f"{FOLDER}/{tool}", "llamafile") for tool in _TOOLS]
    return LayerPlan.of_files([LayerFile(PROGRAM_PATH, content, 0o755), *links], f"llamafile for {platform}")


def _executable(source: Source, program: EmbeddedProgram) -> bytes:
    try:
        return extract_elf(program.content(source.data), program.span.offset)
    except RuntimePackageError as error:
        raise LayoutError(f"the program for {program.platform} is damaged: {error}") from error


def _archive(source: Source, program: EmbeddedProgram, *, gpu: bool) -> bytes:
    """Return what follows the program: an archive with the members of the runtime, but for those of other systems."""
    names = [entry.name for entry in source.contents.runtime]
    excluded = set(portable_member_names(names))
    for name in names:
        if name.startswith(f"{GPU_FOLDER}/") and not (gpu and _is_for(program.platform, name)):
            excluded.add(name)
    copies = [
        MemberCopy(entry, source.data[entry.data_offset : entry.data_end])
        for entry in source.contents.runtime
        if entry.name not in excluded
    ]
    size = program.size
    appended = relocation(size, [], copies, b"")
    return bytes(appended.offset - size) + appended.members + appended.directory


def _is_for(platform: str, member: str) -> bool:
    """Return whether a MEMBER for GPUs is of use on PLATFORM: none is named after another one."""
    stem = member.removeprefix(f"{GPU_FOLDER}/").partition(".")[0]
    return stem == platform or not stem.startswith(("linux-", "windows-", "macos-", "freebsd-"))
