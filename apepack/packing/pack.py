"""Packing a model: check the inputs, link the runtime, append the members, read the result back, rename it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.errors import (
    ApepackError,
    InputError,
    LayoutError,
    NoRuntimeError,
    OutputError,
    VerificationError,
)
from apepack.format.prologue import Magic
from apepack.packing.lint import enforce
from apepack.packing.payload import PackInputs, Payload, lint_payload, load_payload
from apepack.packing.plan import WINDOWS_SIZE_LIMIT, companion_path, lint_size, plan_with_reserve
from apepack.packing.publish import publishing
from apepack.packing.runtime_part import (
    copy_runtime,
    link_runtime,
    plan_runtime,
    programs_for,
    read_runtime,
    with_manifest,
)
from apepack.packing.verify import verify
from apepack.provenance.description import read_manifest, renew_manifest
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from runtime.gguf.file_names import is_gguf_name
from runtime.installed import RuntimeSource, find_runtime, installed_llamafile
from zipalign import ZipalignError, ZipFormatError, add_files
from zipalign.layout import DEFAULT_ALIGNMENT
from zipalign.transaction import check_space
from zipalign.update import check_inputs, hole_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from apepack.packing.lint import Finding
    from apepack.packing.model import Model
    from apepack.packing.plan import Plan, PlannedMember
    from apepack.packing.publish import Publication
    from apepack.packing.runtime_part import RuntimePart

    FindingCallback = Callable[[Finding], None]

__all__ = ["PackInputs", "PackPolicy", "PackResult", "is_companion", "link_runtime", "pack"]


@dataclass(frozen=True, slots=True)
class PackPolicy:
    """Handling of warnings, of results that Windows cannot start, and of space for later upgrades.

    Attributes:
        strict: treat warnings as errors.
        companion: create a companion program if Windows cannot start the llamafile itself.
        windows_limit: the smallest size in bytes that Windows does not start.
        reserve: the number of bytes to leave free before the weights, for a larger runtime; None for the default.
    """

    strict: bool = False
    companion: bool = True
    windows_limit: int = WINDOWS_SIZE_LIMIT
    reserve: int | None = None


@dataclass(frozen=True, slots=True)
class PackResult:
    """A llamafile that was created, or would be by a run without dry_run.

    Attributes:
        path: the file.
        companion: the program that Windows starts instead, if any.
        payload: the packed model and files.
        runtime: the part before them.
        plan: the offsets of the members.
        findings: the warnings and notes of the checks.
    """

    path: Path
    companion: Path | None
    payload: Payload
    runtime: RuntimePart
    plan: Plan
    findings: tuple[Finding, ...]

    @property
    def model(self) -> Model:
        """The model, or its first shard."""
        return self.payload.model

    @property
    def members(self) -> tuple[PlannedMember, ...]:
        """The members added to the runtime's archive."""
        return self.plan.members

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.plan.size

    @property
    def companion_size(self) -> int:
        """The size of a companion in bytes: that of the runtime with a manifest."""
        return with_manifest(self.runtime).size


