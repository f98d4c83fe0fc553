"""Source files of C++ as text to search in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["match_source", "read_source"]


def read_source(path: Path) -> str:
    """Return a file of C++ without its comments."""
    text = re.sub(r"^\s*//.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def match_source(pattern: str, text: str) -> re.Match[str]:
    """Return the first match of PATTERN in TEXT, in which a dot stands for newlines too.

    Raises:
        ValueError: there is none.
    """
    found = re.search(pattern, text, re.DOTALL)
    if found is None:
        raise ValueError(f"there is no {pattern!r}")
    return found
