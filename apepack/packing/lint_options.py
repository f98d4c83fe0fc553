"""Checks of the default arguments of a llamafile as options: unknown ones, missing values, and impossible values.

The runtime makes the same checks with the same table (runtime/options.py) when it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.packing.lint import Finding, error, quote, warning
from runtime.args import PLACEHOLDER
from runtime.options import value_count, value_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["lint_options"]

# Options that a file with a model refuses, unless it is unsealed (shim/options/translation.cpp).
_REMOTE_MODEL_OPTIONS: Final = frozenset(
    {
        "--models-dir", "-mu", "--model-url", "-mmu", "--mmproj-url", "-dr", "--docker-repo", "-hf",
        "-hfr", "--hf-repo", "-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-hf", "--embd-gemma-default",
        "--fim-qwen-1.5b-default", "--fim-qwen-3b-default", "--fim-qwen-7b-default", "--fim-qwen-7b-spec",
        "--fim-qwen-14b-spec", "--fim-qwen-30b-default", "--gpt-oss-20b-default", "--gpt-oss-120b-default",
        "--vision-gemma-4b-default", "--vision-gemma-12b-default",
    }
)  # fmt: skip  # as many to a line as fit


def lint_options(arguments: Sequence[str], *, own_options: bool) -> Iterator[Finding]:
    """Check the options in ARGUMENTS, the content of `.args`.

    Args:
        arguments: the lines, with PLACEHOLDER.
        own_options: whether the runtime has the options of this toolchain; otherwise the findings are warnings.
    """
    report = error if own_options else warning
    unsure = "" if own_options else " (the --runtime is another version, and may have other options)"
    is_sealed = "--unsealed" not in arguments
    at = 0
    while at < len(arguments):
        option = _option_at(arguments, at)
        problem = _problem(option, is_sealed=is_sealed)
        if problem:
            yield report("arguments", f".args: {problem}{unsure}")
        at = option.end


@dataclass(frozen=True, slots=True)
class _Option:
    """An option, or an argument outside options.

    Attributes:
        name: its name, with hyphens.
        values: those in `.args`; None if there is no such option.
        end: the index behind them.
        is_complete: whether all of its values are in `.args`, or may come from the user.
    """

    name: str
    values: Sequence[str] | None
    end: int
    is_complete: bool = True


def _option_at(arguments: Sequence[str], at: int) -> _Option:
    name = arguments[at]
    if len(name) < 2 or not name.startswith("-"):
        return _Option(name, (), at + 1)
    if name.startswith("--"):
        name = name.replace("_", "-")
    count = value_count(name, arguments[at + 1 :])
    if count is None:
        has_word = (
            at + 1 < len(arguments) and arguments[at + 1] != PLACEHOLDER and not arguments[at + 1].startswith("-")
        )
        return _Option(name, None, at + 1 + has_word)  # a word behind it is probably its value
    values = arguments[at + 1 : at + 1 + count]
    is_complete = len(values) == count or PLACEHOLDER not in arguments[:at]
    if PLACEHOLDER in values:
        values = values[: values.index(PLACEHOLDER)]
    return _Option(name, values, at + 1 + len(values), is_complete)


def _problem(option: _Option, *, is_sealed: bool) -> str | None:
    name = option.name
    if name == PLACEHOLDER:
        return None
    if option.values is None:
        return f"there is no option {quote(name)}; llamafile(1) lists them"
    if not name.startswith("-") or name == "-":
        return f"{quote(name)} belongs to no option"
    if not option.is_complete:
        return f"'{name}' needs a value"
    if is_sealed and name in _REMOTE_MODEL_OPTIONS:
        return f"'{name}' names a model elsewhere, but the file uses what it holds: remove it, or add --unsealed"
    return value_refusal(name, option.values)
