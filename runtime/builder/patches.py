"""Changes to the source of others, anchored in its text.

A patch names a piece of text that must occur in its file a given number of times, usually once. If a new version
of the source has it more or less often, the build stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Patch", "apply_patches", "patches_key"]


@dataclass(frozen=True, slots=True)
class Patch:
    """A replacement in one file of the engine, made COUNT times."""

    file: str
    anchor: str
    replacement: str
    reason: str
    count: int = 1


def patches_key(patches: tuple[Patch, ...]) -> str:
    """Return the text of PATCHES that decides the bytes of the source: all but the reasons."""
    return repr([(patch.file, patch.anchor, patch.replacement, patch.count) for patch in patches])


def apply_patches(source: Path, patches: tuple[Patch, ...]) -> None:
    """Apply PATCHES to a SOURCE tree.

    Raises:
        AnchorError: an anchor occurs in its file more or less often than expected; earlier patches are already applied.
    """
    for patch in patches:
        file = source / patch.file
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found = text.count(patch.anchor)
        if found != patch.count:
            raise AnchorError(patch.file, patch.anchor, found, patch.count)
        file.write_text(text.replace(patch.anchor, patch.replacement), encoding="utf-8")
