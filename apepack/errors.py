"""The errors of this package, with one root."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ApepackError",
    "CardError",
    "EncryptedKeyError",
    "HubError",
    "ImageNameError",
    "InputError",
    "InterruptedUpgradeError",
    "KeyFileError",
    "LayoutError",
    "ManifestError",
    "MissingPackageError",
    "NoProgramError",
    "NoRuntimeError",
    "NotAnApeError",
    "OutputError",
    "ReproductionError",
    "SbomError",
    "SignatureError",
    "SignedError",
    "UndoRecordError",
    "VerificationError",
]


class ApepackError(Exception):
    """The root of this package's errors. Its text is a message for the user."""


class NotAnApeError(ApepackError):
    """The data does not begin with the magic of an APE."""


class NoProgramError(ApepackError, LookupError):
    """The APE contains no program for the requested machine.

    Attributes:
        wanted: the requested machine.
        available: the machines for which it contains programs.
    """

    def __init__(self, wanted: str, available: tuple[str, ...]) -> None:
        self.wanted = wanted
        self.available = available
        super().__init__(f"this APE holds no program for {wanted} (it has: {', '.join(available) or 'none'})")


class LayoutError(ApepackError):
    """A part is damaged, or does not fit into its place in the format."""


class ManifestError(ApepackError, ValueError):
    """The manifest of a llamafile is damaged.

    Attributes:
        field: the field concerned, if there is a single one.
    """

    def __init__(self, reason: str, field: str | None = None) -> None:
        self.field = field
        super().__init__(f"manifest.json is damaged: {reason}")


class ReproductionError(ApepackError):
    """A file does not say what its programs were built from."""


class SbomError(ApepackError):
    """There is no bill of materials of a file."""


class SignatureError(ApepackError):
    """A signature is damaged, of something else, or not made by the expected key."""


class KeyFileError(ApepackError):
    """A file does not contain a key that can be used.

    Attributes:
        path: the file.
        reason: the problem, without the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class EncryptedKeyError(KeyFileError):
    """A private key is encrypted, and its passphrase is not known."""


class InputError(ApepackError):
    """An input file cannot be linked or packed.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class OutputError(ApepackError):
    """The output cannot be written.

    Attributes:
        path: the output file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class NoRuntimeError(ApepackError):
    """No runtime is built or installed."""

    def __init__(self) -> None:
        super().__init__(
            "there is no runtime: install one with pip install llamafile-runtime, compile one with llamafile-build (pip"
            " install 'llamafile-toolchain[build]'), or name a llamafile with --runtime FILE"
        )


class VerificationError(ApepackError):
    """The data read back differs from the data written. The output was not created.

    Attributes:
        path: the output file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} was not made: read back, {reason}; look after the disk and its file system, and report this if"
            " they are sound"
        )


class UndoRecordError(ApepackError):
    """The record of a llamafile before its upgrade is damaged, or that of another file.

    Attributes:
        path: the record; set where it is read.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        self.reason = reason
        self.path = path
        super().__init__(reason)

    def __str__(self) -> str:
        return f"{self.path} {self.reason}" if self.path else self.reason


class InterruptedUpgradeError(ApepackError):
    """An upgrade was interrupted, and could not be undone.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, lost: Path | None = None) -> None:
        self.path = path
        todo = f"and {lost} is missing, which leads back" if lost else "repeat it, or undo it with --restore"
        super().__init__(f"{path}: its upgrade was interrupted: {todo}")


class SignedError(ApepackError):
    """A llamafile is signed, and its signature would not be valid any more.

    Attributes:
        path: the file.
        signature: what holds the signature.
    """

    def __init__(self, path: Path, signature: str) -> None:
        self.path = path
        self.signature = signature
        super().__init__(
            f"{path} is signed ({signature}), and a change makes its signature invalid: use --drop-signature, and sign"
            " it again"
        )


class MissingPackageError(ApepackError):
    """A Python package that only some commands need is not installed.

    Attributes:
        package: the package.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        remedy = f"it is not installed: pip install 'llamafile-toolchain[{extra}]'"
        if sys.flags.no_site:  # as `make install` starts the commands
            remedy = (
                "this apepack is one of `make install`, which finds no Python packages: install the toolchain as a"
                f" package with the extra {extra!r} (docs/installing.md)"
            )
        super().__init__(f"this needs the Python package {package}, and {remedy}")


class HubError(ApepackError):
    """The Hugging Face Hub cannot be reached, or does not do what it is asked for.

    Attributes:
        status: the HTTP status of its answer, or None without one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class CardError(ApepackError):
    """A model card cannot be renewed without loss.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class ImageNameError(ApepackError, ValueError):
    """A text is no name of an image.

    Attributes:
        text: the text.
    """

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is no name of an image: {reason}")
