"""The sizes of the tensor types' blocks; tests/test_engine_tables.py compares the table with the engine's source."""

from __future__ import annotations

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from runtime.gguf.tensor_types import TENSOR_TYPES


def test_block_sizes() -> None:
    """Those of the gguf package, except those that it lacks or has wrong: two halves are four bytes."""
    theirs = {number: GGML_QUANT_SIZES[GGMLQuantizationType(number)] for number in map(int, GGMLQuantizationType)}
    ours = {number: (kind.block_elements, kind.block_size) for number, kind in TENSOR_TYPES.items()}
    differing = {number for number in ours.keys() | theirs.keys() if ours.get(number) != theirs.get(number)}
    assert {TENSOR_TYPES[number].name for number in differing} == {"Q8_1", "Q2_0"}
