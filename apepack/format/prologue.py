"""The first bytes of an APE: magic, shell script, and the programs that its statements speak of (ape(5)).

Rendering makes our dialect. Parsing reads every dialect in the field, the way loaders do: it looks for statements and
knows nothing of shell syntax.
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

HEAD_SIZE: Final = 64  # what becoming an ELF program overwrites
HEAD_COPY_OFFSET: Final = 0xFC0  # where our dialect repeats those bytes
PE_HEADERS_SIZE_MAX: Final = 0x3C0  # what a Windows program may take of the prologue; the script ends before it
PROLOGUE_SIZE: Final = 0x1000  # our script, and everything else of the prologue, ends here
SCAN_SIZE: Final = 8192  # loaders look no further for printf statements

_PE_ALIGNMENT: Final = 64  # Windows wants 8; no multiple of this has a byte that is a quote
_PRINTF: Final = b"printf '"
# Closes the quote that the magic opened. Other tools look for the second line; shells see a comment.
_QUOTE_END: Final = b"\n'\n#'\"\n"


class Magic(Enum):
    """The first eight bytes: a shell variable's name, and the quote that hides what follows from the shell."""

    MZ = b"MZqFpD='"  # also what a Windows program begins with
    NO_WINDOWS = b"jartsr='"  # for shells and systems that refuse or intercept MZ
    DEBUG = b"APEDBG='"  # read, never written: kernels do not know it


@dataclass(frozen=True, slots=True)
class PrintfStatement:
    """A printf statement that writes an ELF header."""

    offset: int  # of the word `printf`
    raw: bytes  # the 64 bytes
    header: ElfHeader


@dataclass(frozen=True, slots=True)
class Prologue:
    """What is to be read from an APE's first bytes."""

    magic: Magic
    statements: tuple[PrintfStatement, ...]
    unpacked: tuple[UnpackedImage, ...] = ()

    def program(self, machine: Machine) -> PrintfStatement:
        """Return the header of the program for MACHINE: the first one, as for every loader.

        Raises:
            NoProgramError: there is none.
        """
        for statement in self.statements:
            if statement.header.machine == machine:
                return statement
        raise NoProgramError(machine.name.lower(), self.machines)

    @property
    def machines(self) -> tuple[str, ...]:
        """The names of the machines there are programs for."""
        numbers = dict.fromkeys(statement.header.machine for statement in self.statements)
        known = {machine.value: machine.name.lower() for machine in Machine}
        return tuple(known.get(number, f"e_machine {number}") for number in numbers)


def render_prologue(magic: Magic, script: str, pe_headers: bytes = b"") -> bytes:
    """Return the 4096 bytes before the loaders: SCRIPT behind the magic, and the copy of the first 64 bytes.

    Up to the end of the script everything is printable ASCII, since some shells refuse a NUL anywhere before it; but
    with PE_HEADERS, those of a Windows program, their offset has to stand in the head.

    Raises:
        LayoutError: the script is too long.
    """
    # They end where the copy of the head begins, so that the script has all that they leave.
    script_end = (HEAD_COPY_OFFSET - len(pe_headers)) // _PE_ALIGNMENT * _PE_ALIGNMENT
    # Windows finds its program by the last four bytes of the head; spaces are an offset that it follows nowhere.
    lfanew = struct.pack("<I", script_end) if pe_headers else b""
    head = (magic.value + b"\n").ljust(HEAD_SIZE - len(lfanew)) + lfanew
    data = head + _QUOTE_END + script.encode("ascii")
    if len(data) > script_end:
        raise LayoutError(f"the script ends at {len(data):#x} (expected {script_end:#x} at most)")
    return data.ljust(script_end, b"\0") + pe_headers.ljust(HEAD_COPY_OFFSET - script_end, b"\0") + head


def parse_prologue(data: bytes) -> Prologue:
    """Read the prologue of the APE that begins with DATA; give at least 8192 bytes unless the file is shorter.

    Raises:
        NotAnApeError: DATA begins with none of the magics.
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
        # What is not exactly a header is something else that a script prints, or chance in a binary.
        if len(raw) == ElfHeader.SIZE:
            with contextlib.suppress(ImageFormatError, NotAnImageError):
                yield PrintfStatement(at, raw, read_elf_header(raw))
        at = window.find(_PRINTF, start)


def original_head(data: bytes) -> bytes | None:
    """Return the first 64 bytes as they were when the file was made, or None where it does not keep them.

    DATA is the beginning of a file of our dialect, whether or not it has become an ELF program since.
    """
    head = data[HEAD_COPY_OFFSET : HEAD_COPY_OFFSET + HEAD_SIZE]
    is_ours = data[HEAD_SIZE : HEAD_SIZE + len(_QUOTE_END)] == _QUOTE_END and len(head) == HEAD_SIZE
    return head if is_ours and any(head.startswith(magic.value + b"\n") for magic in Magic) else None
