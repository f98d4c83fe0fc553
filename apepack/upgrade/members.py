"""Changes of a llamafile's default arguments and added files. The manifest is renewed with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apepack.packing.lint import enforce, error
from apepack.packing.lint_args import (
    LIST_OPTIONS,
    MODEL_OPTIONS,
    PROJECTOR_OPTIONS,
    has_option,
    lint_arguments,
)
from apepack.packing.model import is_gguf_file, read_model
from apepack.packing.runtime_part import read_runtime
from apepack.provenance.description import renew_manifest
from apepack.provenance.manifest import SIGNATURE_NAME
from apepack.upgrade.contents import is_reserved
from apepack.upgrade.lint import arguments_of, lint_members
from apepack.upgrade.opening import read_llamafile
from apepack.upgrade.sidecars import check_signature, drop_signature
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import format_arguments, parse_arguments
from runtime.gguf.file_names import is_gguf_name
from runtime.models_list import MEMBER_NAME as LIST_NAME
from zipalign import Member, add_files, remove_entries
from zipalign.input_file import open_input
from zipalign.layout import DEFAULT_ALIGNMENT
from zipalign.update import check_inputs, preview

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from apepack.packing.lint import Finding
    from apepack.upgrade.plan import OldFile
    from zipalign.copying import Progress

__all__ = ["ChangePolicy", "ChangeResult", "add_members", "change_arguments", "read_arguments", "remove_members"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePolicy:
    """The handling of a change.

    Attributes:
        drop_signature: change a signed llamafile.
        strict: treat warnings as errors.
        dry_run: make all checks, change nothing.
    """

    drop_signature: bool = False
    strict: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """A change that was made, or would be by a run without dry_run.

    Attributes:
        path: the llamafile.
        names: the members that were added or removed.
        replaced: those of them that it had before.
        arguments: its default arguments afterwards; None if it has none.
        findings: the warnings and notes of the checks.
    """

    path: Path
    names: tuple[str, ...]
    replaced: tuple[str, ...]
    arguments: tuple[str, ...] | None
    findings: tuple[Finding, ...]


_POLICY = ChangePolicy()


def read_arguments(path: Path) -> list[str]:
    """Return the default arguments of the llamafile PATH, none if it has no member for them.

    Raises:
        InputError: it is no llamafile.
        ArgumentsError: the member is damaged.
        ZipalignError: its archive is damaged.
    """
    with open_input(path) as fd:
        return parse_arguments(arguments_of(read_llamafile(path, fd)) or b"")


def change_arguments(path: Path, given: Sequence[str] | bytes, policy: ChangePolicy = _POLICY) -> ChangeResult:
    """Give the llamafile PATH the default arguments GIVEN, or the content of its member `.args`.

    Arguments come behind those that name the model and the projector now, unless they name others.

    Raises:
        SignedError: it is signed.
        LintError: it would not work with these arguments.
        ArgumentsError: an argument cannot be written.
        InputError, ZipalignError, OSError: it cannot be read or changed.
    """
    with open_input(path) as fd:
        old = read_llamafile(path, fd)
        check_signature(path, old.archive.entries, drop=policy.drop_signature)
        before = parse_arguments(arguments_of(old) or b"")
        content = given if isinstance(given, bytes) else format_arguments([*_names_of_weights(before, given), *given])
    arguments = parse_arguments(content)
    names = {ARGS_NAME, *(entry.name for entry in old.archive.entries)}
    own_options = read_runtime(path).has_own_options
    findings = enforce(lint_arguments(arguments, len(content), names, own_options=own_options), strict=policy.strict)
    if not policy.dry_run:
        _drop_signature(path, old)
        add_files(path, [Member(ARGS_NAME, content)], alignment=DEFAULT_ALIGNMENT)
        renew_manifest(path)
    replaced = (ARGS_NAME,) if old.archive.entry(ARGS_NAME) else ()
    return ChangeResult(path, (ARGS_NAME,), replaced, tuple(arguments), findings)


def _names_of_weights(before: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the options of BEFORE with model and projector, those without a counterpart in GIVEN."""
    kept: list[str] = []
    for options in (LIST_OPTIONS, MODEL_OPTIONS, PROJECTOR_OPTIONS):
        at = next((at for at, argument in enumerate(before[:-1]) if argument in options), None)
        if at is not None and not has_option(given, options):
            kept += before[at : at + 2]
    return kept


