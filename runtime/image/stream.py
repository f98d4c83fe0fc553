"""A compressed program: one gzip stream (RFC 1952) of whole blocks, as an APE contains it (ape(5)).

The size of the stream is a multiple of 4096 bytes, so that dd copies it quickly, and gzip reads no trailing bytes, for
which some versions print a warning: the padding is in an extra field.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from runtime.image.errors import ImageFormatError

__all__ = ["STREAM_BLOCK_SIZE", "compress_image", "expand_image", "is_stream"]

STREAM_BLOCK_SIZE: Final = 4096

_HEADER: Final = struct.Struct("<2sBBIBB")  # ID1 ID2, CM, FLG, MTIME, XFL, OS
_MAGIC: Final = b"\x1f\x8b"
_DEFLATE: Final = 8
_FEXTRA: Final = 4
_LEVEL: Final = 6  # level 9 takes twice as long and saves half a percent
_OS_UNKNOWN: Final = 255
_SUBFIELD: Final = struct.Struct("<2sH")
_SUBFIELD_ID: Final = b"AP"
_EXTRA_SIZE_MIN: Final = 2 + _SUBFIELD.size  # XLEN, and the header of the padding subfield
_TRAILER: Final = struct.Struct("<II")
_SIZE_MIN: Final = _HEADER.size + _TRAILER.size


def is_stream(data: bytes) -> bool:
    """Return whether DATA is compressed, as far as its first bytes tell."""
    return data[:2] == _MAGIC


def compress_image(data: bytes) -> bytes:
    """Return the program DATA as a gzip stream of whole blocks. Equal DATA gives equal streams."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = compressor.compress(data) + compressor.flush()
    size = _SIZE_MIN + _EXTRA_SIZE_MIN + len(deflated)
    padding = bytes(-size % STREAM_BLOCK_SIZE)
    extra = _SUBFIELD.pack(_SUBFIELD_ID, len(padding)) + padding
    header = _HEADER.pack(_MAGIC, _DEFLATE, _FEXTRA, 0, 0, _OS_UNKNOWN) + struct.pack("<H", len(extra))
    return header + extra + deflated + _TRAILER.pack(zlib.crc32(data), len(data) & 0xFFFFFFFF)


def expand_image(stream: bytes) -> bytes:
    """Return the program in STREAM, which compress_image() made.

    Raises:
        ImageFormatError: STREAM is damaged, or was made otherwise.
    """
    expander = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = expander.decompress(stream)
    except zlib.error as error:
        raise ImageFormatError(str(error), field="gzip stream", offset=0) from error
    if not expander.eof:
        raise ImageFormatError("it is cut off", field="gzip stream", offset=len(stream))
    if expander.unused_data or len(stream) % STREAM_BLOCK_SIZE:
        end = len(stream) - len(expander.unused_data)
        message = f"it ends in the middle of a block of {STREAM_BLOCK_SIZE} bytes, or bytes follow it,"
        raise ImageFormatError(message, field="gzip stream", offset=end)
    return data
