"""The list of models in a llamafile with several: the member `models.ini`, which the server's router reads.

A section in brackets for each model, under the name that clients use, with the options of the server for it, one a
line, without dashes: `model = /zip/NAME.gguf`. The section `*` has those of all models. `#` and `;` begin comments, so
that no name or value contains them. The shim reads the same form (shim/base/ini.cpp, shim/resolve/presets.cpp).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import ModelsListError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ALL", "MEMBER_NAME", "ListedModel", "format_models", "is_listable", "parse_models"]

MEMBER_NAME: Final = "models.ini"
ALL: Final = "*"  # the section of all models

_VERSION: Final = "version"  # of the form, before the sections
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_UNSAFE: Final = re.compile(r"[\x00-\x1f#;\[\]]")
_COMMENT: Final = re.compile(r"[#;]")


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A section of the list: the name of a model, or ALL, and its options by name without dashes."""

    name: str
    options: Mapping[str, str]


def is_listable(text: str) -> bool:
    """Return whether TEXT can be a name or a value in the list."""
    return bool(text) and text == text.strip() and not _UNSAFE.search(text)


def format_models(models: Sequence[ListedModel]) -> bytes:
    """Return the content of the list of MODELS.

    Raises:
        ModelsListError: a name or a value cannot be written.
    """
    lines = [f"{_VERSION} = 1"]
    for model in models:
        for text in (model.name, *model.options.values()):
            if not is_listable(text):
                raise ModelsListError(f"{text!r} cannot be written", len(lines) + 1)
        lines += ["", f"[{model.name}]", *(f"{name} = {value}" for name, value in model.options.items())]
    return "".join(f"{line}\n" for line in lines).encode()


def parse_models(data: bytes) -> list[ListedModel]:
    """Return the sections of a list of models, in their order.

    Raises:
        ModelsListError: DATA is not of this form, or two models have one name.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ModelsListError("a byte that is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error
    sections: dict[str, dict[str, str]] = {}
    options: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n", text), 1):
        content = _COMMENT.split(line, maxsplit=1)[0].strip(" \t")
        if content.startswith("[") and content.find("]") == len(content) - 1:
            name = content[1:-1].strip(" \t")
            if not name or name in sections:
                raise ModelsListError(f"two models {name!r}" if name else "a section without a name", number)
            options = sections[name] = {}
        elif content:
            key, value = _option(content, number)
            if not sections and key != _VERSION:
                raise ModelsListError(f"{key!r} belongs to no model", number)
            options[key] = value
    return [ListedModel(name, found) for name, found in sections.items()]


def _option(content: str, number: int) -> tuple[str, str]:
    key, equals, value = (part.strip(" \t") for part in content.partition("="))
    if not equals or not _KEY.fullmatch(key):
        raise ModelsListError(f"{content[:60]!r} (expected [NAME] or NAME = VALUE)", number)
    return key, value
