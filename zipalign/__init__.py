"""ZIP archives with members that can be mapped: reading, checking, and crash-safe aligned appending.

The names below are imported on first use, so importing the package is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zipalign.archive import Archive, Entry, FaultyEntry
    from zipalign.check import Finding, Report, check_archive
    from zipalign.errors import NotAnArchiveError, ZipalignError, ZipFormatError
    from zipalign.member import Member
    from zipalign.reader import read_archive, survey_archive
    from zipalign.transaction import recover
    from zipalign.update import add_files, remove_entries

__all__ = [
    "Archive",
    "Entry",
    "FaultyEntry",
    "Finding",
    "Member",
    "NotAnArchiveError",
    "Report",
    "ZipFormatError",
    "ZipalignError",
    "add_files",
    "check_archive",
    "read_archive",
    "recover",
    "remove_entries",
    "survey_archive",
]

_HOMES = {
    "Archive": "archive",
    "Entry": "archive",
    "FaultyEntry": "archive",
    "Finding": "check",
    "Member": "member",
    "NotAnArchiveError": "errors",
    "Report": "check",
    "ZipFormatError": "errors",
    "ZipalignError": "errors",
    "add_files": "update",
    "check_archive": "check",
    "recover": "transaction",
    "read_archive": "reader",
    "remove_entries": "update",
    "survey_archive": "reader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
