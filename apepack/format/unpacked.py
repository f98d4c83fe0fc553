"""Compressed programs, for systems that run a program only as a separate file. The script unpacks them (ape(5)).

Such a program is a stream of runtime.image.stream, at an offset that is a multiple of the same blocks.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError
from apepack.format.cksum import posix_cksum
from runtime.image.stream import STREAM_BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "UnpackedImage",
    "decompress_image",
    "parse_case_lines",
    "render_case_line",
]

# Parts of platform names: the system by the output of `uname -s`, the machine by that of `uname -m`.
_SYSTEMS: Final = {"Darwin": "macos", "FreeBSD": "freebsd", "NetBSD": "netbsd", "OpenBSD": "openbsd"}
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "arm64": "arm64"}
_CASE_LINE: Final = re.compile(
    rb'^"(?P<system>\w+) (?P<machine>\w+)"[^\n]*\) h=[0-9a-f]{16} k=(?P<k>\d{1,9}) n=(?P<n>\d{1,9}) '
    rb"c='(?P<checksum>\d{1,10}) (?P<size>\d{1,12})' z=1 ;;$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class UnpackedImage:
    """The place of a compressed program in an APE, and the properties of the program."""

    platform: str  # its name in the platform table
    offset: int
    stored_size: int
    checksum: int  # of the program, that of cksum(1)
    size: int  # of the program

    @property
    def stored_end(self) -> int:
        """The offset after the last byte of the stream."""
        return self.offset + self.stored_size


def decompress_image(stored: bytes, image: UnpackedImage) -> bytes:
    """Return the program IMAGE, decompressed from STORED, its bytes in the file.

    Raises:
        LayoutError: STORED is damaged or a different program.
    """
    expander = zlib.decompressobj(16 + zlib.MAX_WBITS)
    at = f"the program for {image.platform} at {image.offset:#x}"
    try:
        data = expander.decompress(stored, image.size + 1)
    except zlib.error as error:
        raise LayoutError(f"{at} is damaged: {error}") from error
    if len(data) != image.size or not expander.eof or expander.unused_data:
        raise LayoutError(f"{at} is not the one stream of {image.size} bytes that the script describes")
    checksum = posix_cksum(data)
    if checksum != image.checksum:
        raise LayoutError(f"{at} is damaged: its cksum is {checksum}, expected {image.checksum}")
    return data


def render_case_line(image: UnpackedImage, patterns: Sequence[str], name: str) -> str:
    """Return the line of the script for IMAGE: PATTERNS of the output of `uname -sm`, and NAME in the cache."""
    names = "|".join(f'"{pattern}"' for pattern in patterns)
    k, n = image.offset // STREAM_BLOCK_SIZE, image.stored_size // STREAM_BLOCK_SIZE
    return f"{names}) h={name} k={k} n={n} c='{image.checksum} {image.size}' z=1 ;;\n"


def parse_case_lines(window: bytes) -> Iterator[UnpackedImage]:
    """Yield the compressed programs that the script in WINDOW, the first bytes of an APE of our dialect, unpacks."""
    for found in _CASE_LINE.finditer(window):
        system = _SYSTEMS.get(found["system"].decode())
        machine = _MACHINES.get(found["machine"].decode())
        if system and machine:
            yield UnpackedImage(
                f"{system}-{machine}",
                int(found["k"]) * STREAM_BLOCK_SIZE,
                int(found["n"]) * STREAM_BLOCK_SIZE,
                int(found["checksum"]),
                int(found["size"]),
            )
