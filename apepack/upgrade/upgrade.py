"""The upgrade of a llamafile: another runtime before the same weights; and the way back."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError, InterruptedUpgradeError, ManifestError, NotAnApeError, UndoRecordError
from apepack.format.prologue import SCAN_SIZE, Magic, parse_prologue
from apepack.packing.lint import enforce
from apepack.packing.plan import WINDOWS_SIZE_LIMIT, Plan, companion_path, lint_size
from apepack.provenance.description import read_manifest, renew_manifest
from apepack.provenance.manifest import MEMBER_NAME as MANIFEST_NAME
from apepack.upgrade.contents import split_contents
from apepack.upgrade.exchange import exchange, restore_in_place
from apepack.upgrade.lint import lint_upgrade
from apepack.upgrade.plan import OldFile, Way, plan_upgrade
from apepack.upgrade.rewriting import rewrite_old, rewriting, shares_blocks
from apepack.upgrade.sidecars import check_signature, drop_signature, renewing_companion, restore_sidecars
from apepack.upgrade.undo_file import read_undo, undo_path, write_undo
from apepack.upgrade.undo_record import State, is_interrupted
from zipalign.errors import ZipFormatError
from zipalign.input_file import map_file, open_input
from zipalign.lock import locked
from zipalign.output_file import OutputFile
from zipalign.transaction import check_space, read_for_append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apepack.packing.lint import Finding
    from apepack.provenance.manifest import Manifest
    from apepack.upgrade.new_runtime import NewRuntime, Runtimes
    from apepack.upgrade.plan import UpgradePlan
    from apepack.upgrade.undo_file import Undo
    from zipalign import Entry
    from zipalign.copying import Progress

# Of ELF and Mach-O programs: what assimilate makes of a llamafile.
_NATIVE_MAGICS: Final = (b"\x7fELF", b"\xcf\xfa\xed\xfe")

__all__ = ["UpgradeOptions", "UpgradeResult", "restore", "upgrade"]


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
    with _opened(path, read_only=options.dry_run or options.output is not None) as output_file:
        if not options.dry_run and options.output is None:
            _undo_interrupted(path, output_file)
        old = _read(path, output_file.fd)
        check_signature(path, old.archive.entries, drop=options.drop_signature, is_detached=options.output is None)
        runtime = runtimes.beginning_with(_magic(path, old.data))
        result = _planned(path, old, runtime, options)
        if on_plan:
            on_plan(result)
        if result.plan.way is Way.NONE or options.dry_run:
            return result
        known = [*([runtime.manifest] if runtime.manifest else []), *_old_manifest(path)]
        mode = os.fstat(output_file.fd).st_mode & 0o777
        with renewing_companion(result.companion, runtime.path, keep=options.backup and options.output is None):
            if options.output is not None:
                with rewriting(options.output, result.plan, mode, progress):
                    pass
            else:
                _write(path, output_file, result.plan, mode, progress)
    if options.output is None:
        drop_signature(path, keep=options.backup)
        if not options.backup:
            undo_path(path).unlink()
    renew_manifest(result.output, known=known)
    return result


def _write(path: Path, output_file: OutputFile, plan: UpgradePlan, mode: int, progress: Progress | None) -> None:
    undo = write_undo(undo_path(path), plan, mode)
    if plan.way is Way.IN_PLACE:
        exchange(path, output_file, plan, undo)
        return
    try:
        with rewriting(path, plan, mode, progress):
            pass
    except BaseException:
        undo.path.unlink(missing_ok=True)
        raise


def restore(path: Path, *, dry_run: bool = False, progress: Progress | None = None) -> bool:
    """Undo the upgrade of PATH: byte for byte, if no member was added since; added ones stay.

    Returns:
        False if the upgrade had not begun.

    Raises:
        UndoRecordError: there is no undo record, or it is damaged, or of another file.
        ZipalignError: another process writes PATH, or it is running.
        OSError: a file cannot be read or written.
    """
    with _opened(path, read_only=dry_run) as output_file:
        undo = read_undo(path)
        data = map_file(path)
        if undo is None and is_interrupted(data):
            raise InterruptedUpgradeError(path, undo_path(path))
        if undo is None:
            raise UndoRecordError("does not exist: nothing is kept of what it was before", undo_path(path))
        state = undo.record.state_of(data)
        if state is State.UNRELATED:
            hint = "convert it back first, with assimilate --restore" if _is_native(data) else "it has changed since"
            raise UndoRecordError(f"is not of {path} as it is now: {hint}", undo.path)
        if dry_run:
            return state is not State.ORIGINAL
        if state is not State.ORIGINAL:
            _put_back(path, output_file, undo, progress)
        restore_sidecars(path)
        undo.path.unlink()
        return state is not State.ORIGINAL


def _put_back(path: Path, output_file: OutputFile, undo: Undo, progress: Progress | None) -> None:
    added = _added(path, output_file, undo)
    if undo.record.is_in_place:
        restore_in_place(path, output_file, undo, added)
    else:
        rewrite_old(path, output_file, undo, added, progress)


def _added(path: Path, output_file: OutputFile, undo: Undo) -> list[Entry]:
    """Return the members that were added since an upgrade; the manifest is none."""
    try:
        archive, _ = read_for_append(output_file.fd, path)
    except ZipFormatError:  # the exchange was interrupted
        return []
    record = undo.record
    first = record.file_size if record.is_in_place else record.new_size
    return [
        entry
        for entry in (archive.entries if archive else ())
        if entry.header_offset >= first and entry.header_offset not in record.appended and entry.name != MANIFEST_NAME
    ]


def _undo_interrupted(path: Path, output_file: OutputFile) -> None:
    """Undo an upgrade that was interrupted, or had not begun."""
    data = map_file(path)
    if not is_interrupted(data):
        return
    undo = read_undo(path)
    if undo is None or undo.record.state_of(data) is not State.INTERRUPTED:
        raise InterruptedUpgradeError(path, undo_path(path))
    _put_back(path, output_file, undo, None)


def _read(path: Path, fd: int) -> OldFile:
    data = map_file(path)
    if is_interrupted(data):
        raise InterruptedUpgradeError(path)
    if _is_native(data):
        raise InputError(path, "this is a native program: convert it back first, with assimilate --restore")
    archive, trailing = read_for_append(fd, path)
    if trailing is not None:
        raise InputError(path, "an append to its archive was interrupted: run zipalign --recover first")
    if archive is None:
        raise InputError(path, "this is no llamafile: it has no archive")
    return OldFile(fd, data, archive, split_contents(archive.require_sound().entries, fd))


def _is_native(data: memoryview) -> bool:
    return bytes(data[:4]) in _NATIVE_MAGICS


def _magic(path: Path, data: memoryview) -> Magic:
    try:
        return parse_prologue(bytes(data[:SCAN_SIZE])).magic
    except NotAnApeError as error:
        raise InputError(path, f"this is no llamafile: {error}") from error


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


@contextmanager
def _opened(path: Path, *, read_only: bool) -> Iterator[OutputFile]:
    if read_only:
        with open_input(path) as fd:
            yield OutputFile(fd)
    else:
        with locked(path, create=False) as (fd, _):
            yield OutputFile(fd)


def _old_manifest(path: Path) -> list[Manifest]:
    try:
        manifest = read_manifest(path)
    except ManifestError:  # it is replaced
        return []
    return [manifest] if manifest else []
