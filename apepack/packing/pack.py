"""One command for publishers: a model in, a llamafile out. Look, link, append, read back, publish by rename."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.errors import ApepackError, NoRuntimeError, OutputError
from apepack.format.prologue import Magic
from apepack.packing.lint import settle
from apepack.packing.model import is_weights
from apepack.packing.payload import Cargo, Contents, lint_cargo, load_cargo
from apepack.packing.plan import WINDOWS_SIZE_LIMIT, companion_for, lint_size, plan_members
from apepack.packing.publish import publishing
from apepack.packing.runtime_part import (
    cached_programs,
    copy_runtime,
    installed_runtime,
    link_runtime,
    plan_runtime,
    read_runtime,
)
from apepack.packing.verify import verify
from zipalign import ZipalignError, add_files
from zipalign.transaction import check_space
from zipalign.update import check_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from apepack.packing.lint import Finding
    from apepack.packing.model import Model
    from apepack.packing.plan import Plan, PlannedMember
    from apepack.packing.publish import Publication
    from apepack.packing.runtime_part import RuntimePart

    Tell = Callable[[Finding], None]

__all__ = ["Contents", "Packed", "Rules", "link_runtime", "pack"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done about what is not as it should be.

    Attributes:
        strict: take warnings for errors.
        companion: make one, where Windows cannot start the llamafile itself.
        windows_limit: the size from which on Windows cannot, in bytes.
    """

    strict: bool = False
    companion: bool = True
    windows_limit: int = WINDOWS_SIZE_LIMIT


@dataclass(frozen=True, slots=True)
class Packed:
    """A llamafile that was made, or would be.

    Attributes:
        path: the file.
        companion: what Windows starts instead, if there is to be one.
        cargo: what is packed.
        runtime: what stands before it.
        plan: where everything lies.
        findings: what was found on the way, and is in nobody's way.
    """

    path: Path
    companion: Path | None
    cargo: Cargo
    runtime: RuntimePart
    plan: Plan
    findings: tuple[Finding, ...]

    @property
    def model(self) -> Model:
        """What the weights say of themselves."""
        return self.cargo.model

    @property
    def members(self) -> tuple[PlannedMember, ...]:
        """What is added to the archive of the runtime."""
        return self.plan.members

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.plan.size


def pack(  # noqa: PLR0913  # one keyword for each choice there is
    contents: Contents,
    output: Path,
    *,
    runtime: Path | None = None,
    magic: Magic = Magic.MZ,
    portable: bool = True,
    rules: Rules = Rules(),
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    tell: Tell | None = None,
) -> Packed:
    """Make the llamafile OUTPUT, and what belongs beside it; all of it appears complete, or nothing does.

    Args:
        contents: the weights and what goes with them.
        output: the file to make.
        runtime: a llamafile to put in front; else the builds in the cache are linked.
        magic: the first bytes, when it is linked.
        portable: keep what Python needs to run the model as well.
        rules: what is done about what is not as it should be.
        dry_run: make every check, write nothing.
        progress: is told the number of bytes each time some have been packed.
        tell: is given each finding as soon as it is known.

    Raises:
        NoRuntimeError: no runtime is given and none is built.
        InputError: a file is not what it should be.
        LintError: the files do not make a llamafile that works.
        OutputError: OUTPUT is one of the inputs, or cannot be made.
        VerificationError: what is read back is not what was written.
        RuntimePackageError, ZipalignError: as the called packages do.
    """
    output = output.resolve()  # where it is a symbolic link, what it leads to is replaced
    inputs = [*contents.files, *([runtime] if runtime else [])]
    _check_output(output, inputs)
    cargo = load_cargo(contents)
    programs = [] if runtime else cached_programs(magic)
    if not programs and runtime is None:
        raise NoRuntimeError
    present = read_runtime(runtime, portable=portable) if runtime else None
    names = present.members if present else ()
    own_engine = present is None or runtime == installed_runtime()
    findings = _settle(lint_cargo(cargo, names, own_engine=own_engine), rules, tell)
    check_inputs(output, cargo.members)

    def planned(part: RuntimePart) -> Packed:
        plan = plan_members(part, cargo.members)
        companion = companion_for(output, part, plan, rules.windows_limit) if rules.companion else None
        if companion:
            _check_companion(companion, inputs)
        more = _settle(lint_size(output, part, plan, companion, rules.windows_limit), rules, tell)
        check_space(output, plan.size - part.size)
        return Packed(output, companion, cargo, part, plan, findings + more)

    if dry_run:
        return planned(present or plan_runtime(programs, magic=magic, portable=portable))
    with publishing(output) as publication:
        target = publication.work(output)
        if runtime:
            copy_runtime(runtime, target, portable=portable)
        part = read_runtime(target) if runtime else link_runtime(programs, target, magic=magic, portable=portable)
        packed = planned(part)
        _append(packed, publication, progress)
    return packed


def _settle(findings: Iterable[Finding], rules: Rules, tell: Tell | None) -> tuple[Finding, ...]:
    found = settle(findings, strict=rules.strict)
    if tell:
        for finding in found:
            tell(finding)
    return found


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    if output.is_dir() or not output.parent.is_dir():
        reason = "this is a folder" if output.is_dir() else "there is no such folder"
        raise OutputError(output, f"{reason}: name a file with -o")
    if output.exists() and any(output.samefile(path) for path in inputs):
        raise OutputError(output, "the output would replace one of the inputs: name another file with -o")


def _check_companion(companion: Path, inputs: Sequence[Path]) -> None:
    """Refuse to replace what is not a companion: nobody named this file."""
    if companion.exists() and (any(companion.samefile(path) for path in inputs) or not _is_companion(companion)):
        raise OutputError(
            companion, "this would be replaced by the program for Windows: move it, or use --no-companion"
        )


def _is_companion(path: Path) -> bool:
    try:
        members = read_runtime(path).members
    except (ApepackError, ZipalignError):
        return False
    return not any(is_weights(name) for name in members)


def _append(packed: Packed, publication: Publication, progress: Callable[[int], None] | None) -> None:
    work = publication.work(packed.path)
    if packed.companion:
        shutil.copy(work, publication.work(packed.companion))
    add_files(work, packed.cargo.members, progress=progress)
    verify(work, packed.path, packed.runtime, packed.plan)
