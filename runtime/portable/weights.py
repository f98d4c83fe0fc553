"""The weights of a model, mapped from the file and dequantised on use.

A quantised tensor is stored in blocks, each with a scale; the gguf package dequantises every type of block. It makes
several copies, so it gets a slice of rows at a time: small enough for the processor's cache, and the only memory beside
the mapped file.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from gguf import GGMLQuantizationType, quants

from runtime.errors import ModelError
from runtime.gguf.header import GgufHeader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runtime.gguf.header import Tensor

__all__ = ["TYPES", "Floats", "Weights"]

Floats: TypeAlias = "NDArray[np.float32]"

# The ranges of numbers of several bytes in a block. They are little-endian in the file; the gguf package reads them in
# the byte order of the machine.
_MULTIBYTE_FIELDS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "F16": ((0, 2),),
    "BF16": ((0, 2),),
    "Q4_0": ((0, 2),),
    "Q4_1": ((0, 2), (2, 4)),
    "Q5_0": ((0, 2), (2, 6)),
    "Q5_1": ((0, 2), (2, 4), (4, 8)),
    "Q8_0": ((0, 2),),
    "Q4_K": ((0, 2), (2, 4)),
    "Q5_K": ((0, 2), (2, 4)),
    "Q6_K": ((208, 210),),
}
TYPES: Final = ("F32", *_MULTIBYTE_FIELDS)
_BLOCK_SIZES: Final = {name: quants.GGML_QUANT_SIZES[GGMLQuantizationType[name]][1] for name in _MULTIBYTE_FIELDS}

_SLICE_ELEMENTS: Final = 1 << 18


class Weights:
    """The tensors of a model by name; shapes are in the order of numpy, rows first.

    Args:
        data: the GGUF file, usually a memory map.
        cache: whether dequantised matrices stay in memory.
    """

    def __init__(self, data: memoryview, *, cache: bool = False) -> None:
        self.header = GgufHeader.unpack(data)
        if self.header.file_end > len(data):
            raise ModelError(f"the weights are incomplete: {len(data)} bytes (expected {self.header.file_end})")
        self._data = data
        self._tensors = {tensor.name: tensor for tensor in self.header.tensors}
        self._cached: dict[str, Floats] | None = {} if cache else None

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> frozenset[str]:
        """The names of all tensors."""
        return frozenset(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the tensor's shape."""
        return self._tensors[name].dimensions[::-1]

    def check_type(self, name: str) -> None:
        """Check that the tensor can be dequantised.

        Raises:
            ModelError: its type is not in TYPES.
        """
        tensor = self._tensors[name]
        if tensor.type not in TYPES:
            known = ", ".join(TYPES)
            raise ModelError(f"tensor {name!r} is of type {tensor.type}; the portable runtime knows {known}")

    def vector(self, name: str) -> Floats:
        """Return a tensor of one dimension."""
        tensor = self._tensors[name]
        return self._floats(tensor) if tensor.type == "F32" else self._dequantised(tensor, slice(None))

    def matrix(self, name: str) -> Floats:
        """Return the matrix: a view of the file for 32-bit numbers, else a dequantised copy."""
        tensor = self._tensors[name]
        if tensor.type == "F32":
            return self._floats(tensor)
        if self._cached is not None and name in self._cached:
            return self._cached[name]
        matrix = np.empty(self.shape(name), np.float32)
        for rows in self._slices(tensor):
            matrix[rows] = self._dequantised(tensor, rows)
        if self._cached is not None:
            self._cached[name] = matrix
        return matrix

    def rows(self, name: str, numbers: Sequence[int]) -> Floats:
        """Return the rows with these NUMBERS; only these are dequantised."""
        tensor = self._tensors[name]
        if tensor.type == "F32":
            return self._floats(tensor)[list(numbers)]
        return self._dequantised(tensor, list(numbers))

    def project(self, name: str, inputs: Floats) -> Floats:
        """Multiply each of the INPUTS by the matrix: (tokens, inputs) in, (tokens, outputs) out."""
        tensor = self._tensors[name]
        if tensor.type == "F32" or self._cached is not None:
            return inputs @ self.matrix(name).T
        outputs = np.empty((len(inputs), self.shape(name)[0]), np.float32)
        for rows in self._slices(tensor):
            outputs[:, rows] = inputs @ self._dequantised(tensor, rows).T
        return outputs

    def _slices(self, tensor: Tensor) -> list[slice]:
        columns, rows = tensor.dimensions
        step = max(1, _SLICE_ELEMENTS // max(1, columns))
        return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

    def _floats(self, tensor: Tensor) -> Floats:
        start = self.header.data_offset + tensor.offset
        stored = np.frombuffer(self._data, "<f4", math.prod(tensor.dimensions), start)
        return stored.reshape(tensor.dimensions[::-1]).astype(np.float32, copy=False)

    def _dequantised(self, tensor: Tensor, rows: slice | list[int]) -> Floats:
        start = self.header.data_offset + tensor.offset
        stored = np.frombuffer(self._data, np.uint8, tensor.size, start)
        stored = stored.reshape(*tensor.dimensions[:0:-1], -1)[rows]
        if sys.byteorder == "big":
            stored = _byte_swapped(stored, tensor.type)
        numbers: Floats = quants.dequantize(stored, GGMLQuantizationType[tensor.type])
        return numbers


def _byte_swapped(stored: NDArray[np.uint8], type_: str) -> NDArray[np.uint8]:
    """Return the blocks with the byte order of their numbers reversed."""
    blocks = stored.reshape(-1, _BLOCK_SIZES[type_]).copy()
    for start, end in _MULTIBYTE_FIELDS[type_]:
        blocks[:, start:end] = blocks[:, start:end][:, ::-1].copy()
    return blocks.reshape(stored.shape)
