"""Weights of each type, and the memory that they take."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from runtime.errors import ModelError
from runtime.gguf.tensor_types import TENSOR_TYPES
from runtime.portable.weights import _BLOCK_SIZES, _MULTIBYTE_FIELDS, TYPES, Weights, _byte_swapped
from tests.builders.gguf import Gguf, Info, Pair, number, text

ROWS, COLUMNS = 2100, 256  # more than one slice
NUMBERS = {kind.name: (number_, kind) for number_, kind in TENSOR_TYPES.items()}


def stored_of(type_: str) -> np.ndarray:
    """Random blocks whose scales are small numbers."""
    random = np.random.default_rng(4)
    if type_ == "F32":
        return random.standard_normal((ROWS, COLUMNS), dtype=np.float32).view(np.uint8)
    kind = NUMBERS[type_][1]
    blocks = random.integers(0, 256, (ROWS * COLUMNS // kind.block_elements, kind.block_size), dtype=np.uint8)
    for start, end in _MULTIBYTE_FIELDS[type_]:
        if end - start == 2:
            blocks[:, end - 1] = 0x3F if type_ == "BF16" else 0x2A
    return blocks.reshape(ROWS, -1)


@pytest.mark.parametrize("matrices", ["used", "kept"])
@pytest.mark.parametrize("type_", TYPES)
def test_a_matrix_of_each_type(type_: str, matrices: str) -> None:
    """The whole matrix, some rows, and products, from an unaligned address."""
    stored = stored_of(type_)
    file = Gguf(tensors=[Info(dimensions=(COLUMNS, ROWS), type=NUMBERS[type_][0])])
    weights = Weights(memoryview(b"x" + file.pack_header() + stored.tobytes())[1:], cache=matrices == "kept")
    expected = quants.dequantize(stored, GGMLQuantizationType[type_])
    inputs = np.random.default_rng(5).standard_normal((3, COLUMNS), dtype=np.float32)
    np.testing.assert_array_equal(weights.matrix("t"), expected)
    assert weights.matrix("t").dtype == np.float32
    np.testing.assert_array_equal(weights.rows("t", [2099, 7, 7]), expected[[2099, 7, 7]])
    product = inputs @ expected.T
    np.testing.assert_allclose(weights.project("t", inputs), product, atol=float(np.abs(product).max()) * 1e-5)
    assert (weights.matrix("t") is weights.matrix("t")) == (matrices == "kept" and type_ != "F32")


@pytest.mark.parametrize("type_", _MULTIBYTE_FIELDS)
def test_bytes_are_turned_around_for_machines_that_want_it(type_: str) -> None:
    """Each number of several bytes, where it stands, and nothing else, which is to say: as its type lays blocks out."""
    layout = {"F16": "h", "BF16": "h", "Q4_0": "h16s", "Q4_1": "hh16s", "Q5_0": "hi16s", "Q5_1": "hhi16s"}
    layout |= {"Q8_0": "h32s", "Q4_K": "hh140s", "Q5_K": "hh172s", "Q6_K": "208sh"}
    assert struct.calcsize(f"<{layout[type_]}") == _BLOCK_SIZES[type_]
    turned = _byte_swapped(stored_of(type_), type_)
    there, back = (
        struct.iter_unpack(f"{order}{layout[type_]}", blocks.tobytes())
        for order, blocks in (("<", stored_of(type_)), (">", turned))
    )
    assert list(there) == list(back)


def test_weights_that_end_early() -> None:
    file = Gguf(tensors=[Info(dimensions=(4, 4))])
    with pytest.raises(ModelError, match=r"the weights are incomplete: 191 bytes \(expected 192\)"):
        Weights(memoryview(file.pack_header() + bytes(63)))


LAYERS, EMBEDDING, FEED_FORWARD, VOCABULARY = 3, 1024, 4096, 64000
MATRICES = {f"attn_{part}": (EMBEDDING, EMBEDDING) for part in ("q", "k", "v", "output")}
MATRICES |= {f"ffn_{part}": (EMBEDDING, FEED_FORWARD) for part in ("gate", "up")}
MATRICES |= {"ffn_down": (FEED_FORWARD, EMBEDDING)}
ALL_ELEMENTS = LAYERS * sum(columns * rows for columns, rows in MATRICES.values()) + VOCABULARY * EMBEDDING


def large_model(path: Path) -> Path:
    """A model of type llama in Q8_0: all zeros, a hole in a file."""
    infos: list[tuple[str, tuple[int, ...]]] = [("token_embd", (EMBEDDING, VOCABULARY)), ("output_norm", (EMBEDDING,))]
    for layer in range(LAYERS):
        infos += [(f"blk.{layer}.{name}", shape) for name, shape in MATRICES.items()]
        infos += [(f"blk.{layer}.{name}_norm", (EMBEDDING,)) for name in ("attn", "ffn")]
    tensors, end = [], 0
    for name, shape in infos:
        matrix = len(shape) == 2
        tensors.append(Info(f"{name}.weight", shape, NUMBERS["Q8_0" if matrix else "F32"][0], end))
        end += int(np.prod(shape)) // 32 * 34 if matrix else shape[0] * 4
    counts = {"context_length": 512, "embedding_length": EMBEDDING, "block_count": LAYERS, "attention.head_count": 16}
    counts["feed_forward_length"] = FEED_FORWARD
    pairs = [text("general.architecture", "llama"), *(number(f"llama.{key}", value) for key, value in counts.items())]
    pairs.append(Pair(b"llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)))
    return Gguf(pairs, tensors, end).write(path)


MEASURED = """
import mmap, sys
from runtime.portable.transformer import Transformer
from runtime.portable.weights import Weights
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
with open(sys.argv[1], "rb") as file:
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
before = peak()
transformer = Transformer(Weights(data, cache=sys.argv[2] == "kept"), 64)
started = peak() - before
transformer.forward([5] * 16)
transformer.forward([5])
print(started, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("matrices", ["used", "kept"])
def test_memory(tmp_path: Path, matrices: str) -> None:
    """Besides the weights as stored, no more than one matrix in 32-bit numbers; if they are kept, all of them."""
    model = large_model(tmp_path / "model.gguf")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURED, model, matrices],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )
    started, peak = map(int, done.stdout.split())
    stored = ALL_ELEMENTS // 32 * 34
    assert started < 8 << 20
    if matrices == "kept":
        assert peak > ALL_ELEMENTS * 4
    else:
        assert peak < stored + EMBEDDING * FEED_FORWARD * 4
