"""The metadata of a model card: YAML between two lines `---` at its beginning.

https://huggingface.co/docs/hub/model-cards. What the author wrote stays as it is, comments and order included: missing
keys are added behind the others, and missing tags behind the other tags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from apepack.errors import CardError, MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

__all__ = ["merge_metadata", "read_metadata"]

_BLOCK: Final = re.compile(r"---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_TAGS: Final = "tags"


def read_metadata(card: str, path: Path) -> dict[str, Any]:
    """Return the metadata of CARD, the content of PATH.

    Raises:
        CardError: it is damaged.
        MissingPackageError: PyYAML is not installed.
    """
    block = _BLOCK.match(card)
    return _parse(block["yaml"], path) if block else {}


def merge_metadata(card: str, additions: Mapping[str, Any], path: Path) -> str:
    """Return CARD, the content of PATH, with those of ADDITIONS that it lacks.

    Raises:
        CardError: its metadata is damaged.
        MissingPackageError: PyYAML is not installed.
    """
    block = _BLOCK.match(card)
    newline = "\r\n" if "\r\n" in card else "\n"
    if block is None:
        return f"---{newline}{_dump(additions, newline)}---{newline}{newline}{card}"
    text = block["yaml"]
    present = _parse(text, path)
    tags = present.get(_TAGS)
    if isinstance(tags, list):
        missing_tags = [tag for tag in additions.get(_TAGS, ()) if tag not in tags]
        text = _add_tags(text, missing_tags, newline) if missing_tags else text
    missing = {key: value for key, value in additions.items() if key not in present}
    if text and not text.endswith("\n"):
        text += newline
    text += _dump(missing, newline) if missing else ""
    return card[: block.start("yaml")] + text + card[block.end("yaml") :]


def _yaml() -> ModuleType:
    try:
        import yaml  # noqa: PLC0415  # slow, and not in every installation
    except ImportError as error:
        raise MissingPackageError("pyyaml", "hub") from error
    return yaml


def _parse(text: str, path: Path) -> dict[str, Any]:
    yaml = _yaml()
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise CardError(path, f"its metadata, between the two lines ---, is not valid YAML: {reason}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise CardError(path, "its metadata, between the two lines ---, has no keys")
    return content


def _dump(content: Mapping[str, Any], newline: str) -> str:
    text: str = _yaml().safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    return text.replace("\n", newline)


def _add_tags(text: str, tags: list[str], newline: str) -> str:
    """Return the YAML text with more tags behind the last one."""
    yaml = _yaml()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node = next(value for key, value in root.value if key.value == _TAGS)
    if not node.value or node.flow_style:
        at = node.value[-1].end_mark.index if node.value else node.end_mark.index - 1
        start = ", " if node.value else ""
        return text[:at] + start + ", ".join(tags) + text[at:]
    last = node.value[-1]
    line_end = text.find("\n", last.end_mark.index)
    at = len(text) if line_end < 0 else line_end + 1
    indent = " " * node.start_mark.column
    start = "" if text[:at].endswith("\n") else newline
    return text[:at] + start + "".join(f"{indent}- {tag}{newline}" for tag in tags) + text[at:]
