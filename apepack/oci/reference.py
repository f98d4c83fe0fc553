"""Names of images: `[HOST/]NAME[:TAG]`, in the grammar of registries.

https://github.com/distribution/reference
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from apepack.errors import ImageNameError

__all__ = ["DEFAULT_TAG", "Reference"]

DEFAULT_TAG: Final = "latest"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+(?=:))(?::[0-9]+)?"
_NAME: Final = re.compile(rf"(?:(?P<host>{_HOST})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DEFAULT_HOST: Final = "docker.io"
_DEFAULT_FOLDER: Final = "library"


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image.

    Attributes:
        host: the registry; empty for the default of the program that uses the image.
        path: the name there.
        tag: the tag.
    """

    host: str
    path: str
    tag: str = DEFAULT_TAG

    def __str__(self) -> str:
        return f"{self.host}/{self.path}:{self.tag}".removeprefix("/")

    @property
    def full(self) -> str:
        """The complete name, with the registry and the folder that Docker assumes."""
        if self.host:
            return str(self)
        folder = "" if "/" in self.path else f"{_DEFAULT_FOLDER}/"
        return f"{_DEFAULT_HOST}/{folder}{self.path}:{self.tag}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name.

        Raises:
            ImageNameError: it is not one.
        """
        name, colon, tag = text.rpartition(":")
        if not colon or "/" in tag:
            name, tag = text, DEFAULT_TAG
        found = _NAME.fullmatch(name)
        if found is None:
            raise ImageNameError(text, "a name consists of a-z, 0-9, and single . _ - between these, in parts with /")
        if not _TAG.fullmatch(tag):
            raise ImageNameError(text, f"a tag consists of up to 128 letters, digits, . _ and - (got {tag!r})")
        return cls(found["host"] or "", found["path"], tag)

    @classmethod
    def of_file(cls, stem: str) -> Self:
        """Return a name for the image of a file called STEM."""
        path = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
        return cls("", path or "llamafile")
