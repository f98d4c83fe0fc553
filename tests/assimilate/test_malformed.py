"""Prologues that are odd: those that have to be read all the same, and those that must be refused, in one table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from apepack.format.octal import encode_octal
from assimilate.conversion import assimilate, restore
from assimilate.errors import AssimilateError
from runtime.platforms import platform_named
from tests.builders.ape import foreign_ape
from tests.builders.elf import AARCH64, exit_program, with_field
from tests.builders.genuine import genuine_ape, genuine_elf_header, genuine_macho_header

if TYPE_CHECKING:
    from pathlib import Path

ELF = genuine_elf_header()
MACHO = genuine_macho_header()


def genuine(*changes: tuple[bytes, bytes], magic: bytes = b"MZqFpD='") -> bytes:
    """A file of 2020 with bytes of its script replaced; the bytes behind keep their offsets."""
    data = genuine_ape("2020-06", magic=magic)
    for old, new in changes:
        at = data.index(old)
        end = at + len(old)
        if len(new) > len(old):
            room = data.index(bytes(len(new) - len(old)), end)
            data = data[:at] + new + data[end:room] + data[room + len(new) - len(old) :]
        else:
            data = data[:at] + new.ljust(len(old)) + data[end:]
    return data


def printed(header: bytes) -> bytes:
    return b"printf '" + "".join(f"\\{byte:03o}" for byte in header).encode() + b"'"


def short_octal(header: bytes) -> bytes:
    r"""A statement with escapes as short as they can be: from \0 to \377."""
    return b"printf '" + "".join(f"\\{byte:o}" for byte in header).encode() + b"'"


@dataclass(frozen=True)
class Row:
    """A file, its target platform, and the result: its first bytes, or a word of the error."""

    data: bytes
    expected: bytes | str
    platform: str = "linux-amd64"
    name: str = "program.com"


SYSV = ELF[:7] + b"\0" + ELF[8:]
OPERANDS = b'skip="     640" count="      57"'

ROWS: dict[str, Row] = {
    "magic MZqFpD": Row(genuine(), SYSV),
    "magic jartsr": Row(genuine(magic=b"jartsr='"), SYSV),
    "magic APEDBG": Row(genuine(magic=b"APEDBG='"), SYSV),
    "no newline behind the magic": Row(genuine((b"MZqFpD='\n\n", b"MZqFpD='xx")), SYSV),
    "NUL in the first line": Row(genuine((b"MZqFpD='\n\n", b"MZqFpD='\0\0")), SYSV),
    "no printf for the machine": Row(genuine(), "no program for aarch64", "linux-arm64"),
    "printf behind byte 8192": Row(foreign_ape(exit_program(), padding=8192), "no program for x86_64"),
    "truncated octal": Row(genuine((printed(ELF), printed(ELF)[:-7] + b"'")), "no program for x86_64"),
    r"\n-style escape": Row(
        genuine((printed(ELF), printed(ELF).replace(rb"\002\001\001", rb"\002\001\a  "))), "no program for x86_64"
    ),
    "1-, 2- and 3-digit octal": Row(genuine((printed(ELF), short_octal(ELF))), SYSV),
    "letters for bytes": Row(genuine((printed(ELF), b"printf '" + encode_octal(ELF).encode() + b"'")), SYSV),
    "several machines": Row(
        genuine((printed(ELF), printed(with_field(ELF, "e_machine", 21)) + b"\n" + printed(ELF))), SYSV
    ),
    "header disagrees with the image: e_phoff": Row(
        genuine((printed(ELF), printed(with_field(ELF, "e_phoff", 1 << 40)))), "e_phoff"
    ),
    "header disagrees with the image: e_entry": Row(
        genuine((printed(ELF), printed(with_field(ELF, "e_entry", 8)))), "e_entry"
    ),
    "header disagrees with the image: e_phnum": Row(
        genuine((printed(ELF), printed(with_field(ELF, "e_phnum", 1)))), "e_entry"
    ),
    "header of another machine's program": Row(
        genuine((printed(ELF), printed(genuine_elf_header(AARCH64)))), "it has: aarch64"
    ),
    "dd arguments": Row(genuine(), MACHO, "macos-amd64"),
    "dd arguments overflow": Row(
        genuine((OPERANDS, b'skip="99999999" count="99999999"')), "copies up to 0x", "macos-amd64"
    ),
    "dd arguments past the end": Row(
        genuine((OPERANDS, b'skip="   99999" count="      57"')), "is it complete", "macos-amd64"
    ),
    "shell metacharacters in the name": Row(genuine(), SYSV, name="$(touch x); 'b\" & *\n.com"),
}  # fmt: skip  # a table


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_prologues(row: Row, tmp_path: Path) -> None:
    path = tmp_path / row.name
    path.write_bytes(row.data)
    target = platform_named(row.platform)

    if isinstance(row.expected, str):
        with pytest.raises(AssimilateError, match=re.escape(row.expected)) as caught:
            assimilate(path, target)
        assert caught.value.path == path
        assert path.read_bytes() == row.data
    else:
        assimilate(path, target)
        assert path.read_bytes()[: len(row.expected)] == row.expected
        restore(path)
        assert path.read_bytes() == row.data
    assert list(tmp_path.iterdir()) == [path]