def add_members(
    path: Path, files: Sequence[Path], policy: ChangePolicy = _POLICY, *, progress: Progress | None = None
) -> ChangeResult:
    """Store FILES in the llamafile PATH, under the last parts of their names; members of these names are replaced.

    Without FILES, only the manifest is renewed.

    Raises:
        SignedError: it is signed.
        LintError: it would not work with these files, or a name is that of a member of another purpose.
        InputError: a GGUF file is damaged.
        ZipalignError, OSError: a file cannot be read, or PATH cannot be changed.
    """
    with open_input(path) as fd:
        old = read_llamafile(path, fd)
        check_signature(path, old.archive.entries, drop=policy.drop_signature)
        members = [Member(file.name, file) for file in files]
        present = {entry.name for entry in old.archive.entries}
        after = present | {member.name for member in members}
        models_list = next((file.read_bytes() for file in files if file.name == LIST_NAME and file.is_file()), None)
        findings = [*_lint_names(files), *_lint_after(path, old, after, models_list)]
        arguments = _arguments(old)
    found = enforce(findings, strict=policy.strict)
    for file in files:
        if file.is_file() and (is_gguf_name(file.name) or is_gguf_file(file)):
            read_model(file)
    inputs = check_inputs(path, members)
    if policy.dry_run:
        replaced = preview(path, inputs, level=0, alignment=DEFAULT_ALIGNMENT)
    else:
        replaced = present & {member.name for member in members}
        _drop_signature(path, old)
        if members:
            add_files(path, members, alignment=DEFAULT_ALIGNMENT, progress=progress)
        renew_manifest(path, progress=progress)
    names = tuple(member.name for member in members)
    return ChangeResult(path, names, tuple(sorted(replaced)), arguments, found)


def remove_members(path: Path, names: Sequence[str], policy: ChangePolicy = _POLICY) -> ChangeResult:
    """Remove members from the directory of the llamafile PATH. Their bytes stay in the file.

    Raises:
        SignedError: it is signed.
        LintError: it would not work without them.
        NoSuchEntryError: there is no member with one of the names.
        ZipalignError, OSError: PATH cannot be read or changed.
    """
    with open_input(path) as fd:
        old = read_llamafile(path, fd)
        check_signature(path, old.archive.entries, drop=policy.drop_signature)
        left = {entry.name for entry in old.archive.entries} - set(names)
        findings = _lint_after(path, old, left) if ARGS_NAME in left else []
        arguments = _arguments(old) if ARGS_NAME in left else None
        derived = [
            error("name", f"{name} belongs to the runtime, or describes the others: it stays")
            for name in names
            if is_reserved(name)
        ]
    found = enforce([*derived, *findings], strict=policy.strict)
    remove_entries(path, names, dry_run=True)
    if not policy.dry_run:
        _drop_signature(path, old)
        remove_entries(path, names)
        renew_manifest(path)
    return ChangeResult(path, tuple(names), (), arguments, found)


def _arguments(old: OldFile) -> tuple[str, ...] | None:
    content = arguments_of(old)
    return None if content is None else tuple(parse_arguments(content))


def _lint_after(path: Path, old: OldFile, names: set[str], models_list: bytes | None = None) -> list[Finding]:
    own_options = read_runtime(path).has_own_options
    return list(lint_members(old, names, own_options=own_options, models_list=models_list))


def _lint_names(files: Sequence[Path]) -> list[Finding]:
    findings = []
    for file in files:
        if file.name == ARGS_NAME:
            findings.append(error("name", "default arguments are changed with apepack args", file))
        elif is_reserved(file.name):
            findings.append(error("name", f"{file.name} is a member of the runtime: rename your file", file))
    return findings


def _drop_signature(path: Path, old: OldFile) -> None:
    """Remove the signatures of PATH, which a change makes invalid."""
    if old.archive.entry(SIGNATURE_NAME):
        remove_entries(path, [SIGNATURE_NAME])
    drop_signature(path, keep=False)
