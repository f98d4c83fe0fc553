"""GGUF files: tiny models and projectors that the engine loads in milliseconds, and files with arbitrary bytes.

The models are random but reproducible, and written by the gguf package.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Gguf", "Info", "Pair", "TinyModel", "TinyProjector", "array", "boolean", "number", "text", "texts"]

U16, U32, BOOLEAN, TEXT, ARRAY, F32 = 2, 4, 7, 8, 9, 0  # F32 is a type of tensors

_CONTROL = ("<unk>", "<s>", "</s>")
_LETTERS = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?"


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A llama-type model of a few thousand weights with a vocabulary of bytes and letters."""

    embedding: int = 32
    heads: int = 2
    heads_per_key: int = 1  # how many heads share one of keys and values
    feed_forward: int = 64
    layers: int = 1
    context: int = 256
    seed: int = 1
    space_prefix: bool = True  # of each text that is tokenized, as such models have it

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return len(_CONTROL) + 256 + len(_LETTERS)

    def write(self, path: Path) -> Path:
        """Write the model to PATH and return it."""
        self._write(gguf.GGUFWriter(path, "llama"))
        return path

    def write_shards(self, path: Path, tensors: int) -> list[Path]:
        """Write the model to files with at most TENSORS each, whose names are made from PATH, and return them."""
        self._write(gguf.GGUFWriter(path, "llama", split_max_tensors=tensors))
        return sorted(path.parent.glob(f"{path.stem}-*-of-*.gguf"))

    def _write(self, writer: gguf.GGUFWriter) -> None:
        self._add_parameters(writer)
        self.add_vocabulary(writer)
        self._add_tensors(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def _add_parameters(self, writer: gguf.GGUFWriter) -> None:
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.embedding)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.feed_forward)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.heads // self.heads_per_key)
        writer.add_rope_dimension_count(self.embedding // self.heads)
        writer.add_layer_norm_rms_eps(1e-5)

    def add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        """Write its tokens."""
        tokens = [*_CONTROL, *(f"<0x{byte:02X}>" for byte in range(256)), *_LETTERS]
        types = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2]
        types += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(_LETTERS)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(index) for index in range(len(tokens))])
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_space_prefix(self.space_prefix)

    def _add_tensors(self, writer: gguf.GGUFWriter) -> None:
        random = np.random.default_rng(self.seed)

        def add(name: str, *shape: int) -> None:
            writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32) * 0.3)

        add("token_embd.weight", self.vocabulary, self.embedding)
        for layer in range(self.layers):
            block = f"blk.{layer}"
            add(f"{block}.attn_norm.weight", self.embedding)
            for part, shared in (("q", 1), ("k", self.heads_per_key), ("v", self.heads_per_key), ("output", 1)):
                add(f"{block}.attn_{part}.weight", self.embedding // shared, self.embedding)
            add(f"{block}.ffn_norm.weight", self.embedding)
            add(f"{block}.ffn_gate.weight", self.feed_forward, self.embedding)
            add(f"{block}.ffn_up.weight", self.feed_forward, self.embedding)
            add(f"{block}.ffn_down.weight", self.embedding, self.feed_forward)
        add("output_norm.weight", self.embedding)
        add("output.weight", self.vocabulary, self.embedding)


@dataclass(frozen=True, slots=True)
class TinyProjector:
    """A LLaVA-type projector (mmproj) for a TinyModel: CLIP with one layer in use, and a perceptron of two."""

    embedding: int = 16
    heads: int = 2
    feed_forward: int = 24  # as many as `embedding` would tell the engine that an old converter swapped the matrices
    projection: int = 20
    text_embedding: int = 32
    image_size: int = 16
    patch_size: int = 8
    seed: int = 2

    def write(self, path: Path) -> Path:
        """Write the projector to PATH and return it."""
        writer = gguf.GGUFWriter(path, "clip")
        self._add_parameters(writer)
        self._add_tensors(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _add_parameters(self, writer: gguf.GGUFWriter) -> None:
        writer.add_string("general.type", "mmproj")
        writer.add_bool("clip.has_vision_encoder", val=True)
        writer.add_string("clip.projector_type", "mlp")
        writer.add_uint32("clip.vision.image_size", self.image_size)
        writer.add_uint32("clip.vision.patch_size", self.patch_size)
        writer.add_uint32("clip.vision.embedding_length", self.embedding)
        writer.add_uint32("clip.vision.feed_forward_length", self.feed_forward)
        writer.add_uint32("clip.vision.projection_dim", self.projection)
        writer.add_uint32("clip.vision.block_count", 2)  # the last one is never computed
        writer.add_uint32("clip.vision.attention.head_count", self.heads)
        writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
        writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
        writer.add_array("clip.vision.image_std", [0.25, 0.25, 0.25])

    def _add_tensors(self, writer: gguf.GGUFWriter) -> None:
        random = np.random.default_rng(self.seed)

        def add(name: str, *shape: int) -> None:
            writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32) * 0.5)

        def add_linear(name: str, outputs: int, inputs: int) -> None:
            add(f"{name}.weight", outputs, inputs)
            add(f"{name}.bias", outputs)

        def add_norm(name: str) -> None:
            add(f"{name}.weight", self.embedding)
            add(f"{name}.bias", self.embedding)

        patches = (self.image_size // self.patch_size) ** 2
        add("v.class_embd", self.embedding)
        add("v.patch_embd.weight", self.embedding, 3, self.patch_size, self.patch_size)
        add("v.position_embd.weight", patches + 1, self.embedding)
        add_norm("v.pre_ln")
        for block in ("v.blk.0", "v.blk.1"):
            for part in ("q", "k", "v", "out"):
                add_linear(f"{block}.attn_{part}", self.embedding, self.embedding)
            add_norm(f"{block}.ln1")
            add_norm(f"{block}.ln2")
            add_linear(f"{block}.ffn_up", self.feed_forward, self.embedding)
            add_linear(f"{block}.ffn_down", self.embedding, self.feed_forward)
        add_linear("mm.0", self.projection, self.embedding)
        add_linear("mm.2", self.text_embedding, self.projection)


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its value, of any type."""

    key: bytes
    type: int
    value: bytes

    def pack(self) -> bytes:
        """Return it as it stands in a file."""
        return sized(self.key) + struct.pack("<I", self.type) + self.value


def sized(data: bytes) -> bytes:
    """Return a text as it stands in a file."""
    return struct.pack("<Q", len(data)) + data


def text(key: str, value: str) -> Pair:
    """Return a pair whose value is a text."""
    return Pair(key.encode(), TEXT, sized(value.encode()))


def number(key: str, value: int, type_: int = U32) -> Pair:
    """Return a pair whose value is a number."""
    return Pair(key.encode(), type_, struct.pack({U16: "<H", U32: "<I"}[type_], value))


def boolean(key: str, *, value: bool) -> Pair:
    """Return a pair whose value is a truth value."""
    return Pair(key.encode(), BOOLEAN, bytes([value]))


def array(key: str, type_: int, count: int, elements: bytes = b"") -> Pair:
    """Return a pair whose value is an array that claims to have COUNT elements."""
    return Pair(key.encode(), ARRAY, struct.pack("<IQ", type_, count) + elements)


def texts(key: str, values: Sequence[str]) -> Pair:
    """Return a pair whose value is an array of texts."""
    return array(key, TEXT, len(values), b"".join(sized(value.encode()) for value in values))


@dataclass(frozen=True, slots=True)
class Info:
    """What a header says of a tensor."""

    name: str = "t"
    dimensions: tuple[int, ...] = (4,)
    type: int = F32
    offset: int = 0

    def pack(self) -> bytes:
        """Return it as it stands in a file."""
        dimensions = struct.pack(f"<I{len(self.dimensions)}Q", len(self.dimensions), *self.dimensions)
        return sized(self.name.encode()) + dimensions + struct.pack("<IQ", self.type, self.offset)


@dataclass(frozen=True, slots=True)
class Gguf:
    """A GGUF file with arbitrary content; the default is valid and minimal."""

    pairs: Sequence[Pair] = field(default_factory=lambda: [text("general.architecture", "llama")])
    tensors: Sequence[Info] = (Info(),)
    data_size: int = 16
    alignment: int = 32
    magic: bytes = b"GGUF"
    version: int = 3
    pair_count: int | None = None
    tensor_count: int | None = None

    def pack_header(self) -> bytes:
        """Return everything before the data."""
        tensor_count = len(self.tensors) if self.tensor_count is None else self.tensor_count
        pair_count = len(self.pairs) if self.pair_count is None else self.pair_count
        head = self.magic + struct.pack("<IQQ", self.version, tensor_count, pair_count)
        body = b"".join(pair.pack() for pair in self.pairs) + b"".join(info.pack() for info in self.tensors)
        return (head + body).ljust(-(-len(head + body) // self.alignment) * self.alignment, b"\0")

    def write(self, path: Path) -> Path:
        """Write the file PATH, its data as a hole, and return it."""
        header = self.pack_header()
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + self.data_size)
        return path
