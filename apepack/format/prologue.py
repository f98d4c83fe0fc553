"""The first bytes of an APE: magic, shell script, and the headers of its programs (ape(5)).

render_prologue() writes our dialect. parse_prologue() reads all known dialects as loaders do: it searches for
statements and ignores shell syntax.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from apepack.errors import LayoutError, NoProgramError, NotAnApeError
from apepack.format.octal import decode_octal
from apepack.format.unpacked import UnpackedImage, parse_case_lines
from runtime.image.elf import ElfHeader, Machine, read_elf_header
from runtime.image.errors import ImageFormatError, NotAnImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "HEAD_COPY_OFFSET",
    "HEAD_SIZE",
    "PE_HEADERS_SIZE_MAX",
    "PROLOGUE_SIZE",
    "SCAN_SIZE",
    "Magic",
    "PrintfStatement",
    "Prologue",
    "original_head",
    "parse_prologue",
    "render_prologue",
]

HEAD_SIZE: Final = 64  # overwritten by an ELF header when the file becomes an ELF program
HEAD_COPY_OFFSET: Final = 0xFC0  # of the copy of these bytes in our dialect
PE_HEADERS_SIZE_MAX: Final = 0x3C0  # in the prologue, after the script
PROLOGUE_SIZE: Final = 0x1000  # of our dialect
SCAN_SIZE: Final = 8192  # loaders search these bytes for printf statements

_PE_ALIGNMENT: Final = 64  # Windows requires 8; multiples of 64 contain no byte that is a quote
_PRINTF: Final = b"printf '"
# Closes the quote that the magic opens. The second line is a comment for shells, and a mark for other tools.
_QUOTE_END: Final = b"\n'\n#'\"\n"


class Magic(Enum):
    """The first eight bytes: an assignment to a shell variable, with the quote that opens its value."""

    MZ = b"MZqFpD='"  # also the magic of Windows programs
    NO_WINDOWS = b"jartsr='"  # for shells and systems that refuse or intercept MZ
    DEBUG = b"APEDBG='"  # read, never written; not registered with kernels


@dataclass(frozen=True, slots=True)
class PrintfStatement:
    """A printf statement that writes an ELF header."""

    offset: int  # of the word `printf`
    raw: bytes  # the decoded header
    header: ElfHeader


@dataclass(frozen=True, slots=True)
class Prologue:
    """The parsed prologue of an APE."""

    magic: Magic
    statements: tuple[PrintfStatement, ...]
    unpacked: tuple[UnpackedImage, ...] = ()

    def program(self, machine: Machine) -> PrintfStatement:
        """Return the first statement with a header for MACHINE. Loaders use the first one too.

        Raises:
            NoProgramError: there is no program for MACHINE.
        """
        for statement in self.statements:
            if statement.header.machine == machine:
                return statement
        raise NoProgramError(machine.name.lower(), self.machines)

    @property
    def machines(self) -> tuple[str, ...]:
        """The names of the machines for which there are ELF programs."""
        numbers = dict.fromkeys(statement.header.machine for statement in self.statements)
        known = {machine.value: machine.name.lower() for machine in Machine}
        return tuple(known.get(number, f"e_machine {number}") for number in numbers)


def render_prologue(magic: Magic, script: str, pe_headers: bytes = b"") -> bytes:
    """Return the 4096 bytes before the loaders: magic, SCRIPT, PE_HEADERS, and the copy of the first 64 bytes.

    All bytes before the end of the script are printable ASCII, because some shells refuse NUL bytes. The exception is
    the offset of PE_HEADERS, the headers of a Windows program, in the first 64 bytes.

    Raises:
        LayoutError: the script is too long.
    """
    # The headers end at the copy of the head, so that the script has all remaining space.
    script_end = (HEAD_COPY_OFFSET - len(pe_headers)) // _PE_ALIGNMENT * _PE_ALIGNMENT
    # Windows reads the offset of the PE headers from the last four bytes of the head. Spaces are an invalid offset.
    lfanew = struct.pack("<I", script_end) if pe_headers else b""
    head = (magic.value + b"\n").ljust(HEAD_SIZE - len(lfanew)) + lfanew
    data = head + _QUOTE_END + script.encode("ascii")
    if len(data) > script_end:
        raise LayoutError(f"the script ends at {len(data):#x} (expected {script_end:#x} at most)")
    return data.ljust(script_end, b"\0") + pe_headers.ljust(HEAD_COPY_OFFSET - script_end, b"\0") + head


def parse_prologue(data: bytes) -> Prologue:
    """Parse the prologue of the APE that begins with DATA: 8192 bytes or more, unless the file is shorter.

    Raises:
        NotAnApeError: DATA begins with no known magic.
    """
    try:
        magic = Magic(data[:8])
    except ValueError:
        raise NotAnApeError(f"not an APE: it begins with {data[:8]!r}") from None
    return Prologue(magic, tuple(_statements(data[:SCAN_SIZE])), tuple(parse_case_lines(data[:PROLOGUE_SIZE])))


def _statements(window: bytes) -> Iterator[PrintfStatement]:
    at = window.find(_PRINTF)
    while at >= 0:
        start = at + len(_PRINTF)
        end = window.find(b"'", start)
        raw = decode_octal(window[start:end]) if end >= 0 else b""
        # Any other size: another printf statement of the script, or random bytes of a binary.
        if len(raw) == ElfHeader.SIZE:
            with contextlib.suppress(ImageFormatError, NotAnImageError):
                yield PrintfStatement(at, raw, read_elf_header(raw))
        at = window.find(_PRINTF, start)


def original_head(data: bytes) -> bytes | None:
    """Return the first 64 bytes of the file as linked, or None if the file contains no copy of them.

    DATA is the beginning of a file. Files of our dialect contain the copy, also after becoming an ELF program.
    """
    head = data[HEAD_COPY_OFFSET : HEAD_COPY_OFFSET + HEAD_SIZE]
    is_ours = data[HEAD_SIZE : HEAD_SIZE + len(_QUOTE_END)] == _QUOTE_END and len(head) == HEAD_SIZE
    return head if is_ours and any(head.startswith(magic.value + b"\n") for magic in Magic) else None
