"""The programs in a finished APE, read from its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError
from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, Magic, parse_prologue
from apepack.format.unpacked import decompress_image
from runtime.errors import RuntimePackageError
from runtime.image import linux_platform_name, read_image
from runtime.image.elf import read_segments
from runtime.image.pe import LFANEW_OFFSET, CoffHeader, PeMachine

if TYPE_CHECKING:
    from apepack.format.prologue import Prologue

__all__ = ["check_programs", "has_windows_headers", "read_platforms"]

_WINDOWS: Final = "windows-amd64"
_PE_SIGNATURE: Final = b"PE\0\0" + PeMachine.AMD64.to_bytes(2, "little")


def read_platforms(data: bytes | memoryview) -> tuple[str, ...]:
    """Return the names of the platforms for which the APE DATA, of any dialect, contains programs.

    Raises:
        NotAnApeError: DATA is not an APE.
    """
    prologue = parse_prologue(bytes(data[:SCAN_SIZE]))
    linux = filter(None, (linux_platform_name(statement.header.machine) for statement in prologue.statements))
    windows = [_WINDOWS] if has_windows_headers(data, prologue) else []
    return tuple(dict.fromkeys([*linux, *windows, *(image.platform for image in prologue.unpacked)]))


def has_windows_headers(data: bytes | memoryview, prologue: Prologue) -> bool:
    """Return whether the APE DATA with PROLOGUE is a program for Windows."""
    lfanew = int.from_bytes(data[LFANEW_OFFSET:HEAD_SIZE], "little")
    coff = bytes(data[lfanew : lfanew + CoffHeader.SIZE])
    return prologue.magic is Magic.MZ and len(coff) == CoffHeader.SIZE and coff.startswith(_PE_SIGNATURE)


def check_programs(data: memoryview) -> None:
    """Check the headers of all programs in the APE DATA of our dialect, and unpack the compressed programs.

    Raises:
        LayoutError: a program is damaged or differs from its entry in the prologue.
        NotAnApeError: DATA is not an APE.
    """
    prologue = parse_prologue(bytes(data[:SCAN_SIZE]))
    try:
        for statement in prologue.statements:
            header = statement.header
            table = data[header.phoff : header.phoff + header.phdrs_size]
            if len(table) != header.phdrs_size:
                raise LayoutError(f"the program headers at {header.phoff:#x} are cut off")
            read_segments(table, header.phoff, len(data))
        if has_windows_headers(data, prologue):
            read_image(data)
    except RuntimePackageError as error:
        raise LayoutError(f"a program in it is damaged: {error}") from error
    for image in prologue.unpacked:
        decompress_image(bytes(data[image.offset : image.stored_end]), image)
