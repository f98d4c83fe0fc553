"""APE files in the forms of the Cosmopolitan project's tools, around the programs of our builders.

They follow descriptions of those files. They differ in the place of the closing quote of the magic, the form of the
numbers in the dd statement, and the printf statements of the header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.builders.ape import foreign_octal
from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.builders.macho import static_macho

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ERAS", "MAGICS", "Era", "genuine_ape", "genuine_elf_header", "genuine_macho_header"]

MAGICS: Final = (b"MZqFpD='", b"jartsr='", b"APEDBG='")
_IMAGE_OFFSET: Final = 0x10000
_ARM64_OFFSET: Final = 0x20000
_TABLES: Final = {X86_64: 0xB48, AARCH64: 0xEA8}  # where apelink puts the program headers
_MACHO_OFFSET: Final = 0x1400


def _three_digits(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)


@dataclass(frozen=True)
class Era:
    """How files of a time are spelled."""

    stub_end: bytes  # closes the quote; what stands behind is the script
    stub_size: int  # where it does so
    block_size: int  # of the dd statement
    dd: str  # its operands; {skip} and {count} are numbers, blank-padded ones as the format says
    octal: Callable[[bytes], str]
    before: bytes = b""  # in the script, in front of everything
    has_macho: bool = True


# A loader that lies uncompressed in the first 8 KiB, with the words that it looks for itself in other files.
_LOADER: Final = b"\x7fELF\2\1\1" + bytes(57) + b"\0printf '\0" + b"'ape error: \0" + bytes(40)
_HERE_DOCUMENT: Final = b"' <<'justineu8f3ka'\n"

ERAS: Final[dict[str, Era]] = {
    "2020-06": Era(
        b"\n'\n#'\"\n", 0x202, 8, 'bs=8 skip="{skip:8d}" count="{count:8d}" conv=notrunc', _three_digits
    ),
    "2021-02": Era(
        b"\n'\n#'\"\n", 0x202, 8, 'bs=8 skip="\0\0\0\0\0\0\0\0" count="\0\0\0\0\0\0\0\0" conv=notrunc',
        _three_digits, has_macho=False,
    ),
    "2021-02, zeros": Era(
        b"\n'\n#'\"\n", 0x202, 8, 'bs=8 skip="       0" count="\0\0\0\0\0\0\0\0" conv=notrunc',
        _three_digits, has_macho=False,
    ),
    "2022-03": Era(b"\n'\n#'\"\n", 0x202, 8, "bs=8 skip=$(({skip:5d})) count=$(({count:5d}))", _three_digits,
                   before=b": " + _LOADER + b"\n"),
    "2023-06": Era(b"' <<'@'\n", 0x28, 8, "bs=8 skip={skip:<10d} count={count:<10d} conv=notrunc", _three_digits),
    "2023-10": Era(_HERE_DOCUMENT, 0x28, 1, "bs=1 skip={skip:<10d} count={count:<10d} conv=notrunc", foreign_octal),
    "2024-02": Era(_HERE_DOCUMENT, 0x28, 1, "bs=1 skip={skip} count={count} conv=notrunc", foreign_octal),
    "2026": Era(_HERE_DOCUMENT, 0x28, 1, "bs=1 skip=$((  {skip})) count=$((  {count})) conv=notrunc", foreign_octal),
}  # fmt: skip  # a table


def genuine_elf_header(machine: int = X86_64) -> bytes:
    """The header that the printf statement prints."""
    image = exit_program(machine)
    header = bytearray(image[:64])
    header[7] = 9
    phnum = struct.unpack_from("<H", image, 56)[0]
    struct.pack_into("<QQIHHHHHH", header, 32, _TABLES[machine], 0, 0, 64, 56, phnum, 0, 0, 0)
    return bytes(header)


def genuine_macho_header() -> bytes:
    """The header that the dd statement copies."""
    program = static_macho()
    return program[: 32 + struct.unpack_from("<I", program, 20)[0]]


def genuine_ape(era: str, machines: tuple[int, ...] = (X86_64,), magic: bytes = MAGICS[0]) -> bytes:
    """A file of a time, for one machine or, as since 2023-10, for two."""
    style = ERAS[era]
    macho = genuine_macho_header()
    assert len(macho) % 8 == 0
    script = style.before + _dd(style, len(macho))
    for machine in machines:
        octal = style.octal(genuine_elf_header(machine)).encode()
        script += b'exec 7<> "$o" || exit 121\nprintf \'' + octal + b"' >&7\nexec 7<&-\n"
    script += b'dd if="$o" skip="    7777" count="      60" bs=64 | gzip -dc >"$t.$$"\nexit 127\n'
    file = bytearray(_ARM64_OFFSET + 0x8000)
    prologue = _stub(style, magic) + script
    if not style.before:
        assert len(prologue) <= _TABLES[X86_64], len(prologue)
    file[: len(prologue)] = prologue
    for machine in machines:
        base = _IMAGE_OFFSET if machine == X86_64 else _ARM64_OFFSET
        image = exit_program(machine, status=5)
        file[base : base + len(image)] = image
        table = _relocated(image, base)
        file[_TABLES[machine] : _TABLES[machine] + len(table)] = table
    if style.has_macho:
        file[_MACHO_OFFSET : _MACHO_OFFSET + len(macho)] = macho
    return bytes(file)


def _stub(style: Era, magic: bytes) -> bytes:
    """Everything up to the script: the binary that Windows and BIOSes look for is hidden from the shell."""
    stub = bytearray((magic + b"\n\n\0\x10\0\xf8").ljust(style.stub_size, b"\0"))
    if style.stub_size > 0x40:
        stub[0x24:0x26] = b"JT"
        return bytes(stub) + style.stub_end
    delimiter = style.stub_end.split(b"'")[2]
    head = bytes(stub) + style.stub_end
    return head.ljust(0x1FE, b"\0") + b"\x55\xaa\n" + delimiter + b"\n#'\"\n\n"


def _dd(style: Era, macho_size: int) -> bytes:
    operands = style.dd.format(skip=_MACHO_OFFSET // style.block_size, count=macho_size // style.block_size)
    return b'if [ -d /Applications ]; then dd if="$o" of="$o" ' + operands.encode() + b" 2>/dev/null; exit; fi\n"


def _relocated(image: bytes, base: int) -> bytes:
    """The image's program headers for a file that has it at BASE."""
    phoff, phnum = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
    table = bytearray(image[phoff : phoff + phnum * 56])
    for at in range(0, len(table), 56):
        (offset,) = struct.unpack_from("<Q", table, at + 8)
        struct.pack_into("<Q", table, at + 8, offset + base)
    return bytes(table)
