"""The errors of native images."""

from __future__ import annotations

from runtime.errors import RuntimePackageError

__all__ = ["ImageError", "ImageFormatError", "NotAnImageError", "NotEmbeddableError", "UnsignedImageError"]


class ImageError(RuntimePackageError):
    """A native image cannot be read or used."""


class NotAnImageError(ImageError):
    """The bytes are no native program of a kind we know."""


class ImageFormatError(ImageError, ValueError):
    """The bytes begin like a native program, but it is damaged or of a variety we do not read.

    Attributes:
        field: the specification's name of what is wrong.
        offset: where in the image it lies, in bytes.
    """

    def __init__(self, message: str, *, field: str, offset: int) -> None:
        self.field = field
        self.offset = offset
        super().__init__(f"{field}: {message} at offset {offset:#x}")


class UnsignedImageError(ImageError):
    """A macOS program without a code signature, which macOS kills where the machine is arm64."""

    def __init__(self) -> None:
        super().__init__("it has no code signature")


class NotEmbeddableError(ImageError, ValueError):
    """A sound program that cannot become part of an APE.

    Attributes:
        faults: every reason, one sentence each.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__(f"cannot become part of an APE: {'; '.join(faults)}")
