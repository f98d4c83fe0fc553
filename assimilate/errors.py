"""What can go wrong while an APE is made native or a native file is made an APE again."""

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
    "InUseError",
    "InterruptedConversionError",
    "MissingLiefError",
    "NoBackupError",
    "VerificationError",
    "adding_path",
]


class AssimilateError(Exception):
    """The root of this package's errors; its text is a sentence for the user.

    Attributes:
        reason: what is wrong, without the file's name.
        path: the file it is about, or None.
        offset: where in the file, in bytes, when one place can be named.
        field: the specification's name of what is wrong, when there is one.
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
    """The file is neither an APE nor what one becomes, or not one for the wanted platform, or damaged."""

    @classmethod
    def damaged(cls, error: ImageFormatError) -> Self:
        """Return the error for a file that holds, or is, a damaged program."""
        return cls(str(error), offset=error.offset, field=error.field)


class AlreadyError(AssimilateError):
    """The file is already what it was to become; -f makes this a success."""


class BackupError(AssimilateError):
    """The bytes that would be overwritten cannot be kept, or what was kept is not what belongs to the file."""


class NoBackupError(AssimilateError):
    """Nothing is left of the bytes that were overwritten."""


class InUseError(AssimilateError):
    """A process runs from the file, and would see its bytes change.

    Attributes:
        pid: the process.
        command: its name.
    """

    def __init__(self, pid: int, command: str) -> None:
        self.pid = pid
        self.command = command
        super().__init__(f"is used by process {pid} ({command}): stop it first, or work on a copy")


class InterruptedConversionError(AssimilateError):
    """The file's conversion was interrupted, and has to be finished or undone first.

    Attributes:
        platform: the name of the platform that it was to be for.
    """

    def __init__(self, platform: str, *, lost: Path | None = None, path: Path | None = None) -> None:
        self.platform = platform
        if lost is not None:
            answer = f", and {lost}, which should keep what it began with, is missing or another file's"
        else:
            answer = f": finish it with -t {platform} or undo it with --restore"
        super().__init__(f"its conversion for {platform} was interrupted{answer}", path=path)


class MissingLiefError(AssimilateError):
    """A second opinion was asked for, and LIEF is not there to give it."""

    def __init__(self) -> None:
        super().__init__("--verify needs LIEF: pip install lief")


class VerificationError(AssimilateError):
    """LIEF reads the result differently from us.

    Attributes:
        field: what differs.
        got: what LIEF says of it.
        expected: what we say.
    """

    def __init__(self, field: str, got: object, expected: object) -> None:
        self.got = got
        self.expected = expected
        super().__init__(f"LIEF reads the result differently: {field} (got {got}, expected {expected})", field=field)


@contextmanager
def adding_path(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its contents."""
    try:
        yield
    except AssimilateError as error:
        if error.path is None:
            error.path = path
        raise
