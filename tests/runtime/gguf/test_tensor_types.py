"""What we know of the types of tensors is what the engine's source says, at the version that is built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from runtime.builder.engine import engine_source
from runtime.gguf.tensor_types import TENSOR_TYPES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def source() -> Path:
    return engine_source()


def test_numbers_of_tensor_types(source: Path) -> None:
    header = (source / "ggml" / "include" / "ggml.h").read_text()
    listed = re.findall(r"^ +GGML_TYPE_(\w+) += (\d+),", header, re.MULTILINE)
    assert {int(number): name for name, number in listed if name != "COUNT"} == {
        number: kind.name for number, kind in TENSOR_TYPES.items()
    }


def test_block_elements(source: Path) -> None:
    macros = (source / "ggml" / "src" / "ggml-common.h").read_text()
    sizes = {name: int(size) for name, size in re.findall(r"^#define (QK\w+) (\d+)$", macros, re.MULTILINE)}
    traits = (source / "ggml" / "src" / "ggml.c").read_text()
    listed = re.findall(r"^ +\[GGML_TYPE_(\w+)\] = \{[^}]*?\.blck_size += (\w+),", traits, re.MULTILINE)
    ours = {kind.name: kind.block_elements for kind in TENSOR_TYPES.values()}
    assert {name: sizes.get(size) or int(size) for name, size in listed if name in ours} == ours


def test_block_sizes() -> None:
    """Those of the gguf package, but for what it does not know or has wrong: two halves are four bytes."""
    theirs = {number: GGML_QUANT_SIZES[GGMLQuantizationType(number)] for number in map(int, GGMLQuantizationType)}
    ours = {number: (kind.block_elements, kind.block_size) for number, kind in TENSOR_TYPES.items()}
    differing = {number for number in ours.keys() | theirs.keys() if ours.get(number) != theirs.get(number)}
    assert {TENSOR_TYPES[number].name for number in differing} == {"Q8_1", "Q2_0"}
