"""The edits that the engine's source needs beyond what compiler flags can do: few, small, and anchored.

An edit names a piece of a line that must stand in the file exactly once. Another version of the engine, where it does
not, stops the build instead of building something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EDITS", "Edit", "apply_edits"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file of the engine."""

    file: str
    anchor: str
    replacement: str
    reason: str


EDITS: Final = (
    Edit(
        file="tools/server/server.cpp",
        anchor='uses_default_port |= string_ends_with(address, ":8080");',
        replacement="",
        reason="8080 is llamafile's port for good; the engine announces at every start that its own will change",
    ),
    Edit(
        file="common/arg.cpp",
        anchor="static_cast<int>(utf8.buf.size()) == argc",
        replacement="false",
        reason="on Windows the engine would take the process's own arguments for ours, which have .args among them",
    ),
)


def apply_edits(source: Path, edits: tuple[Edit, ...] = EDITS) -> None:
    """Make EDITS in the engine's SOURCE tree.

    Raises:
        AnchorError: an anchor does not stand in its file exactly once; files before it are already edited.
    """
    for edit in edits:
        file = source / edit.file
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found = text.count(edit.anchor)
        if found != 1:
            raise AnchorError(edit.file, edit.anchor, found)
        file.write_text(text.replace(edit.anchor, edit.replacement), encoding="utf-8")
