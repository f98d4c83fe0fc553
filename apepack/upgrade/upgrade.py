"""The upgrade of a llamafile: another runtime before the same weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.errors import ManifestError
from apepack.packing.lint import enforce
from apepack.packing.plan import WINDOWS_SIZE_LIMIT, Plan, companion_path, lint_size
from apepack.provenance.description import read_manifest, renew_manifest
from apepack.upgrade.exchange import exchange
from apepack.upgrade.lint import lint_upgrade
from apepack.upgrade.opening import magic_of, opened, read_llamafile
from apepack.upgrade.plan import OldFile, Way, plan_upgrade
from apepack.upgrade.restoration import undo_interrupted
from apepack.upgrade.rewriting import rewrite, shares_blocks
from apepack.upgrade.sidecars import check_signature, drop_signature, renewing_companion
from apepack.upgrade.undo_file import undo_path, write_undo
from zipalign.transaction import check_space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apepack.packing.lint import Finding
    from apepack.provenance.manifest import Manifest
    from apepack.upgrade.new_runtime import NewRuntime, Runtimes
    from apepack.upgrade.plan import UpgradePlan
    from zipalign.copying import Progress
    from zipalign.output_file import OutputFile

__all__ = ["UpgradeOptions", "UpgradeResult", "upgrade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeOptions:
    """The options of an upgrade.

    Attributes:
        output: write the new file here, and do not change the old one.
        reserve: the number of bytes to leave free before the weights of a file that is written anew; None for the
            default.
        backup: keep an undo record.
        companion: renew the companion, or create one if Windows cannot start the llamafile itself.
        drop_signature: change a signed file.
        strict: treat warnings as errors.
        dry_run: make all checks, change nothing.
        windows_limit: the smallest size in bytes that Windows does not start.
    """

    output: Path | None = None
    reserve: int | None = None
    backup: bool = True
    companion: bool = True
    drop_signature: bool = False
    strict: bool = False
    dry_run: bool = False
    windows_limit: int = WINDOWS_SIZE_LIMIT


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """An upgrade that was made, or would be by a run without dry_run.

    Attributes:
        path: the file as given.
        output: the file that was written: the same, or another one.
        plan: the way, the offsets and the costs.
        undo: the path of the undo record, if there is one.
        companion: the path of the companion, if it was written.
        findings: the warnings and notes of the checks.
    """

    path: Path
    output: Path
    plan: UpgradePlan
    undo: Path | None
    companion: Path | None
    findings: tuple[Finding, ...]


def upgrade(
    path: Path,
    runtimes: Runtimes,
    options: UpgradeOptions = UpgradeOptions(),
    *,
    progress: Progress | None = None,
    on_plan: Callable[[UpgradeResult], None] | None = None,
) -> UpgradeResult:
    """Exchange the runtime of the llamafile PATH; an interrupted upgrade is undone first.

    Args:
        path: the file.
        runtimes: the runtimes of this run.
        options: the options.
        progress: called with the number of bytes after each chunk of copied weights.
        on_plan: called with the result to come, before anything is written.

    Raises:
        InputError: it is no llamafile, or one that became a native program.
        SignedError: it is signed.
        LintError: it would not work with the new runtime.
        ZipalignError: another process writes it, or it is running, or its archive is damaged.
        ApepackError, RuntimePackageError: from linking the runtime.
        OSError: a file cannot be read or written.
    """
    is_changed = not options.dry_run and options.output is None
    with opened(path, read_only=not is_changed) as output_file:
        if is_changed:
            undo_interrupted(path, output_file)
        old = read_llamafile(path, output_file.fd)
        check_signature(path, old.archive.entries, drop=options.drop_signature, is_detached=options.output is None)
        runtime = runtimes.beginning_with(magic_of(path, old.data))
        result = _planned(path, old, runtime, options)
        if on_plan:
            on_plan(result)
        if options.dry_run:
            return result
        before = _old_manifest(path)
        if is_changed and output_file.size > old.size:
            output_file.truncate(old.size)  # bytes of an interrupted append
        if result.plan.way is not Way.NONE:
            _carry_out(result, output_file, options, progress)
    if result.plan.way is not Way.NONE or not before:
        renew_manifest(result.output, known=[*([runtime.manifest] if runtime.manifest else []), *before])
    return result


def _carry_out(
    result: UpgradeResult, output_file: OutputFile, options: UpgradeOptions, progress: Progress | None
) -> None:
    path, plan = result.path, result.plan
    mode = os.fstat(output_file.fd).st_mode & 0o777
    is_kept = options.backup and options.output is None
    with renewing_companion(result.companion, plan.runtime.path, keep=is_kept):
        if options.output is not None:
            rewrite(options.output, plan, mode, progress)
            return
        _write(path, output_file, plan, mode, progress)
    drop_signature(path, keep=options.backup)
    if not options.backup:
        undo_path(path).unlink()


def _write(path: Path, output_file: OutputFile, plan: UpgradePlan, mode: int, progress: Progress | None) -> None:
    undo = write_undo(undo_path(path), plan, mode)
    if plan.way is Way.IN_PLACE:
        exchange(path, output_file, plan, undo)
        return
    try:
        rewrite(path, plan, mode, progress)
    except BaseException:
        undo.path.unlink(missing_ok=True)
        raise


def _planned(path: Path, old: OldFile, runtime: NewRuntime, options: UpgradeOptions) -> UpgradeResult:
    output = options.output or path
    plan = plan_upgrade(
        old,
        runtime,
        reserve=options.reserve,
        copy=options.output is not None,
        shares_blocks=shares_blocks(path, output.resolve().parent),
    )
    sizes = Plan((), plan.size)
    companion = companion_path(output, runtime.part, sizes, options.windows_limit) if options.companion else None
    findings = [*lint_upgrade(path, old, runtime)]
    findings += lint_size(output, runtime.part, sizes, companion, options.windows_limit)
    is_kept = options.backup and options.output is None and plan.way is not Way.NONE
    if plan.way is not Way.NONE:
        undo_size = plan.saved_size if options.output is None else 0
        check_space(output, plan.space_needed + undo_size + (runtime.part.size if companion else 0))
    return UpgradeResult(
        path,
        output,
        plan,
        undo_path(path) if is_kept else None,
        companion if plan.way is not Way.NONE else None,
        enforce(findings, strict=options.strict),
    )


def _old_manifest(path: Path) -> list[Manifest]:
    try:
        manifest = read_manifest(path)
    except ManifestError:  # it is replaced
        return []
    return [manifest] if manifest else []
