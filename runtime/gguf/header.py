"""The header of a GGUF file: its metadata, and the table of its tensors. Tensor data is not read.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files that the engine's reader refuses
(ggml/src/gguf.cpp) are refused here, before packing. Every count is checked against the available bytes before it is
used as one. Arrays, such as vocabularies, and long texts, such as chat templates, are skipped and decoded on request,
so that time and memory are bounded for any file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, Self

from runtime.errors import GgufFormatError
from runtime.gguf.array import SCALARS, TEXT, GgufArray, Scalar
from runtime.gguf.tensor_types import TENSOR_TYPES
from zipalign.alignment import align_up, is_power_of_two
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
# Far beyond any model; they bound the time for malicious files.
_PAIRS_MAX: Final = 1 << 12
_TENSORS_MAX: Final = 1 << 16
_TEXTS_MAX: Final = 1 << 22  # in all arrays together; the largest vocabularies have 250,000

_KEY_SIZE_MAX: Final = 65535
_KEY_SHOWN_MAX: Final = 80
_TENSOR_NAME_SIZE_MAX: Final = 63
_DIMENSIONS_MAX: Final = 4
_ELEMENTS_MAX: Final = (1 << 63) - 1
_TEXT_KEPT_MAX: Final = 1024
_TEXT_DECODED_MAX: Final = 1 << 24

_U32: Final = 4
_TEXT: Final = 8
_ARRAY: Final = 9


@dataclass(frozen=True, slots=True)
class Tensor:
    """The entry of a tensor in the header."""

    name: str
    type: str
    dimensions: tuple[int, ...]
    offset: int  # from the start of the data
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The part of the file before the tensor data."""

    version: int
    metadata: Mapping[str, int | float | str]  # without arrays and long texts
    arrays: Mapping[str, GgufArray]
    long_texts: Mapping[str, memoryview]  # of UTF-8
    alignment: int
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def file_end(self) -> int:
        """The end of the last tensor in the file."""
        return max((self.data_offset + tensor.offset + tensor.size for tensor in self.tensors), default=0)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Self:
        """Read the header at the start of DATA, which may be without tensor data.

        Raises:
            GgufFormatError: it is cut off, or has content that the engine refuses.
        """
        cursor = Cursor(data, damaged=_damaged)
        magic = cursor.take(4, "magic")
        if magic != MAGIC:
            _refuse(f"got {magic!r}, expected {MAGIC!r}", "magic", 0)
        version = _version(cursor)
        tensor_count = _count(cursor, "tensor_count", _TENSOR_SIZE_MIN, _TENSORS_MAX)
        pair_count = _count(cursor, "metadata_kv_count", _PAIR_SIZE_MIN, _PAIRS_MAX)
        pairs = _Pairs.unpack(cursor, pair_count, memoryview(data))
        alignment = _alignment(pairs.scalars, pairs.types, cursor.offset)
        tensors = _tensors(cursor, tensor_count, alignment)
        data_offset = align_up(cursor.offset, alignment) if tensors else cursor.offset
        return cls(version, pairs.scalars, pairs.arrays, pairs.long_texts, alignment, tensors, data_offset)

    def text(self, key: str) -> str | None:
        """Return the text KEY of any length, or None if there is none.

        Raises:
            GgufFormatError: it is longer than 16 MiB.
        """
        if key not in self.long_texts:
            value = self.metadata.get(key)
            return value if isinstance(value, str) else None
        data = self.long_texts[key]
        if len(data) > _TEXT_DECODED_MAX:
            reason = f"{key}: a text of {len(data)} bytes (expected {_TEXT_DECODED_MAX} at most)"
            raise GgufFormatError(reason, offset=self.data_offset, field=key)
        return bytes(data).decode(errors="backslashreplace")


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
    """Read the count of elements that take SIZE_MIN bytes at least."""
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


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The metadata by kind of value, and the types of all values."""

    scalars: dict[str, int | float | str] = field(default_factory=dict)
    arrays: dict[str, GgufArray] = field(default_factory=dict)
    long_texts: dict[str, memoryview] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    @classmethod
    def unpack(cls, cursor: Cursor, count: int, data: memoryview) -> Self:
        pairs = cls()
        texts_left = _TEXTS_MAX
        for _ in range(count):
            at = cursor.offset
            key = _name(cursor, "key", _KEY_SIZE_MAX)
            if not key or key in pairs.types:
                _refuse("a second time" if key else "got an empty one", f"key {_shorten(key)!r}", at)
            field = _shorten(key)
            pairs.types[key] = cursor.u32(field)
            if pairs.types[key] == _ARRAY:
                pairs.arrays[key] = found = _array(cursor, field, texts_left, data)
                texts_left -= found.count * (found.element == TEXT)
            elif pairs.types[key] == _TEXT:
                pairs.unpack_text(cursor, key, data)
            else:
                pairs.scalars[key] = cursor.unpack(_scalar(pairs.types[key], field, at).layout, field)[0]
        return pairs

    def unpack_text(self, cursor: Cursor, key: str, data: memoryview) -> None:
        field = _shorten(key)
        size = cursor.u64(field)
        if size > _TEXT_KEPT_MAX:
            start = cursor.position
            _skip(cursor, size, field)
            self.long_texts[key] = data[start : cursor.position]
        else:
            self.scalars[key] = cursor.take(size, field).decode(errors="backslashreplace")


def _shorten(key: str) -> str:
    """Return KEY as messages show it: a damaged file may have keys of 64 KiB."""
    return key if len(key) <= _KEY_SHOWN_MAX else f"{key[: _KEY_SHOWN_MAX - 3]}..."


def _scalar(number: int, key: str, at: int) -> Scalar:
    if number not in SCALARS:
        _refuse(f"a value of type {number}, which does not exist", key, at)
    return SCALARS[number]


def _array(cursor: Cursor, key: str, texts_max: int, data: memoryview) -> GgufArray:
    """Skip an array, which checks that it is complete."""
    at = cursor.offset
    element = cursor.u32(key)
    if element == _ARRAY:
        _refuse("an array of arrays, which the engine does not read", key, at)
    if element == _TEXT:
        count = _count(cursor, key, _TEXT_SIZE_MIN, texts_max)
        start = cursor.position
        for _ in range(count):
            _skip(cursor, cursor.u64(key), key)
        return GgufArray(key, TEXT, count, start, data[start : cursor.position])
    scalar = _scalar(element, key, at)
    count = _count(cursor, key, scalar.layout.size, cursor.remaining)
    start = cursor.position
    _skip(cursor, count * scalar.layout.size, key)
    return GgufArray(key, scalar.name, count, start, data[start : cursor.position])


def _alignment(metadata: Mapping[str, int | float | str], types: Mapping[str, int], at: int) -> int:
    if _ALIGNMENT_KEY not in types:
        return _ALIGNMENT_DEFAULT
    alignment = metadata.get(_ALIGNMENT_KEY)
    if types[_ALIGNMENT_KEY] != _U32 or not isinstance(alignment, int):
        _refuse("not a 32-bit number", _ALIGNMENT_KEY, at)
    if not is_power_of_two(alignment):
        _refuse(f"got {alignment}, expected a power of two", _ALIGNMENT_KEY, at)
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[Tensor, ...]:
    """Read the table of tensors, whose data must be contiguous except for alignment."""
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
        end += align_up(tensor.size, alignment)
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
