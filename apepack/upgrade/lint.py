"""Checks of a llamafile with another runtime: its default arguments, and its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from apepack.errors import InputError
from apepack.packing.lint import error, warning
from apepack.packing.lint_args import LIST_OPTIONS, has_option, lint_arguments
from apepack.packing.lint_list import lint_models_list
from apepack.packing.lint_model import lint_model
from apepack.packing.model import model_of
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import parse_arguments
from runtime.gguf.file_names import is_gguf_name
from runtime.models_list import MEMBER_NAME as LIST_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from apepack.packing.lint import Finding
    from apepack.packing.model import Model
    from apepack.upgrade.new_runtime import NewRuntime
    from apepack.upgrade.plan import OldFile

__all__ = ["arguments_of", "lint_members", "lint_upgrade"]


def lint_upgrade(path: Path, old: OldFile, runtime: NewRuntime) -> Iterator[Finding]:
    """Check that the llamafile PATH works with RUNTIME."""
    names = {entry.name for entry in (*old.contents.author, *runtime.entries)}
    yield from lint_members(old, names, own_options=runtime.part.has_own_options)
    for entry in old.contents.author:
        if not is_gguf_name(entry.name):
            continue
        member = Path(f"{path}@{entry.name}")
        if not entry.is_stored:
            yield error("model", "it is compressed, so that it cannot be mapped: add it again with zipalign -0", member)
            continue
        try:
            model = model_of(member, old.data[entry.data_offset : entry.data_end])
        except InputError as damage:
            yield warning("model", str(damage))
            continue
        if _is_first(model):
            yield from lint_model(model, own_engine=runtime.own_engine)


def lint_members(
    old: OldFile, names: Collection[str], *, own_options: bool, models_list: bytes | None = None
) -> Iterator[Finding]:
    """Check the default arguments of the file OLD in an archive with the members NAMES, and a list of models in it.

    MODELS_LIST is the content of the list, if it differs from the one in the file.
    """
    content = arguments_of(old)
    if content is None:
        return
    arguments = parse_arguments(content)
    yield from lint_arguments(arguments, len(content), names, own_options=own_options)
    if LIST_NAME in names and has_option(arguments, LIST_OPTIONS):
        entry = old.archive.entry(LIST_NAME)
        listed = old.content(entry) if entry and models_list is None else models_list
        if listed is not None:
            yield from lint_models_list(listed, names)


def arguments_of(old: OldFile) -> bytes | None:
    """Return the content of the file's default arguments, or None without them."""
    entry = old.archive.entry(ARGS_NAME)
    return old.content(entry) if entry else None


def _is_first(model: Model) -> bool:
    """Return whether MODEL is what the engine runs: no projector, no adapter, and no further shard."""
    return bool(model.architecture) and model.kind == "model" and (model.shard is None or model.shard.number == 1)
