"""The default arguments of an image: those of the llamafile, with the places that its files have there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from apepack.errors import InputError
from apepack.packing.lint import warning
from apepack.packing.lint_args import ARCHIVE_PREFIX, MODEL_SOURCE_OPTIONS, has_option, with_renamed_files
from runtime.args import MEMBER_NAME as ARGS_NAME
from runtime.args import PLACEHOLDER, parse_arguments
from runtime.gguf.file_names import is_gguf_name, parse_shard_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apepack.oci.source import Source
    from apepack.packing.lint import Finding

__all__ = ["MODELS_FOLDER", "ImageArguments", "image_arguments"]

MODELS_FOLDER: Final = "models"
_HERE: Final = "./"
_ALL_INTERFACES: Final = ("--host", "0.0.0.0")  # noqa: S104  # of a container, which are reachable only as its user says
_LOOPBACK: Final = ("127.", "localhost", "::1", "[::1]")
_SERVER_OPTIONS: Final = frozenset({"--server", "--v2"})
_OTHER_MODES: Final = frozenset({"--cli", "--chat"})
_PROMPT_OPTIONS: Final = frozenset({"-p", "--prompt", "-f", "--file", "-bf", "--binary-file", "--random-prompt"})
_PORT: Final = 8080  # the default of the server


@dataclass(frozen=True, slots=True)
class ImageArguments:
    """The default arguments of an image.

    Attributes:
        arguments: the arguments, with the line that stands for the user's if there is one.
        model: the member that is the model.
        port: the port that its server listens at; None if the mode is another one.
        findings: warnings.
    """

    arguments: tuple[str, ...]
    model: str
    port: int | None
    findings: tuple[Finding, ...] = ()


def image_arguments(source: Source) -> ImageArguments:
    """Return the default arguments of the image of SOURCE.

    The server listens at all addresses, because that of a container's own loopback is out of reach.

    Raises:
        InputError: they do not tell which model to use.
        ArgumentsError: those of the llamafile are damaged.
    """
    entry = next((entry for entry in source.small if entry.name == ARGS_NAME), None)
    given = parse_arguments(source.content(entry)) if entry else []
    large = {entry.name for entry in source.large}

    def rename(name: str) -> str:
        member = name.removeprefix(ARCHIVE_PREFIX)
        while member.startswith(_HERE):
            member = member.removeprefix(_HERE)
        return f"/{MODELS_FOLDER}/{member}" if member in large else name

    model = _model(source, given)
    arguments = with_renamed_files(given, rename)
    if not has_option(given, MODEL_SOURCE_OPTIONS):
        arguments = ["-m", f"/{MODELS_FOLDER}/{model}", *arguments]
    serves = _serves(given)
    findings: list[Finding] = []
    if serves and not has_option(given, {"--host"}):
        arguments = [*_ALL_INTERFACES, *arguments]
    elif serves and (_value(given, "--host") or "").startswith(_LOOPBACK):
        only = f".args has --host {_value(given, '--host')}, an address that only the container itself reaches"
        findings.append(warning("arguments", f"{only}: start it with --host 0.0.0.0"))
    return ImageArguments(tuple(arguments), model, _port(given) if serves else None, tuple(findings))


def _model(source: Source, given: Sequence[str]) -> str:
    """Return the member that is the model: the one that the arguments name, else the only one."""
    models = [entry.name for entry in source.large if is_gguf_name(entry.name)]
    for option, value in pairwise(given):
        name = value.removeprefix(ARCHIVE_PREFIX).removeprefix(_HERE)
        if has_option([option], {"-m", "--model"}) and name in models:
            return name
    first = [name for name in models if (shard := parse_shard_name(name)) is None or shard.number == 1]
    if len(first) > 1 and not has_option(given, MODEL_SOURCE_OPTIONS):
        listed = ", ".join(map(repr, first))
        reason = f"it holds {len(first)} GGUF files ({listed}), and its .args do not say which is the model"
        raise InputError(source.path, f"{reason}: name it, with apepack args {source.path} -- -m NAME")
    return first[0] if first else models[0]


def _serves(arguments: Sequence[str]) -> bool:
    """Return whether the mode is that of a server: the last option for it decides, else a prompt excludes it."""
    modes = [argument for argument in arguments if argument in _SERVER_OPTIONS | _OTHER_MODES]
    if modes:
        return modes[-1] in _SERVER_OPTIONS
    return not has_option(arguments, _PROMPT_OPTIONS)


def _value(arguments: Sequence[str], option: str) -> str | None:
    values = [value for name, value in pairwise(arguments) if has_option([name], {option})]
    return values[-1] if values and values[-1] != PLACEHOLDER else None


def _port(arguments: Sequence[str]) -> int:
    value = _value(arguments, "--port") or ""
    return int(value) if value.isdecimal() and 0 < int(value) < 1 << 16 else _PORT
