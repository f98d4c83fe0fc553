"""The programs that a finished APE carries, read back from its bytes."""

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

__all__ = ["check_programs", "read_platforms"]

_WINDOWS: Final = "windows-amd64"
_PE_SIGNATURE: Final = b"PE\0\0" + PeMachine.AMD64.to_bytes(2, "little")


def read_platforms(data: bytes | memoryview) -> tuple[str, ...]:
    """Return the names of the platforms that the APE DATA, of whatever dialect, has programs for.

    Raises:
        NotAnApeError: it does not begin like an APE.
    """
    prologue = parse_prologue(bytes(data[:SCAN_SIZE]))
    linux = filter(None, (linux_platform_name(statement.header.machine) for statement in prologue.statements))
    windows = [_WINDOWS] if _has_windows_headers(data, prologue) else []
    return tuple(dict.fromkeys([*linux, *windows, *(image.platform for image in prologue.unpacked)]))


def _has_windows_headers(data: bytes | memoryview, prologue: Prologue) -> bool:
    lfanew = int.from_bytes(data[LFANEW_OFFSET:HEAD_SIZE], "little")
    coff = bytes(data[lfanew : lfanew + CoffHeader.SIZE])
    return prologue.magic is Magic.MZ and len(coff) == CoffHeader.SIZE and coff.startswith(_PE_SIGNATURE)


def check_programs(data: memoryview) -> None:
    """Read the headers of every program in the APE DATA, which is of our dialect, and unpack what is compressed.

    Raises:
        LayoutError: one of them is not what the prologue says.
        NotAnApeError: it does not begin like an APE.
    """
    prologue = parse_prologue(bytes(data[:SCAN_SIZE]))
    try:
        for statement in prologue.statements:
            header = statement.header
            table = data[header.phoff : header.phoff + header.phdrs_size]
            if len(table) != header.phdrs_size:
                raise LayoutError(f"the program headers at {header.phoff:#x} are cut off")
            read_segments(table, header.phoff, len(data))
        if _has_windows_headers(data, prologue):
            read_image(data)
    except RuntimePackageError as error:
        raise LayoutError(f"a program in it is damaged: {error}") from error
    for image in prologue.unpacked:
        decompress_image(bytes(data[image.offset : image.stored_end]), image)
