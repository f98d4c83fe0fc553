"""The errors of native images."""

from __future__ import annotations

from runtime.errors import RuntimePackageError

__all__ = ["ImageError", "ImageFormatError", "NotAnImageError", "NotEmbeddableError", "UnsignedImageError"]


class ImageError(RuntimePackageError):
    """A native image cannot be read or used."""


class NotAnImageError(ImageError):
    """The bytes are not a native program of a known format."""


class ImageFormatError(ImageError, ValueError):
    """A native program that is damaged, or of an unsupported variety.

    Attributes:
        field: the field in the specification.
        offset: in the image, in bytes.
    """

    def __init__(self, message: str, *, field: str, offset: int) -> None:
        self.field = field
        self.offset = offset
        super().__init__(f"{field}: {message} at offset {offset:#x}")


class UnsignedImageError(ImageError):
    """A macOS program without a code signature; on arm64, macOS kills it."""

    def __init__(self) -> None:
        super().__init__("it has no code signature")


class NotEmbeddableError(ImageError, ValueError):
    """A valid program that cannot become part of an APE.

    Attributes:
        faults: all reasons.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__(f"cannot become part of an APE: {'; '.join(faults)}")
