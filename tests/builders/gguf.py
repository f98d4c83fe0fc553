"""Tiny GGUF models, random but the same every time, that the engine loads in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TinyModel"]

_CONTROL = ("<unk>", "<s>", "</s>")
_LETTERS = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?"


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A llama-type model of a few thousand weights with a vocabulary of bytes and letters."""

    embedding: int = 32
    heads: int = 2
    feed_forward: int = 64
    layers: int = 1
    context: int = 256
    seed: int = 1

    def write(self, path: Path) -> Path:
        """Write the model to PATH and return it."""
        writer = gguf.GGUFWriter(path, "llama")
        self._add_parameters(writer)
        self._add_vocabulary(writer)
        self._add_tensors(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _add_parameters(self, writer: gguf.GGUFWriter) -> None:
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.embedding)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.feed_forward)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.heads)
        writer.add_rope_dimension_count(self.embedding // self.heads)
        writer.add_layer_norm_rms_eps(1e-5)

    def _add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        tokens = [*_CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)), *_LETTERS]
        types = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2]
        types += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(_LETTERS)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(index) for index in range(len(tokens))])
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)

    def _add_tensors(self, writer: gguf.GGUFWriter) -> None:
        random = np.random.default_rng(self.seed)
        vocabulary = len(_CONTROL) + 256 + len(_LETTERS)

        def add(name: str, *shape: int) -> None:
            writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32) * 0.3)

        add("token_embd.weight", vocabulary, self.embedding)
        for layer in range(self.layers):
            block = f"blk.{layer}"
            add(f"{block}.attn_norm.weight", self.embedding)
            for part in ("q", "k", "v", "output"):
                add(f"{block}.attn_{part}.weight", self.embedding, self.embedding)
            add(f"{block}.ffn_norm.weight", self.embedding)
            add(f"{block}.ffn_gate.weight", self.feed_forward, self.embedding)
            add(f"{block}.ffn_up.weight", self.feed_forward, self.embedding)
            add(f"{block}.ffn_down.weight", self.embedding, self.feed_forward)
        add("output_norm.weight", self.embedding)
        add("output.weight", vocabulary, self.embedding)
