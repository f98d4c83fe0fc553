"""Checks of the default arguments of a llamafile: options, file names, and common mistakes in `.args`.

The options with file names are those of the engine's common/arg.cpp; a test compares them. Each argument is searched
for names as if it could be an option, so that a forgotten value does not hide the next option's file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from apepack.packing.lint import Finding, Severity, error, quote, warning
from apepack.packing.lint_options import lint_options
from runtime.args import PLACEHOLDER
from runtime.gguf.file_names import is_gguf_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

__all__ = [
    "ARCHIVE_PREFIX",
    "ARGS_SIZE_MAX",
    "LIST_OPTIONS",
    "MODEL_OPTIONS",
    "MODEL_SOURCE_OPTIONS",
    "PROJECTOR_OPTIONS",
    "has_option",
    "lint_arguments",
    "with_renamed_files",
]

ARGS_SIZE_MAX: Final = 16 << 20  # the limit of the runtime
ARCHIVE_PREFIX: Final = "/zip/"

MODEL_OPTIONS: Final = frozenset({"-m", "--model"})
LIST_OPTIONS: Final = ("--models-preset",)
PROJECTOR_OPTIONS: Final = frozenset({"-mm", "--mmproj"})
# Options that select the model.
MODEL_SOURCE_OPTIONS: Final = MODEL_OPTIONS | {
    "-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "-dr", "--docker-repo", "--models-dir", "--models-preset",
}  # fmt: skip  # short and long forms of five options
# Options with weights, which the runtime searches on disk, then in the archive.
_WEIGHT_OPTIONS: Final = MODEL_OPTIONS | PROJECTOR_OPTIONS | {"-md", "--model-draft", "--spec-draft-model"}
_WEIGHT_LIST_OPTIONS: Final = frozenset({"--lora", "--lora-scaled", "--control-vector", "--control-vector-scaled"})
_SCALED_OPTIONS: Final = frozenset({"--lora-scaled", "--control-vector-scaled"})
# Options with files that belong to the model rather than to the user.
_TEXT_OPTIONS: Final = frozenset(
    {
        "-f", "--file", "-bf", "--binary-file", "-sysf", "--system-prompt-file", "-jf", "--json-schema-file",
        "--chat-template-file", "--grammar-file", "-lcs", "--lookup-cache-static", "--tts-speaker-file",
        "--models-preset",
    }
)  # fmt: skip  # short forms beside long ones
_TEXT_LIST_OPTIONS: Final = frozenset({"--in-file", "--image", "--audio", "--video"})
_LIST_OPTIONS: Final = _WEIGHT_LIST_OPTIONS | _TEXT_LIST_OPTIONS
_FILE_OPTIONS: Final = _WEIGHT_OPTIONS | _TEXT_OPTIONS | _LIST_OPTIONS

_OPTION_AND_VALUE: Final = re.compile(r"(--?[A-Za-z][\w-]*)[ \t=]+(.+)", re.DOTALL)
_QUOTED: Final = re.compile(r"""(["']).*\1""", re.DOTALL)
_ABSOLUTE_PATH: Final = re.compile(r"/|[A-Za-z]:[\\/]|\\\\")


def lint_arguments(
    arguments: Sequence[str], text_size: int, members: Collection[str], *, own_options: bool = True
) -> Iterator[Finding]:
    """Check the ARGUMENTS of an `.args` member of TEXT_SIZE bytes in an archive with MEMBERS.

    OWN_OPTIONS tells whether the runtime has the options of this toolchain.
    """
    if text_size > ARGS_SIZE_MAX:
        yield error("arguments", f".args has more than the {ARGS_SIZE_MAX} bytes that the runtime reads")
    spelling = list(_lint_spelling(arguments))
    yield from spelling
    if not any(finding.severity is Severity.ERROR for finding in spelling):  # one mistake, one message
        yield from lint_options(arguments, own_options=own_options)
    for option, value in _named_files(arguments):
        yield from _lint_file_name(option, value, members)
    weights = [name for name in members if is_gguf_name(name)]
    if len(weights) > 1 and not has_option(arguments, MODEL_SOURCE_OPTIONS):
        holds = f"the archive holds {len(weights)} GGUF files ({', '.join(map(repr, sorted(weights)[:3]))})"
        yield error("arguments", f".args names no model, and {holds}: add two lines, -m and the name of one")


def has_option(arguments: Sequence[str], names: Collection[str]) -> bool:
    """Return whether ARGUMENTS contain one of the options NAMES."""
    return any(_normalise(argument) in names for argument in arguments)


def _normalise(argument: str) -> str:
    """Return ARGUMENT with hyphens, as the engine spells long options. It accepts underscores too."""
    return argument.replace("_", "-") if argument.startswith("--") else argument


def _lint_spelling(arguments: Sequence[str]) -> Iterator[Finding]:
    if arguments.count(PLACEHOLDER) > 1:
        yield error("arguments", f".args has {PLACEHOLDER!r} more than once, and only the first one is replaced")
    before = ""
    for argument in arguments:
        where = f".args has the line {quote(argument)}"
        joined = _OPTION_AND_VALUE.fullmatch(argument)
        if joined and not before.startswith("-"):  # otherwise it may be the value of the preceding option
            option, value = joined.groups()
            yield error("arguments", f"{where}: {option} and {quote(value)} take one line each")
            before = value
            continue
        if _QUOTED.fullmatch(argument):
            yield warning("arguments", f"{where}, and the quotes are part of that argument")
        if is_gguf_name(argument) and not before.startswith("-"):
            yield error("arguments", f"{where} behind no option: add a line -m before it")
        before = argument


def _named_files(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each file name with the preceding option, or with an empty text for other names of members."""
    option = ""
    for argument in arguments:
        preceding, option = option, ""
        if argument == PLACEHOLDER:  # followed by the arguments of the user
            continue
        if preceding in _LIST_OPTIONS:
            yield from ((preceding, name) for name in argument.split(","))
        elif preceding:
            yield preceding, argument
        elif argument.startswith(ARCHIVE_PREFIX):
            yield "", argument
        elif _normalise(argument) in _FILE_OPTIONS:
            option = _normalise(argument)


def with_renamed_files(arguments: Sequence[str], rename: Callable[[str], str]) -> list[str]:
    """Return ARGUMENTS with what RENAME returns for the name of each file; list and scales stay."""
    renamed = []
    option = ""
    for argument in arguments:
        preceding, option = option, ""
        if preceding in _LIST_OPTIONS:
            fields = [
                field.rpartition(":") if preceding in _SCALED_OPTIONS else (field, "", "")
                for field in argument.split(",")
            ]
            renamed.append(",".join(rename(name) + colon + scale for name, colon, scale in fields))
        elif preceding or argument.startswith(ARCHIVE_PREFIX):
            renamed.append(rename(argument))
        else:
            renamed.append(argument)
            option = _normalise(argument) if _normalise(argument) in _FILE_OPTIONS else ""
    return renamed


def _split_scale(option: str, field: str) -> tuple[str, str]:
    """Return the name in a FIELD of the value of OPTION, and what follows it: a colon and a scale."""
    at = field.rfind(":") if option in _SCALED_OPTIONS else -1
    return (field, "") if at < 0 else (field[:at], field[at:])


def _lint_file_name(option: str, value: str, members: Collection[str]) -> Iterator[Finding]:
    name, _ = _split_scale(option, value)
    where = f".args has {option} {quote(name)}" if option else f".args has {quote(name)}"
    if name in members:
        return
    if name.startswith(ARCHIVE_PREFIX):
        if not _is_in_archive(name.removeprefix(ARCHIVE_PREFIX), members):
            yield error("arguments", f"{where}, and no such member: add it with --add")
    elif _ABSOLUTE_PATH.match(name):
        if option in _WEIGHT_OPTIONS | _WEIGHT_LIST_OPTIONS:
            yield warning("arguments", f"{where}, which every user of the llamafile would have to have there")
    else:
        base = re.split(r"[\\/]", name)[-1]
        todo = f"its name in the archive is {base!r}" if base in members else "add it with --add"
        yield error("arguments", f"{where}, and no such member: {todo}")


def _is_in_archive(name: str, members: Collection[str]) -> bool:
    """Return whether NAME is a member, or a folder of members."""
    folder = name.rstrip("/") + "/"
    return name in members or folder == "/" or any(member.startswith(folder) for member in members)
