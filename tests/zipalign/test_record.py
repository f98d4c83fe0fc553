"""Records that follow from their declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest

from zipalign.cursor import Cursor
from zipalign.errors import ZipFormatError
from zipalign.record import U8, U16, U32, U64, Code, Record, Sized16


@dataclass(frozen=True, slots=True)
class Header(Record):
    NAME: ClassVar = "header"
    MAGIC: ClassVar[Annotated[bytes, Code("4s")]] = b"MAGC"
    PLAIN: ClassVar = 7

    kind: Annotated[int, Code("B3x")]
    name: Sized16
    VERSION: ClassVar[U16] = 2
    size: U64
    comment: Sized16


@dataclass(frozen=True, slots=True)
class Command(Record):
    number: U8


@dataclass(frozen=True, slots=True)
class Jump(Command):
    target: U32


@dataclass(frozen=True, slots=True)
class BigEndian(Record):
    BYTE_ORDER: ClassVar = ">"

    first: U16
    second: U32


HEADER = Header(1, b"abc", 5, b"")
PACKED = b"MAGC\1\0\0\0\3\0\2\0\5\0\0\0\0\0\0\0\0\0abc"


def test_a_record_round_trips() -> None:
    assert HEADER.pack() == PACKED
    cursor = Cursor(PACKED + b"rest")
    assert Header.unpack(cursor) == HEADER
    assert cursor.remaining == 4
    assert (Header.SIZE, HEADER.packed_size, len(PACKED)) == (22, 25, 25)


def test_offsets() -> None:
    assert Header.OFFSETS == {"MAGIC": 0, "kind": 4, "name": 8, "VERSION": 10, "size": 12, "comment": 20}


@pytest.mark.parametrize(("at", "field", "offset"), [(0, "header.magic", 100), (10, "header.version", 110)])
def test_a_constant_with_another_value_is_an_error(at: int, field: str, offset: int) -> None:
    with pytest.raises(ZipFormatError, match=r"got .*, expected ") as caught:
        Header.unpack(Cursor(PACKED[:at] + b"x" + PACKED[at + 1 :], 100))
    assert (caught.value.field, caught.value.offset) == (field, offset)


@pytest.mark.parametrize(("size", "field", "offset"), [(21, "header", 0), (24, "header.name", 22)])
def test_a_record_that_is_cut_short_is_an_error(size: int, field: str, offset: int) -> None:
    with pytest.raises(ZipFormatError, match="cut short") as caught:
        Header.unpack(Cursor(PACKED[:size]))
    assert (caught.value.field, caught.value.offset) == (field, offset)


def test_a_subclass_continues_its_parent() -> None:
    assert Jump(1, 2).pack() == b"\1\2\0\0\0"
    assert Jump.unpack(Cursor(b"\1\2\0\0\0")) == Jump(1, 2)
    assert (Command.SIZE, Jump.SIZE, Jump.OFFSETS["target"]) == (1, 5, 1)


def test_big_endian() -> None:
    assert BigEndian(1, 2).pack() == b"\0\1\0\0\0\2"
    assert BigEndian.unpack(Cursor(b"\0\1\0\0\0\2")) == BigEndian(1, 2)
