"""The settings of the portable runtime, from a command line with the native program's options.

argparse is not used, because it treats a value that begins with a hyphen as an option: `-p '- milk'`, `-r '--'`. As in
the native program, the argument after an option with a value is always that value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runtime.args import PLACEHOLDER
from runtime.errors import InvalidOptionError
from runtime.options import value_count, value_refusal
from runtime.portable.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Settings", "merge_arguments", "parse_settings"]

_RANDOM_PROMPT: Final = "Once upon a time"
_SEED_MAX: Final = (1 << 32) - 2  # the next one is -1: a random seed


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; None if not given. The last of repeated options applies, except for `stops`.

    Attributes:
        positional: arguments outside options.
        completes: whether to continue a text, instead of serving a page or an API.
        ignored_options: options of the native program without effect here.
    """

    positional: tuple[str, ...] = ()
    prompt: Prompt | None = None
    completes: bool | None = None
    processes_escapes: bool = False
    displays_prompt: bool = True
    stops: tuple[str, ...] = ()
    token_limit: int = -1
    context_size: int = 0
    threads: int = 0
    model: str | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int | None = None
    caches_weights: bool = False
    wants_help: bool = False
    wants_version: bool = False
    ignored_options: tuple[str, ...] = ()


def _size(text: str) -> int:
    kibi = re.fullmatch(r"(\d{1,5})[kK]", text)
    return int(kibi[1]) * 1024 if kibi else int(text)


def _seed(text: str) -> int | None:
    number = int(text)
    return number if 0 <= number <= _SEED_MAX else None


_WITH_VALUE: Final = {
    "-p --prompt": ("prompt", Prompt),
    "-f --file": ("prompt", Prompt.of_text_file),
    "-bf --binary-file": ("prompt", Prompt.of_binary_file),
    "-r --reverse-prompt": ("stops", str),
    "-n --predict --n-predict": ("token_limit", int),
    "-c --ctx-size": ("context_size", _size),
    "-t --threads": ("threads", int),
    "-m --model": ("model", str),
    "--temp --temperature": ("temperature", float),
    "--top-k": ("top_k", int),
    "--top-p": ("top_p", float),
    "--min-p": ("min_p", float),
    "-s --seed": ("seed", _seed),
}
_SWITCHES: Final = {
    "--random-prompt": ("prompt", Prompt(_RANDOM_PROMPT)),
    "-e --escape": ("processes_escapes", True),
    "--no-escape": ("processes_escapes", False),
    "--display-prompt": ("displays_prompt", True),
    "--no-display-prompt --silent-prompt": ("displays_prompt", False),
    "--cache-weights": ("caches_weights", True),
    "--cli": ("completes", True),
    "--server --v2 --chat": ("completes", False),
    "--log-disable": ("", None),  # sets nothing: there is no log
    "-h --help -help --usage --help-engine": ("wants_help", True),
    "--version": ("wants_version", True),
}
_CONVERTERS: Final[dict[str, tuple[str, Any]]] = {
    name: to for names, to in _WITH_VALUE.items() for name in names.split()
}
_CONSTANTS: Final[dict[str, tuple[str, Any]]] = {name: to for names, to in _SWITCHES.items() for name in names.split()}
# Options that change the text: refused instead of ignored.
_REFUSED: Final = """
-i --interactive -if --interactive-first
--lora-scaled --control-vector-scaled --control-vector-layer-range
--image --audio --video --lora --control-vector --grammar --grammar-file -j --json-schema -jf --json-schema-file
--override-kv --rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor
--yarn-attn-factor --yarn-beta-slow --yarn-beta-fast -gan --grp-attn-n -gaw --grp-attn-w
"""
_REFUSED_NAMES: Final = frozenset(_REFUSED.split())
_REPEATABLE: Final = ("positional", "stops", "ignored_options")


def merge_arguments(defaults: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return DEFAULTS, the content of `.args`, with GIVEN at its placeholder, or at the end."""
    at = defaults.index(PLACEHOLDER) if PLACEHOLDER in defaults else len(defaults)
    return [*defaults[:at], *given, *defaults[at + 1 :]]


def parse_settings(arguments: Sequence[str]) -> Settings:
    """Return the settings in ARGUMENTS.

    Raises:
        InvalidOptionError: an option is unknown, or its value is missing or invalid.
    """
    found: dict[str, Any] = dict.fromkeys(_REPEATABLE, ())
    for name, values in _options(arguments):
        if name in _REFUSED_NAMES:
            raise InvalidOptionError(f"'{name}' is not supported by the portable runtime; use the native program", name)
        refusal = value_refusal(name, values)
        if refusal:
            raise InvalidOptionError(refusal, name)
        field, value = _setting(name, values)
        if field:
            found[field] = (*found[field], value) if field in _REPEATABLE else value
    return Settings(**found)


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each option and its values; an argument outside options as the value of an option without a name."""
    at = 0
    while at < len(arguments):
        name = arguments[at]
        if len(name) < 2 or not name.startswith("-"):
            yield "", [name]
            at += 1
            continue
        if name.startswith("--"):
            name = name.replace("_", "-")
        end = at + 1 + _value_count(name, arguments[at + 1 :])
        if end > len(arguments):
            raise InvalidOptionError(f"'{name}' needs a value", name)
        yield name, arguments[at + 1 : end]
        at = end


def _value_count(name: str, rest: Sequence[str]) -> int:
    if name in _CONSTANTS or name in _CONVERTERS:
        return int(name in _CONVERTERS)
    count = value_count(name, rest)
    if count is None:
        raise InvalidOptionError(f"there is no option '{name}'; --help lists those of the portable runtime", name)
    return count


def _setting(name: str, values: Sequence[str]) -> tuple[str, Any]:
    """Return the name and the value of the setting for an option; without a name, it sets nothing."""
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name not in _CONVERTERS:
        return ("ignored_options", name) if name else ("positional", values[0])
    field, converter = _CONVERTERS[name]
    return field, converter(values[0])
