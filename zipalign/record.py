r"""Binary records: dataclasses whose fields are declared once, with their codes for the struct module.

`pack()`, `unpack()` and the offsets of the fields follow from the declaration, in the order of its lines::

    @dataclass(frozen=True, slots=True)
    class EndRecord(Record):
        NAME: ClassVar = "end"
        SIGNATURE: ClassVar[Annotated[bytes, Code("4s")]] = b"PK\x05\x06"

        disk: U16
        directory_offset: U32
        comment: Sized16

- A field with a `Code` is stored in the record: `U8` to `U64`, or `Annotated[bytes, Code("16s")]`. The code may include
  padding: `Code("B7x")`.
- A class variable with a `Code` is a constant: `pack()` writes it, `unpack()` refuses any other value.
- `Sized16` is a run of bytes behind the fixed part of the record, which stores its size as 16 bits.
- Fields and class variables without a `Code` are not stored.
- A subclass continues the record of its parent.
- Numbers are little-endian unless the class declares `BYTE_ORDER: ClassVar = ">"`.

Records check constants and bounds. Whether the values make sense is for their readers to check.
"""

from __future__ import annotations

import struct
from itertools import compress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zipalign.cursor import Cursor

__all__ = ["U8", "U16", "U32", "U64", "Code", "Record", "Sized16"]


class Code(NamedTuple):
    """How a field is stored: a format of the struct module for one value."""

    format: str
    is_size: bool = False  # the stored value is the size of the field, whose bytes follow the fixed part


U8 = Annotated[int, Code("B")]
U16 = Annotated[int, Code("H")]
U32 = Annotated[int, Code("I")]
U64 = Annotated[int, Code("Q")]
Sized16 = Annotated[bytes, Code("H", is_size=True)]


class _Field(NamedTuple):
    """A stored field."""

    position: int
    name: str
    code: Code
    is_constant: bool


class _Layout:
    """The declaration of a record, in the forms that packing and unpacking need."""

    def __init__(self, record: type[Record], fields: list[_Field]) -> None:
        self.names = [field.name for field in fields]
        constants = [field for field in fields if field.is_constant]
        sized = [field for field in fields if field.code.is_size]
        self.constants = [(field.position, field.name, getattr(record, field.name)) for field in constants]
        self.sized = [(field.position, record.field_name(field.name)) for field in sized]
        self.sized_names = [field.name for field in sized]
        self.is_attribute = [not field.is_constant for field in fields]


class Record:
    """The base of binary records.

    Attributes:
        BYTE_ORDER: `<` or `>`, as in the struct module.
        NAME: the record in error messages.
        STRUCT: the fixed part.
        SIZE: the size of the fixed part in bytes.
        OFFSETS: the offset of each field in the record, in bytes; for a field behind the fixed part, that of its size.
    """

    __slots__ = ()

    BYTE_ORDER: ClassVar = "<"
    NAME: ClassVar = "record"

    if TYPE_CHECKING:  # at run time, get_type_hints() would evaluate these for each subclass
        STRUCT: ClassVar[struct.Struct]
        SIZE: ClassVar[int]
        OFFSETS: ClassVar[dict[str, int]]
        _LAYOUT: ClassVar[_Layout]

        def __init__(self, *values: Any) -> None: ...

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "STRUCT" in cls.__dict__:  # dataclass(slots=True) creates each class a second time
            return
        fields = list(_declared_fields(cls))
        cls.OFFSETS = {}
        formats = cls.BYTE_ORDER
        for field in fields:
            cls.OFFSETS[field.name] = struct.calcsize(formats)
            formats += field.code.format
        cls.STRUCT = struct.Struct(formats)
        cls.SIZE = cls.STRUCT.size
        cls._LAYOUT = _Layout(cls, fields)

    @classmethod
    def field_name(cls, name: str) -> str:
        """Return the name of a field in error messages."""
        return f"{cls.NAME}.{name.lower()}"

    @property
    def packed_size(self) -> int:
        """The size of the record in bytes, that of all its fields."""
        return self.SIZE + sum([len(getattr(self, name)) for name in self._LAYOUT.sized_names])

    def pack(self) -> bytes:
        """Return the bytes of the record."""
        values = [getattr(self, name) for name in self._LAYOUT.names]
        tails = []
        for at, _ in self._LAYOUT.sized:
            tails.append(values[at])
            values[at] = len(values[at])
        return self.STRUCT.pack(*values) + b"".join(tails)

    @classmethod
    def unpack(cls, cursor: Cursor) -> Self:
        """Read a record and step over it.

        Raises:
            Exception: the error of the cursor's package: the record is cut short, or a constant has another value.
        """
        return cls(*cls._take_values(cursor))

    @classmethod
    def _take_values(cls, cursor: Cursor) -> Iterator[Any]:
        """Return the values of the stored fields that are no constants."""
        start = cursor.offset
        values = list(cursor.unpack(cls.STRUCT, cls.NAME))
        layout = cls._LAYOUT
        for at, name, expected in layout.constants:
            if values[at] != expected:
                field = cls.field_name(name)
                reason = f"{field} has the wrong value (got {values[at]!r}, expected {expected!r})"
                raise cursor.error(reason, start + cls.OFFSETS[name], field)
        for at, field in layout.sized:
            values[at] = cursor.take(values[at], field)
        return compress(values, layout.is_attribute)


def _declared_fields(cls: type[Record]) -> Iterator[_Field]:
    position = 0
    for name, hint in get_type_hints(cls, include_extras=True).items():
        is_constant = get_origin(hint) is ClassVar
        declared = get_args(hint)[0] if is_constant else hint
        for code in getattr(declared, "__metadata__", ()):
            if isinstance(code, Code):
                yield _Field(position, name, code, is_constant)
                position += 1
