"""The errors of conversions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.image.errors import ImageFormatError

__all__ = [
    "AlreadyError",
    "AssimilateError",
    "BackupError",
    "ForeignFileError",
    "InterruptedConversionError",
    "MissingLiefError",
    "NoBackupError",
    "VerificationError",
    "adding_path",
]


class AssimilateError(Exception):
    """The root of this package's errors; the text is a sentence for the user.

    Attributes:
        reason: the problem, without the file's name.
        path: the file, or None.
        offset: its place in the file in bytes, if there is a single one.
        field: the specification's name of the field concerned, if there is one.
    """

    def __init__(
        self, reason: str, *, path: Path | None = None, offset: int | None = None, field: str | None = None
    ) -> None:
        self.reason = reason
        self.path = path
        self.offset = offset
        self.field = field
        super().__init__(reason)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path is not None else self.reason


class ForeignFileError(AssimilateError):
    """The file is neither an APE nor a native program, or one for another platform, or damaged."""

    @classmethod
    def damaged(cls, error: ImageFormatError) -> Self:
        """Return the error for a file that contains, or is, a damaged program."""
        return cls(str(error), offset=error.offset, field=error.field)


class AlreadyError(AssimilateError):
    """The file is already converted; -f makes this a success."""


class BackupError(AssimilateError):
    """The overwritten bytes cannot be backed up, or the backup belongs to another file."""


class NoBackupError(AssimilateError):
    """There is no backup of the overwritten bytes."""


class InterruptedConversionError(AssimilateError):
    """The conversion of the file was interrupted, and must be finished or undone first.

    Attributes:
        platform: the name of its target platform.
    """

    def __init__(self, platform: str, *, lost: Path | None = None, path: Path | None = None) -> None:
        self.platform = platform
        if lost is not None:
            answer = f", and its backup {lost} is missing or that of another file"
        else:
            answer = f": finish it with -t {platform} or undo it with --restore"
        super().__init__(f"its conversion for {platform} was interrupted{answer}", path=path)


class MissingLiefError(AssimilateError):
    """LIEF is needed for a verification, and not installed."""

    def __init__(self) -> None:
        super().__init__("--verify needs LIEF: pip install lief")


class VerificationError(AssimilateError):
    """LIEF reads the result differently.

    Attributes:
        field: the field that differs.
        got: its value in LIEF.
        expected: its value in our codecs.
    """

    def __init__(self, field: str, got: object, expected: object) -> None:
        self.got = got
        self.expected = expected
        super().__init__(f"LIEF reads the result differently: {field} (got {got}, expected {expected})", field=field)


@contextmanager
def adding_path(path: Path) -> Iterator[None]:
    """Add the file's path to errors without one."""
    try:
        yield
    except AssimilateError as error:
        if error.path is None:
            error.path = path
        raise
