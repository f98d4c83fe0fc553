"""What can go wrong while an APE is made native or a native file is made an APE again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AlreadyError", "AssimilateError", "BackupError", "ForeignFileError", "NoBackupError", "TargetError"]


class AssimilateError(Exception):
    """The root of this package's errors; its text is a sentence for the user.

    Attributes:
        path: the file it is about, or None.
    """

    def __init__(self, reason: str, *, path: Path | None = None) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}" if path is not None else reason)


class TargetError(AssimilateError):
    """A platform that no file is converted to."""


class ForeignFileError(AssimilateError):
    """The file is neither an APE nor what one becomes, or not one for the wanted platform, or damaged."""


class AlreadyError(AssimilateError):
    """The file is already what it was to become; -f makes this a success."""


class BackupError(AssimilateError):
    """The bytes that would be overwritten cannot be kept."""


class NoBackupError(AssimilateError):
    """Nothing is left of the bytes that were overwritten."""
