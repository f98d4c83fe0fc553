"""One command for publishers: a model in, a llamafile out."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from apepack.errors import ApepackError, InputError, NotAnApeError, OutputError
from apepack.link import current_umask, link
from apepack.model import Model, read_model
from apepack.opening import OpeningMember
from apepack.prologue import WINDOW_SIZE, Magic, parse_prologue
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import format_arguments, parse_arguments
from runtime.build import builds_in_cache
from runtime.notices import MEMBER_NAME as NOTICES_NAME
from runtime.platforms import Launch
from zipalign import Member, add_files
from zipalign.update import check_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Contents", "NoRuntimeError", "Packed", "link_runtime", "pack", "planned_size"]


class NoRuntimeError(ApepackError):
    """There is no runtime to put in front of the weights."""

    def __init__(self) -> None:
        super().__init__("no runtime is built yet: run llamafile-build, or name a llamafile with --runtime")


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes behind the runtime.

    Attributes:
        model: the weights.
        arguments: defaults that stand behind `-m MODEL`; None with `args_file`.
        args_file: an `.args` member ready made, used as it is.
        extra: more files, stored under their base names.
    """

    model: Path
    arguments: Sequence[str] = ()
    args_file: Path | None = None
    extra: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """A llamafile that was made, or would be.

    Attributes:
        path: the file.
        model: what the weights say of themselves.
        members: the names in its archive; of a dry run, those that would be added.
        size: of the file; of a dry run, of what would be added.
    """

    path: Path
    model: Model
    members: tuple[str, ...]
    size: int


def link_runtime(programs: Sequence[Path], output: Path, *, magic: Magic = Magic.MZ) -> None:
    """Link PROGRAMS into the APE OUTPUT, with the licence texts that lie beside the first of them, if any.

    Raises:
        ApepackError, RuntimeBuildError, ZipalignError: as link() does.
    """
    notices = programs[0].with_name(NOTICES_NAME)
    opening = OpeningMember.of(NOTICES_NAME, notices.read_bytes()) if notices.is_file() else None
    link(programs, output, magic=magic, opening=opening)


def pack(
    contents: Contents,
    output: Path,
    *,
    runtime: Path | None = None,
    magic: Magic = Magic.MZ,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Packed:
    """Make the llamafile OUTPUT; it appears complete or not at all.

    Args:
        contents: the weights and what goes with them.
        output: the file to make.
        runtime: a llamafile to put in front; else the builds in the cache are linked, those that run from where they
            lie in a file that begins with MAGIC.
        magic: the first bytes, when it is linked.
        dry_run: make every check, write nothing.
        progress: is told the number of bytes each time some have been packed.

    Raises:
        NoRuntimeError: no runtime is given and none is built.
        InputError: a file is not what it should be.
        OutputError: OUTPUT is one of the inputs.
        RuntimeBuildError, ZipalignError: as the called packages do.
    """
    output = output.resolve()  # where it is a symbolic link, what it leads to is replaced
    if output.is_dir() or not output.parent.is_dir():
        reason = "this is a folder" if output.is_dir() else "there is no such folder"
        raise OutputError(output, f"{reason}: name a file with -o")
    model = read_model(contents.model)
    members = _members(contents)
    for path in (contents.model, contents.args_file, *contents.extra, runtime):
        if path is not None and output.exists() and output.samefile(path):
            raise OutputError(output, "the output would replace one of the inputs: name another file with -o")
    check_inputs(output, members)
    programs = [] if runtime else _programs(magic)
    if not programs and runtime is None:
        raise NoRuntimeError
    if runtime is not None:
        _check_runtime(runtime)
    if dry_run:
        return Packed(output, model, tuple(member.name for member in members), planned_size(contents))
    with _published(output) as work:
        if runtime is not None:
            shutil.copyfile(runtime, work)
            work.chmod(0o777 & ~current_umask())
        else:
            link_runtime(programs, work, magic=magic)
        archive = add_files(work, members, progress=progress)
    return Packed(output, model, tuple(entry.name for entry in archive.entries), archive.file_size)


def _programs(magic: Magic) -> list[Path]:
    launches = (Launch.MAPPED, Launch.PE) if magic is Magic.MZ else (Launch.MAPPED,)
    return [item.path for item in builds_in_cache() if item.platform.launch in launches]


def planned_size(contents: Contents) -> int:
    """Return the number of bytes that pack() will read of the files named in CONTENTS.

    Raises:
        OSError: a file cannot be looked at.
    """
    files = [contents.model, *contents.extra]
    return sum(path.stat().st_size for path in files)


def _members(contents: Contents) -> list[Member]:
    if contents.args_file is not None:
        arguments = contents.args_file.read_bytes()
        parse_arguments(arguments)
    else:
        arguments = format_arguments(["-m", contents.model.name, *contents.arguments])
    files = [contents.model, *contents.extra]
    return [*(Member(path.name, path) for path in files), Member(ARGS_NAME, arguments)]


def _check_runtime(runtime: Path) -> None:
    with runtime.open("rb") as file:
        head = file.read(WINDOW_SIZE)
    try:
        parse_prologue(head)
    except NotAnApeError as error:
        raise InputError(
            runtime, "this is not an APE: name a llamafile, such as build/llamafile, with --runtime"
        ) from error


@contextmanager
def _published(output: Path) -> Iterator[Path]:
    """Yield a path beside OUTPUT to make a file at; it becomes OUTPUT when the block ends well, and goes if not."""
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        work = Path(folder) / output.name
        yield work
        work.replace(output)
    descriptor = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