def pack(  # noqa: PLR0913  # one keyword for each choice
    inputs: PackInputs,
    output: Path,
    *,
    runtime: Path | None = None,
    magic: Magic = Magic.MZ,
    portable: bool = True,
    gpu: bool = True,
    policy: PackPolicy = PackPolicy(),
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    on_finding: FindingCallback | None = None,
) -> PackResult:
    """Create the llamafile OUTPUT and its companion, both completely or none of them.

    Args:
        inputs: the model and the files packed with it.
        output: the file to create.
        runtime: a llamafile to use as the runtime; without it, the runtime is the one that is found.
        magic: the first bytes of a linked runtime.
        portable: whether to include the portable runtime.
        gpu: whether to include the part for GPUs.
        policy: handling of warnings and of large results.
        dry_run: make all checks, write nothing.
        progress: called with the number of bytes after each chunk, once for copying and once for its digest.
        on_finding: called with each finding immediately.

    Raises:
        NoRuntimeError: no runtime is given, and none is installed or built for MAGIC.
        InputError: an input file is invalid.
        LintError: the llamafile would not work.
        OutputError: OUTPUT is one of the inputs, or cannot be created.
        VerificationError: the data read back differs from the data written.
        RuntimePackageError, ZipalignError: from the called packages.
    """
    output = output.resolve()  # replace the target of a symbolic link
    source = find_runtime(runtime) or RuntimeSource()
    runtime, programs = source.llamafile, programs_for(source, magic)
    input_paths = [*inputs.files, *([runtime] if runtime else [])]
    _check_output(output, input_paths)
    payload = load_payload(inputs)
    if not programs and runtime is None:
        raise NoRuntimeError
    given_part = read_runtime(runtime, portable=portable, gpu=gpu) if runtime else None
    own_engine = given_part is None or runtime == installed_llamafile()
    findings = _enforce(lint_payload(payload, given_part, own_engine=own_engine), policy, on_finding)
    holes = hole_size(check_inputs(output, payload.members))

    def plan_for(part: RuntimePart) -> PackResult:
        plan = plan_with_reserve(
            part, payload.members, payload.model_facts(), reserve=policy.reserve, limit=policy.windows_limit
        )
        companion = companion_path(output, part, plan, policy.windows_limit) if policy.companion else None
        if companion:
            _check_companion(companion, input_paths)
        more = _enforce(lint_size(output, part, plan, companion, policy.windows_limit), policy, on_finding)
        check_space(output, plan.size - part.size - plan.reserve - holes)
        return PackResult(output, companion, payload, part, plan, findings + more)

    if dry_run:
        return plan_for(given_part or plan_runtime(programs, magic=magic, portable=portable, gpu=gpu))
    with publishing(output) as publication:
        target = publication.working_path(output)
        if runtime:
            copy_runtime(runtime, target, portable=portable, gpu=gpu)
            part = read_runtime(target)
        else:
            part = link_runtime(programs, target, magic=magic, portable=portable, gpu=gpu)
        packed = plan_for(part)
        _append_payload(packed, publication, progress)
        _append_manifest(packed, publication, runtime, progress)
        verify(publication.working_path(output), output, packed.runtime, packed.plan)
    return packed


def _enforce(
    findings: Iterable[Finding], policy: PackPolicy, on_finding: FindingCallback | None
) -> tuple[Finding, ...]:
    found = enforce(findings, strict=policy.strict)
    if on_finding:
        for finding in found:
            on_finding(finding)
    return found


def _check_output(output: Path, input_paths: Sequence[Path]) -> None:
    if output.exists() and not output.is_dir() and not output.is_file():
        raise OutputError(output, "this is a pipe or a device, not a regular file: name a file with -o")
    if output.is_dir() or not output.parent.is_dir():
        reason = "this is a folder" if output.is_dir() else "there is no such folder"
        raise OutputError(output, f"{reason}: name a file with -o")
    if output.exists() and any(output.samefile(path) for path in input_paths):
        raise OutputError(output, "the output would replace one of the inputs: name another file with -o")


def _check_companion(companion: Path, input_paths: Sequence[Path]) -> None:
    """Refuse to replace a file that is not a companion, because the user did not name it."""
    if companion.exists() and (any(companion.samefile(path) for path in input_paths) or not is_companion(companion)):
        raise OutputError(
            companion, "this would be replaced by the program for Windows: move it, or use --no-companion"
        )


def is_companion(path: Path) -> bool:
    """Return whether the file PATH is a llamafile without weights."""
    try:
        members = read_runtime(path).members
    except (ApepackError, ZipalignError):
        return False
    return not any(is_gguf_name(name) for name in members)


def _append_payload(packed: PackResult, publication: Publication, progress: Callable[[int], None] | None) -> None:
    work = publication.working_path(packed.path)
    if packed.companion:
        companion = publication.working_path(packed.companion)
        shutil.copy(work, companion)
        if MANIFEST_NAME not in packed.runtime.members:
            renew_manifest(companion)
    add_files(
        work,
        packed.payload.members,
        alignment=DEFAULT_ALIGNMENT,
        reserve=packed.plan.reserve,
        progress=progress,
    )


def _append_manifest(
    packed: PackResult, publication: Publication, runtime: Path | None, progress: Callable[[int], None] | None
) -> None:
    """Write the manifest, for which all data is read back once.

    Raises:
        VerificationError: the data read back is damaged.
        InputError: the manifest of the file RUNTIME does not describe its programs.
    """
    work = publication.working_path(packed.path)
    old = read_manifest(runtime) if runtime else None
    known = [old] if old else []
    try:
        manifest = renew_manifest(work, sources=packed.payload.sources, known=known, progress=progress)
    except (InputError, LayoutError, ZipFormatError) as error:
        raise VerificationError(packed.path, str(error)) from error
    if runtime and manifest.origin != packed.runtime.contents.origin:
        raise InputError(runtime, "its manifest lists other programs than it has: check it with apepack verify")
