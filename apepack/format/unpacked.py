"""Compressed programs, for systems that run a program only as a separate file. The script unpacks them (ape(5)).

Such a program is one gzip stream (RFC 1952). Its offset and its size are multiples of 4096 bytes, so that dd copies it
quickly, and gzip reads no trailing bytes, for which some versions print a warning.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError
from apepack.format.cksum import posix_cksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "UNPACKED_BLOCK_SIZE",
    "UnpackedImage",
    "compress_image",
    "decompress_image",
    "parse_case_lines",
    "render_case_line",
]

UNPACKED_BLOCK_SIZE: Final = 4096

_GZIP_HEADER: Final = struct.Struct("<2sBBIBB")  # ID1 ID2, CM, FLG, MTIME, XFL, OS
_GZIP_MAGIC: Final = b"\x1f\x8b"
_DEFLATE: Final = 8
_FEXTRA: Final = 4
_LEVEL: Final = 6  # level 9 takes twice as long and saves half a percent
_OS_UNKNOWN: Final = 255
_SUBFIELD: Final = struct.Struct("<2sH")
_SUBFIELD_ID: Final = b"AP"
_EXTRA_SIZE_MIN: Final = 2 + _SUBFIELD.size  # XLEN, and the header of the padding subfield
_GZIP_TRAILER: Final = struct.Struct("<II")
_STREAM_SIZE_MIN: Final = _GZIP_HEADER.size + _GZIP_TRAILER.size

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


def compress_image(data: bytes) -> bytes:
    """Return the program DATA as a gzip stream of whole blocks. Equal DATA gives equal streams."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = compressor.compress(data) + compressor.flush()
    size = _STREAM_SIZE_MIN + _EXTRA_SIZE_MIN + len(deflated)
    padding = bytes(-size % UNPACKED_BLOCK_SIZE)
    extra = _SUBFIELD.pack(_SUBFIELD_ID, len(padding)) + padding
    header = _GZIP_HEADER.pack(_GZIP_MAGIC, _DEFLATE, _FEXTRA, 0, 0, _OS_UNKNOWN) + struct.pack("<H", len(extra))
    return header + extra + deflated + _GZIP_TRAILER.pack(zlib.crc32(data), len(data) & 0xFFFFFFFF)


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
    k, n = image.offset // UNPACKED_BLOCK_SIZE, image.stored_size // UNPACKED_BLOCK_SIZE
    return f"{names}) h={name} k={k} n={n} c='{image.checksum} {image.size}' z=1 ;;\n"


def parse_case_lines(window: bytes) -> Iterator[UnpackedImage]:
    """Yield the compressed programs that the script in WINDOW, the first bytes of an APE of our dialect, unpacks."""
    for found in _CASE_LINE.finditer(window):
        system = _SYSTEMS.get(found["system"].decode())
        machine = _MACHINES.get(found["machine"].decode())
        if system and machine:
            yield UnpackedImage(
                f"{system}-{machine}",
                int(found["k"]) * UNPACKED_BLOCK_SIZE,
                int(found["n"]) * UNPACKED_BLOCK_SIZE,
                int(found["checksum"]),
                int(found["size"]),
            )
