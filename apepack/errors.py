"""What can go wrong while an APE is made or read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ApepackError",
    "InputError",
    "LayoutError",
    "NoProgramError",
    "NoRuntimeError",
    "NotAnApeError",
    "OutputError",
    "VerificationError",
]


class ApepackError(Exception):
    """The root of this package's errors; its text is a sentence for the user."""


class NotAnApeError(ApepackError):
    """The bytes do not begin like an APE."""


class NoProgramError(ApepackError, LookupError):
    """An APE without a program for the machine that was asked for.

    Attributes:
        wanted: the machine.
        available: the machines it has programs for.
    """

    def __init__(self, wanted: str, available: tuple[str, ...]) -> None:
        self.wanted = wanted
        self.available = available
        super().__init__(f"this APE holds no program for {wanted} (it has: {', '.join(available) or 'none'})")


class LayoutError(ApepackError):
    """Something does not fit where the format wants it."""


class InputError(ApepackError):
    """A program that cannot be linked.

    Attributes:
        path: its file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class OutputError(ApepackError):
    """The output cannot be what was named.

    Attributes:
        path: the file that was to be written.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class NoRuntimeError(ApepackError):
    """There is no runtime to put in front of the weights."""

    def __init__(self) -> None:
        super().__init__("no runtime is built yet: run llamafile-build, or name a llamafile with --runtime")


class VerificationError(ApepackError):
    """What was read back is not what was written: the file did not appear.

    Attributes:
        path: the file that was to appear.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} was not made: read back, {reason}; look after the disk and its file system, and report this if"
            " they are sound"
        )
