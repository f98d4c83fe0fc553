"""The programs and loaders in a finished APE of any dialect, with their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError
from apepack.format.inspect import has_windows_headers
from apepack.format.layout import Span
from apepack.format.prologue import PROLOGUE_SIZE, SCAN_SIZE, parse_prologue
from apepack.format.script import BLOCK_SIZE
from apepack.format.unpacked import decompress_image
from runtime.errors import RuntimePackageError
from runtime.image import linux_platform_name
from runtime.image.elf import ELF_MAGIC, Elf, read_segments
from runtime.image.embedding import IMAGE_ALIGNMENT
from runtime.image.pe import DOS_MAGIC, read_pe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.format.prologue import Prologue
    from apepack.format.unpacked import UnpackedImage
    from runtime.image.elf import ElfHeader

__all__ = ["EmbeddedLoader", "EmbeddedProgram", "read_loaders", "read_programs"]

_WINDOWS: Final = "windows-amd64"
# The line of the script for a loader: its first block, and the number of blocks.
_LOADER_LINE: Final = re.compile(rb"^h=[0-9a-f]{16} k=(\d{1,9}) n=(\d{1,9}) c='[0-9 ]+'$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EmbeddedProgram:
    """A program in an APE.

    Attributes:
        platform: the name of its platform.
        span: its place in the file.
        unpacked: the properties of a compressed program.
    """

    platform: str
    span: Span
    unpacked: UnpackedImage | None = None

    @property
    def size(self) -> int:
        """The size of the program in bytes, decompressed."""
        return self.unpacked.size if self.unpacked else self.span.size

    def content(self, data: memoryview) -> bytes | memoryview:
        """Return the program in the APE DATA: as it lies there, or decompressed.

        Raises:
            LayoutError: a compressed program is damaged.
        """
        stored = data[self.span.offset : self.span.end]
        return decompress_image(bytes(stored), self.unpacked) if self.unpacked else stored


@dataclass(frozen=True, slots=True)
class EmbeddedLoader:
    """A loader in an APE of our dialect, padded to whole blocks."""

    platform: str
    span: Span


def read_programs(data: memoryview, head: bytes = b"") -> tuple[EmbeddedProgram, ...]:
    """Return the programs in the APE DATA, at most one for each platform, in the order of read_platforms().

    Of a file of another dialect, the place of a program is that of its segments. HEAD are the first bytes of the APE,
    if it became a native program and DATA begins with other ones.

    Raises:
        NotAnApeError: DATA is not an APE.
        LayoutError: the headers of a program are damaged.
    """
    prologue = parse_prologue(head + bytes(data[len(head) : SCAN_SIZE]))
    found: dict[str, EmbeddedProgram] = {}
    try:
        for program in (*_mapped(data, prologue), *_windows(data, prologue)):
            found.setdefault(program.platform, program)
    except RuntimePackageError as error:
        raise LayoutError(f"a program in it is damaged: {error}") from error
    for image in prologue.unpacked:
        span = Span(image.offset, image.stored_size)
        found.setdefault(image.platform, EmbeddedProgram(image.platform, span, image))
    return tuple(found.values())


def _mapped(data: memoryview, prologue: Prologue) -> Iterator[EmbeddedProgram]:
    for statement in prologue.statements:
        platform = linux_platform_name(statement.header.machine)
        if platform:
            yield EmbeddedProgram(platform, _elf_span(data, statement.header))


def _elf_span(data: memoryview, header: ElfHeader) -> Span:
    table = data[header.phoff : header.phoff + header.phdrs_size]
    if len(table) != header.phdrs_size:
        raise LayoutError(f"the program headers at {header.phoff:#x} are cut off")
    elf = Elf(header, read_segments(table, header.phoff, len(data)))
    start = _image_start(data, header.phoff, ELF_MAGIC)
    if start is None:
        start = min((segment.offset for segment in elf.loads), default=0)
    return Span(start, max(elf.file_end, start) - start)


def _windows(data: memoryview, prologue: Prologue) -> Iterator[EmbeddedProgram]:
    if not has_windows_headers(data, prologue):
        return
    pe = read_pe(data)
    places = [section.pointer_to_raw_data for section in pe.sections if section.size_of_raw_data]
    first = min(places, default=0)
    start = _image_start(data, first, DOS_MAGIC)
    end = max((section.raw_end for section in pe.sections), default=0)
    if start is not None:  # the image has the headers that its linker wrote, which may be its end
        end = start + read_pe(data[start:]).file_end
    else:
        start = first
    yield EmbeddedProgram(_WINDOWS, Span(start, max(end, start) - start))


def _image_start(data: memoryview, offset: int, magic: bytes) -> int | None:
    """Return the start of the image of our dialect that contains OFFSET, or None if there is no such image."""
    start = offset // IMAGE_ALIGNMENT * IMAGE_ALIGNMENT
    return start if start and bytes(data[start : start + len(magic)]) == magic else None


def read_loaders(data: memoryview) -> tuple[EmbeddedLoader, ...]:
    """Return the loaders in the APE DATA; files of other dialects have none that this finds.

    Raises:
        NotAnApeError: DATA is not an APE.
        LayoutError: a loader is not in the file.
    """
    prologue = parse_prologue(bytes(data[:SCAN_SIZE]))
    machines = [linux_platform_name(statement.header.machine) for statement in prologue.statements]
    lines = _LOADER_LINE.findall(bytes(data[:PROLOGUE_SIZE]))
    if len(lines) != len(machines):
        return ()
    loaders = []
    for platform, (first, count) in zip(machines, lines, strict=True):
        span = Span(int(first) * BLOCK_SIZE, int(count) * BLOCK_SIZE)
        if span.end > len(data):
            raise LayoutError(f"the loader at {span.offset:#x} is cut off")
        loaders.append(EmbeddedLoader(platform or "", span))
    return tuple(loaders)
