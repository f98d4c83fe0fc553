"""The demo model within the matrices of a larger one, which writes the same text at a larger model's speed.

Some measurements depend on the text, and a model of random weights writes none. All that is added is zero: rows and
columns of matrices, heads, and parts of the state between layers. The engine computes with it like with anything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gguf
import numpy as np

from benchmarks.models import quantize_file
from runtime.builder.artifacts import demo_model
from runtime.builder.cache import cached, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["widen", "widened_model"]


@dataclass(frozen=True, slots=True)
class _Shape:
    embedding: int
    heads: int
    key_heads: int
    feed_forward: int

    @property
    def head(self) -> int:
        """The width of one head."""
        return self.embedding // self.heads


_OLD: Final = _Shape(576, 9, 3, 1536)
_NEW: Final = _Shape(1024, 16, 4, 4096)
_KEYS: Final = {
    "llama.embedding_length": _NEW.embedding,
    "llama.attention.head_count": _NEW.heads,
    "llama.attention.head_count_kv": _NEW.key_heads,
    "llama.feed_forward_length": _NEW.feed_forward,
}
_EPSILON: Final = "llama.attention.layer_norm_rms_epsilon"
# The names of a matrix's rows and columns.
_EMBEDDING, _HEADS, _KEY_HEADS, _FEED_FORWARD, _WORDS = range(5)
_MATRICES: Final = {
    "token_embd": (_WORDS, _EMBEDDING),
    "attn_q": (_HEADS, _EMBEDDING),
    "attn_k": (_KEY_HEADS, _EMBEDDING),
    "attn_v": (_KEY_HEADS, _EMBEDDING),
    "attn_output": (_EMBEDDING, _HEADS),
    "ffn_gate": (_FEED_FORWARD, _EMBEDDING),
    "ffn_up": (_FEED_FORWARD, _EMBEDDING),
    "ffn_down": (_EMBEDDING, _FEED_FORWARD),
}


def widened_model(quantize: Sequence[str], type_: str) -> tuple[str, Path]:
    """Return the name and the path of the demo model in a width of half a billion weights of TYPE_, which stays cached.

    QUANTIZE starts llamafile-quantize.
    """

    def generate(folder: Path) -> None:
        _write(folder / "F16.gguf")
        quantize_file(quantize, folder / "F16.gguf", folder / f"{type_}.gguf", type_)
        (folder / "F16.gguf").unlink()

    folder = cached("bench-models", digest_of([demo_model().parent.name, repr(_NEW), type_]), generate)
    return f"SmolLM2 widened to 0.5B {type_}", folder / f"{type_}.gguf"


def _write(path: Path) -> None:
    reader = gguf.GGUFReader(demo_model())
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        if name != gguf.Keys.General.ARCHITECTURE and not name.startswith("GGUF."):
            value = _KEYS.get(name, field.contents())
            # The mean of squares is over more numbers, of which as many are not zero.
            value = value * _OLD.embedding / _NEW.embedding if name == _EPSILON else value
            is_array = field.types[0] == gguf.GGUFValueType.ARRAY
            writer.add_key_value(name, value, field.types[0], field.types[-1] if is_array else None)
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, widen(tensor.name, weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def widen(name: str, weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the WEIGHTS of the tensor NAME in the larger shape: a matrix in 16-bit floats, or a norm."""
    if weights.ndim == 1:  # of a norm
        wide = np.zeros(_NEW.embedding, np.float32)
        wide[: _OLD.embedding] = weights * math.sqrt(_OLD.embedding / _NEW.embedding)
        return wide
    rows, columns = (_places(kind, size) for kind, size in zip(_MATRICES[_kind(name)], weights.shape, strict=True))
    matrix = np.zeros((rows[1], columns[1]), np.float16)
    matrix[np.ix_(rows[0], columns[0])] = weights
    return matrix


def _kind(name: str) -> str:
    return name.removesuffix(".weight").rpartition(".")[2]


def _places(kind: int, size: int) -> tuple[np.ndarray[Any, Any], int]:
    """Return where the SIZE old rows or columns of KIND belong, and how many new ones there are."""
    new_size = {
        _EMBEDDING: _NEW.embedding,
        _HEADS: _NEW.embedding,
        _KEY_HEADS: _NEW.key_heads * _NEW.head,
        _FEED_FORWARD: _NEW.feed_forward,
    }.get(kind, size)
    places = np.arange(size)
    if kind == _HEADS:  # those that share a key head stay together, and more of them share one
        shared, new_shared = _OLD.heads // _OLD.key_heads, _NEW.heads // _NEW.key_heads
        heads = places // _OLD.head
        places += (heads // shared * new_shared + heads % shared - heads) * _NEW.head
    return places, new_size
