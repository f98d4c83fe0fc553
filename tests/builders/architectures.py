"""GGUF files of every architecture of the portable runtime, with reproducible random weights.

Rows are multiples of 256 numbers, for every type of quantisation. Weights are large enough that each part of the model
changes the scores, which are a few units apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Value = float | str | list[bool] | list[int]

__all__ = ["GEMMA3", "LLAMA", "MODELS", "QWEN2", "QWEN3", "VOCABULARY", "Model"]

# Words of ASCII, so that each is text by itself: a server holds back half a character, and the scores with it.
_CONTROL = ("<unk>", "<s>", "</s>")
_WORDS = [first + second for first in "bcdfghjklmnpqrstvwxz" for second in "aeiouyAEIOUY"]
VOCABULARY = len(_CONTROL) + len(_WORDS)


@dataclass(frozen=True, slots=True)
class Model:
    """A model of one of the architectures; `pairs` has the other metadata, without the name of the architecture."""

    architecture: str
    embedding: int = 256
    layers: int = 2
    feed_forward: int = 512
    heads: int = 4
    kv_heads: int = 2
    head: int = 64
    context: int = 1024
    tied: bool = False  # the embeddings serve as the output matrix
    biases: tuple[str, ...] = ()  # of the linear functions with these names, in each layer
    head_norms: bool = False
    post_norms: bool = False
    rope_factors: bool = False
    pairs: Mapping[str, Value | None] = field(default_factory=dict)  # None: the key is left out
    shapes: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)  # of other tensors; None: left out
    seed: int = 3

    def smaller(self) -> Model:
        """Return the model with fewer weights, too few for most types of quantisation."""
        return replace(self, embedding=64, feed_forward=96, head=16)

    def write(self, path: Path) -> Path:
        """Write the model to PATH, in 32-bit numbers, and return it."""
        writer = gguf.GGUFWriter(path, self.architecture)
        for key, value in {**self._parameters(), **self.pairs}.items():
            if value is not None:
                _add(writer, key if key.startswith("split.") else f"{self.architecture}.{key}", value)
        self._add_vocabulary(writer)
        other = {name: None if shape is None else np.zeros(shape, np.float32) for name, shape in self.shapes.items()}
        for name, tensor in {**self.tensors(), **other}.items():
            if tensor is not None:
                writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _parameters(self) -> dict[str, Value | None]:
        return {
            "context_length": self.context,
            "embedding_length": self.embedding,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head,
            "attention.value_length": self.head,
            "attention.layer_norm_rms_epsilon": 1e-6,
        }

    def _add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        tokens = [*_CONTROL, *_WORDS]
        types = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.NORMAL] * len(_WORDS)]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(index) for index in range(len(tokens))])
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the weights."""
        made = _Tensors(np.random.default_rng(self.seed), self.biases)
        made.add_linear("token_embd", VOCABULARY, self.embedding, 1.0 if self.tied else self.embedding**0.5)
        if self.rope_factors:
            made["rope_freqs.weight"] = np.linspace(1, 8, self.head // 2, dtype=np.float32)
        for layer in range(self.layers):
            self._add_layer(made, f"blk.{layer}")
        made.add_norm("output_norm", self.embedding, 2.0 if self.tied else 1.0)
        if not self.tied:
            made.add_linear("output", VOCABULARY, self.embedding, 2.0)
        return made

    def _add_layer(self, made: _Tensors, block: str) -> None:
        made.add_norm(f"{block}.attn_norm", self.embedding)
        made.add_linear(f"{block}.attn_q", self.heads * self.head, self.embedding, 1.5)
        made.add_linear(f"{block}.attn_k", self.kv_heads * self.head, self.embedding, 1.5)
        made.add_linear(f"{block}.attn_v", self.kv_heads * self.head, self.embedding)
        made.add_linear(f"{block}.attn_output", self.embedding, self.heads * self.head)
        made.add_norm(f"{block}.ffn_norm", self.embedding)
        made.add_linear(f"{block}.ffn_gate", self.feed_forward, self.embedding)
        made.add_linear(f"{block}.ffn_up", self.feed_forward, self.embedding)
        made.add_linear(f"{block}.ffn_down", self.embedding, self.feed_forward)
        if self.head_norms:
            made.add_norm(f"{block}.attn_q_norm", self.head, 1.5)
            made.add_norm(f"{block}.attn_k_norm", self.head)
        if self.post_norms:
            made.add_norm(f"{block}.post_attention_norm", self.embedding)
            made.add_norm(f"{block}.post_ffw_norm", self.embedding)


def _add(writer: gguf.GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_float32(key, value)


class _Tensors(dict[str, np.ndarray]):
    """Tensors by name, made one after the other."""

    def __init__(self, random: np.random.Generator, biases: tuple[str, ...]) -> None:
        self._random = random
        self._biases = biases

    def add_linear(self, name: str, outputs: int, inputs: int, scale: float = 1.0) -> None:
        """Add a matrix that turns numbers of size one into OUTPUTS numbers of size SCALE."""
        weight = self._random.standard_normal((outputs, inputs), dtype=np.float32)
        self[f"{name}.weight"] = weight * np.float32(scale / inputs**0.5)
        if name.rpartition(".")[2] in self._biases:
            self[f"{name}.bias"] = self._random.standard_normal(outputs, dtype=np.float32) * np.float32(0.3)

    def add_norm(self, name: str, size: int, scale: float = 1.0) -> None:
        """Add weights around SCALE."""
        spread = self._random.standard_normal(size, dtype=np.float32) * np.float32(0.3)
        self[f"{name}.weight"] = (1 + spread) * np.float32(scale)


LLAMA = Model("llama", rope_factors=True, pairs={"rope.freq_base": 500000.0, "rope.dimension_count": 64})
QWEN2 = Model(
    "qwen2",
    biases=("attn_q", "attn_k", "attn_v"),
    pairs={
        "rope.freq_base": 1000000.0,
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 128,
    },
)
QWEN3 = Model("qwen3", head=128, tied=True, head_norms=True, pairs={"rope.freq_base": 1000000.0})
GEMMA3 = Model(
    "gemma3",
    layers=3,
    heads=2,
    kv_heads=1,
    head=256,
    tied=True,
    head_norms=True,
    post_norms=True,
    pairs={
        "rope.freq_base": 1000000.0,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": 8.0,
        "attention.sliding_window": 40,
        "attention.sliding_window_pattern": 2,
        "final_logit_softcapping": 15.0,
    },
)
MODELS = {model.architecture: model for model in (LLAMA, QWEN2, QWEN3, GEMMA3)}
