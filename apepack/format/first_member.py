"""The first member of the archive, which precedes the images.

Readers find a ZIP archive by its end, but 7-Zip also searches for its first member, in the first 8 MiB of a file
(measured: 7-Zip 26.02). The images are larger than that. Therefore a small member, the licence texts, precedes them,
and every linked APE is a valid archive.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zipalign.dostime import build_timestamp, to_dos
from zipalign.layout import HeaderFields, central_header, local_header, pack_directory
from zipalign.member import PLAIN_MODE
from zipalign.records import METHOD_DEFLATE

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FirstMember"]


@dataclass(frozen=True, slots=True)
class FirstMember:
    """A deflated member, complete before the file is laid out."""

    fields: HeaderFields
    data: bytes  # deflated

    @classmethod
    def of(cls, name: str, content: bytes) -> Self:
        """Return the member NAME with CONTENT and the time that zipalign gives to members."""
        compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        data = compressor.compress(content) + compressor.flush()
        stamp = to_dos(build_timestamp())
        fields = HeaderFields(
            name.encode(), METHOD_DEFLATE, *stamp, zlib.crc32(content), len(data), len(content), PLAIN_MODE
        )
        return cls(fields, data)

    def pack(self) -> bytes:
        """Return the local header and the data."""
        return local_header(self.fields).pack() + self.data

    def pack_directory(self, header_offset: int, directory_offset: int) -> bytes:
        """Return the central directory and the end records of an archive with only this member."""
        return pack_directory([central_header(self.fields, header_offset)], directory_offset, b"")
