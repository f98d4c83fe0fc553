"""The prompt, the beginning of a text."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from runtime.portable.container import Container

__all__ = ["Prompt", "unescape"]

_STANDARD_INPUT: Final = ("-", "/dev/stdin")
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"'": b"'", b'"': b'"', b"\\": b"\\"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, or the name of its file.

    Attributes:
        name: of a file or member; None if `text` is the prompt.
        keeps_newline: whether a newline at the end of the file is part of the prompt.
    """

    text: str = ""
    name: str | None = None
    keeps_newline: bool = False

    @classmethod
    def of_text_file(cls, name: str) -> Self:
        """Return the prompt in a text file, without the newline at its end."""
        return cls(name=name)

    @classmethod
    def of_binary_file(cls, name: str) -> Self:
        """Return the prompt in a file, unchanged."""
        return cls(name=name, keeps_newline=True)

    def read(self, container: Container) -> bytes:
        """Return the prompt; files are on disk, or in CONTAINER.

        Raises:
            ContainerError: there is no such file, or it cannot be read.
            OSError: standard input cannot be read.
        """
        if self.name is None:
            return self.text.encode(errors="surrogateescape")
        data = _standard_input() if self.name in _STANDARD_INPUT else container.text(self.name)
        return data if self.keeps_newline else data.removesuffix(b"\n")


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise OSError("cannot read standard input: it is closed")
    return sys.stdin.buffer.read()


def unescape(data: bytes) -> bytes:
    r"""Return DATA with the escapes of C, such as \n, replaced; unknown ones are unchanged."""
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else _plain(found), data)


def _plain(found: re.Match[bytes]) -> bytes:
    return _ESCAPED.get(found[2], found[0])
