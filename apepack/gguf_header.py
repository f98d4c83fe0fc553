"""The header of a GGUF file: its metadata, and where its tensors lie. Tensors themselves are not read.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What the engine's own reader refuses
(ggml/src/gguf.cpp) is refused here, before it is packed. Every count is checked against the bytes that are there before
anything is done that often, and arrays, such as vocabularies, are stepped over: time and memory stay small whatever the
file says.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Self

from apepack.errors import GgufFormatError
from apepack.tensor_types import TENSOR_TYPES
from zipalign.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAGIC", "GgufHeader", "Tensor"]

MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_ALIGNMENT_KEY: Final = "general.alignment"
_ALIGNMENT_DEFAULT: Final = 32

_PAIR_SIZE_MIN: Final = 8 + 1 + 4 + 1  # key, type, value
_TENSOR_SIZE_MIN: Final = 8 + 4 + 4 + 8  # name, dimensions, type, offset
_TEXT_SIZE_MIN: Final = 8
# Far beyond any model; what they prevent is an afternoon spent on a file made to take that long.
_PAIRS_MAX: Final = 1 << 12
_TENSORS_MAX: Final = 1 << 16
_TEXTS_MAX: Final = 1 << 22  # in all arrays together; the largest vocabularies have a quarter of a million

_KEY_SIZE_MAX: Final = 65535
_TENSOR_NAME_SIZE_MAX: Final = 63
_DIMENSIONS_MAX: Final = 4
_ELEMENTS_MAX: Final = (1 << 63) - 1
_TEXT_KEPT_MAX: Final = 1024  # longer ones, such as chat templates, are stepped over


class _Scalar(NamedTuple):
    """A type of value that has a fixed size."""

    name: str
    layout: struct.Struct


_SCALARS: Final = {
    number: _Scalar(name, struct.Struct(f"<{code}"))
    for number, name, code in (
        (0, "u8", "B"), (1, "i8", "b"), (2, "u16", "H"), (3, "i16", "h"), (4, "u32", "I"), (5, "i32", "i"),
        (6, "f32", "f"), (7, "bool", "?"), (10, "u64", "Q"), (11, "i64", "q"), (12, "f64", "d"),
    )
}  # fmt: skip  # six to a line
_U32: Final = 4
_TEXT: Final = 8
_ARRAY: Final = 9


@dataclass(frozen=True, slots=True)
class Tensor:
    """What the header says of a tensor."""

    name: str
    type: str
    dimensions: tuple[int, ...]
    offset: int  # from the start of the data
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything before the data."""

    version: int
    metadata: Mapping[str, int | float | str]  # without arrays and long texts
    alignment: int
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def file_end(self) -> int:
        """Where the last tensor ends in the file."""
        return max((self.data_offset + tensor.offset + tensor.size for tensor in self.tensors), default=0)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Read the header at the start of DATA, which need not go on to the end of the tensors.

        Raises:
            GgufFormatError: it is cut off, or says something that the engine refuses.
        """
        cursor = Cursor(data, damaged=_damaged)
        magic = cursor.take(4, "magic")
        if magic != MAGIC:
            _refuse(f"got {magic!r}, expected {MAGIC!r}", "magic", 0)
        version = _version(cursor)
        tensor_count = _count(cursor, "tensor_count", _TENSOR_SIZE_MIN, _TENSORS_MAX)
        pair_count = _count(cursor, "metadata_kv_count", _PAIR_SIZE_MIN, _PAIRS_MAX)
        metadata, types = _pairs(cursor, pair_count)
        alignment = _alignment(metadata, types, cursor.offset)
        tensors = _tensors(cursor, tensor_count, alignment)
        data_offset = -(-cursor.offset // alignment) * alignment if tensors else cursor.offset
        return cls(version, metadata, alignment, tensors, data_offset)


def _damaged(reason: str, offset: int, field: str) -> GgufFormatError:
    return GgufFormatError(reason, offset=offset, field=field)


def _refuse(reason: str, field: str, offset: int) -> NoReturn:
    raise GgufFormatError(f"{field}: {reason}", offset=offset, field=field)


def _version(cursor: Cursor) -> int:
    at = cursor.offset
    version = cursor.u32("version")
    if version & 0xFFFF == 0 and version:
        _refuse("the file is big-endian, and every platform here is little-endian", "version", at)
    if version not in _VERSIONS:
        _refuse(f"got {version}, expected one of {', '.join(map(str, _VERSIONS))}", "version", at)
    return version


def _count(cursor: Cursor, field: str, size_min: int, most: int) -> int:
    """Read how many there are of something that takes SIZE_MIN bytes at least."""
    at = cursor.offset
    count = cursor.u64(field)
    possible = min(most, cursor.remaining // size_min)
    if count > possible:
        _refuse(f"got {count}, at most {possible} are possible", field, at)
    return count


def _skip(cursor: Cursor, size: int, field: str) -> None:
    if size > cursor.remaining:
        _refuse(f"cut short (got {cursor.remaining} bytes, expected {size})", field, cursor.offset)
    cursor.position += size


def _name(cursor: Cursor, field: str, size_max: int) -> str:
    at = cursor.offset
    size = cursor.u64(field)
    if size > size_max:
        _refuse(f"got {size} bytes, at most {size_max} are possible", field, at)
    return cursor.take(size, field).decode(errors="backslashreplace")


def _pairs(cursor: Cursor, count: int) -> tuple[dict[str, int | float | str], dict[str, int]]:
    """Return the metadata worth keeping, and the types of all."""
    metadata: dict[str, int | float | str] = {}
    types: dict[str, int] = {}
    texts_left = _TEXTS_MAX
    for _ in range(count):
        at = cursor.offset
        key = _name(cursor, "key", _KEY_SIZE_MAX)
        if not key or key in types:
            _refuse("a second time" if key else "got an empty one", f"key {key!r}", at)
        types[key] = cursor.u32(key)
        if types[key] == _ARRAY:
            texts_left -= _skip_array(cursor, key, texts_left)
        elif types[key] == _TEXT:
            size = cursor.u64(key)
            if size > _TEXT_KEPT_MAX:
                _skip(cursor, size, key)
            else:
                metadata[key] = cursor.take(size, key).decode(errors="backslashreplace")
        else:
            metadata[key] = cursor.unpack(_scalar(types[key], key, at).layout, key)[0]
    return metadata, types


def _scalar(number: int, key: str, at: int) -> _Scalar:
    if number not in _SCALARS:
        _refuse(f"a value of type {number}, which does not exist", key, at)
    return _SCALARS[number]


def _skip_array(cursor: Cursor, key: str, texts_max: int) -> int:
    """Step over an array, and return how many texts there were in it."""
    at = cursor.offset
    element = cursor.u32(key)
    if element == _ARRAY:
        _refuse("an array of arrays, which the engine does not read", key, at)
    if element != _TEXT:
        size = _scalar(element, key, at).layout.size
        _skip(cursor, _count(cursor, key, size, cursor.remaining) * size, key)
        return 0
    count = _count(cursor, key, _TEXT_SIZE_MIN, texts_max)
    for _ in range(count):
        _skip(cursor, cursor.u64(key), key)
    return count


def _alignment(metadata: Mapping[str, int | float | str], types: Mapping[str, int], at: int) -> int:
    if _ALIGNMENT_KEY not in types:
        return _ALIGNMENT_DEFAULT
    alignment = metadata.get(_ALIGNMENT_KEY)
    if types[_ALIGNMENT_KEY] != _U32 or not isinstance(alignment, int):
        _refuse("not a 32-bit number", _ALIGNMENT_KEY, at)
    if alignment == 0 or alignment & (alignment - 1):
        _refuse(f"got {alignment}, expected a power of two", _ALIGNMENT_KEY, at)
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[Tensor, ...]:
    """Read the table of tensors, whose data must follow each other with no more between than alignment takes."""
    tensors: list[Tensor] = []
    seen: set[str] = set()
    end = 0
    for _ in range(count):
        at = cursor.offset
        tensor = _tensor(cursor, at)
        field = f"tensor {tensor.name!r}"
        if tensor.name in seen:
            _refuse("a second time", field, at)
        if tensor.offset != end:
            _refuse(f"its data is at {tensor.offset:#x} of the tensors' (expected {end:#x})", field, at)
        seen.add(tensor.name)
        tensors.append(tensor)
        end += -(-tensor.size // alignment) * alignment
    return tuple(tensors)


def _tensor(cursor: Cursor, at: int) -> Tensor:
    name = _name(cursor, "tensor name", _TENSOR_NAME_SIZE_MAX)
    field = f"tensor {name!r}"
    dimension_count = cursor.u32(field)
    if dimension_count > _DIMENSIONS_MAX:
        _refuse(f"got {dimension_count} dimensions, at most {_DIMENSIONS_MAX} are possible", field, at)
    dimensions = tuple(cursor.u64(field) for _ in range(dimension_count))
    elements = math.prod(dimensions)
    if elements > _ELEMENTS_MAX or max(dimensions, default=0) > _ELEMENTS_MAX:
        _refuse(f"got {elements} elements, more than can be counted", field, at)
    number = cursor.u32(field)
    if number not in TENSOR_TYPES:
        _refuse(f"data of type {number}, which the engine does not know", field, at)
    kind = TENSOR_TYPES[number]
    row = dimensions[0] if dimensions else 1
    if row % kind.block_elements:
        _refuse(f"rows of {row} elements, expected a multiple of {kind.block_elements}", field, at)
    size = elements // kind.block_elements * kind.block_size
    return Tensor(name, kind.name, dimensions, cursor.u64(field), size)
