"""Checks of a list of models: its form, its options, and the members that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apepack.packing.lint import error, quote
from apepack.packing.lint_args import ARCHIVE_PREFIX
from runtime.errors import ModelsListError
from runtime.models_list import ALL, MEMBER_NAME, parse_models
from runtime.options import value_count, value_refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from apepack.packing.lint import Finding

__all__ = ["lint_models_list"]

_MODEL_KEYS: Final = ("model", "m")
_WEIGHT_KEYS: Final = (*_MODEL_KEYS, "mmproj", "mm", "model-draft", "md", "spec-draft-model")
# Options of lists only (common/arg.cpp of the engine).
_LIST_KEYS: Final = frozenset({"load-on-startup", "stop-timeout", "dedup-cache-models"})


def lint_models_list(content: bytes, members: Collection[str]) -> Iterator[Finding]:
    """Check the list CONTENT in an archive with MEMBERS."""
    try:
        models = parse_models(content)
    except ModelsListError as damage:
        yield error("arguments", str(damage))
        return
    if not any(model.name != ALL for model in models):
        yield error("arguments", f"{MEMBER_NAME} lists no model: a section [NAME] begins one")
    for model in models:
        for key, value in model.options.items():
            problem = _option_problem(key, value) or _name_problem(key, value, members)
            if problem:
                yield error("arguments", f"{MEMBER_NAME}, [{model.name}]: {problem}")
        if model.name != ALL and not any(key in model.options for key in _MODEL_KEYS):
            yield error("arguments", f"{MEMBER_NAME}, [{model.name}]: add a line, model = {ARCHIVE_PREFIX}NAME.gguf")


def _option_problem(key: str, value: str) -> str | None:
    name = f"--{key}" if len(key) > 1 and value_count(f"--{key}", [value]) is not None else f"-{key}"
    if key in _LIST_KEYS or key.startswith("LLAMA_"):
        return None
    count = value_count(name, [value])
    if count is None:
        return f"there is no option {quote(key)}"
    return value_refusal(name, [value]) if count else None


def _name_problem(key: str, value: str, members: Collection[str]) -> str | None:
    name = value.removeprefix(ARCHIVE_PREFIX)
    if key not in _WEIGHT_KEYS or name in members or (name == value and "/" in name):
        return None
    return f"{key} is {quote(value)}, and there is no such member: add it with --add"
