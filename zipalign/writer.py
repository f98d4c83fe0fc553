"""The writer of members, at the offsets of the layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zipalign.copying import write_deflated
from zipalign.layout import (
    HeaderFields,
    aligned_header_offset,
    central_header,
    data_alignment,
    local_header,
    local_header_size,
)
from zipalign.records import METHOD_DEFLATE, METHOD_STORED

if TYPE_CHECKING:
    from zipalign.copying import Progress
    from zipalign.member import Input
    from zipalign.output_file import OutputFile
    from zipalign.records import CentralHeader

__all__ = ["alignment_of", "stored_size_max", "write_member"]


def write_member(
    output_file: OutputFile, start: int, item: Input, *, level: int, alignment: int | None, progress: Progress
) -> tuple[CentralHeader, int]:
    """Write one member at the first aligned offset from `start` on.

    The data is written first, because the local header contains its CRC.

    Returns:
        The member's header for the directory, and the end of its data.
    """
    header_offset = aligned_header_offset(start, item.name, alignment_of(item, level, alignment))
    data_offset = header_offset + local_header_size(item.name)
    content = item.content
    if not _is_stored(item, level):
        method = METHOD_DEFLATE
        crc, stored_size, size = write_deflated(output_file, content.chunks(), level, data_offset, progress)
    else:
        method = METHOD_STORED
        crc = content.copy_to(output_file, data_offset, progress)
        stored_size = size = content.size
    fields = HeaderFields(item.name, method, item.time, item.date, crc, stored_size, size, item.mode)
    output_file.write(local_header(fields).pack(), header_offset)
    return central_header(fields, header_offset), data_offset + stored_size


def alignment_of(item: Input, level: int, alignment: int | None) -> int:
    """Return the alignment of an input's data; None is the default."""
    return data_alignment(alignment, item.content.size, stored=_is_stored(item, level))


def stored_size_max(item: Input, level: int) -> int:
    """Return the largest size at which the data of an input is stored."""
    size = item.content.size
    return size if _is_stored(item, level) else size + _deflate_overhead(size)


def _is_stored(item: Input, level: int) -> bool:
    return not level or not item.content.size  # some readers refuse the deflate stream of an empty member


def _deflate_overhead(size: int) -> int:
    """Return the maximal growth of incompressible data by deflate: zlib's bound for raw streams."""
    return (size >> 12) + (size >> 14) + (size >> 25) + 7
