"""Names of members: their rules, and the name for a path."""

from __future__ import annotations

import re
from typing import Final

from zipalign.errors import EntryNameError
from zipalign.records import NO_U16

__all__ = ["check_name", "name_fault", "name_for", "printable"]

_FAULTS: Final = {
    r"\Z": "it is empty",
    r".*[\x00-\x1f\x7f]": "it contains a control character",
    r".*\\": "it contains a backslash, a directory separator on Windows",
    r"/": "it is an absolute path",
    r"[A-Za-z]:": "it starts with a drive letter",
    r"(.*/)?\.\.(/|\Z)": "it leaves its directory with '..'",
}
_ANY_FAULT: Final = re.compile("|".join(_FAULTS), re.DOTALL)


def name_fault(name: str) -> str | None:
    """Return the reason for which readers may refuse or misplace this name, or None."""
    if not _ANY_FAULT.match(name):  # one search for most of thousands of members
        return None
    return next(fault for pattern, fault in _FAULTS.items() if re.match(pattern, name, re.DOTALL))


def printable(name: str) -> str:
    """Return a name in one line, without characters that a terminal interprets: those are escaped."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def check_name(name: str) -> bytes:
    """Return the bytes of a new member's name.

    Raises:
        EntryNameError: readers may refuse or misplace it.
    """
    fault = name_fault(name)
    if fault is not None:
        raise EntryNameError(name, fault)
    try:
        data = name.encode()
    except UnicodeEncodeError as e:
        raise EntryNameError(name, "it is not valid UTF-8") from e
    if len(data) > NO_U16:
        raise EntryNameError(name[:60] + "...", f"it is longer than {NO_U16} bytes")
    return data


def name_for(path: str, *, junk_directories: bool = False) -> str:
    """Return the member name for a path: relative, without `.` steps; or only its last part.

    Raises:
        EntryNameError: the path cannot be a name.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    name = "/".join(parts[-1:] if junk_directories else parts)
    if ".." in parts and not junk_directories:
        raise EntryNameError(path, "it leaves its directory with '..' (-j stores only the last part)")
    check_name(name)
    return name
