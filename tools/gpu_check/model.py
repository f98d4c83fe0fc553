"""Random models of any size, written with the standard library alone."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RandomModel"]

_U32, _F32, _I32, _TEXT, _ARRAY = 4, 6, 5, 8, 9
_F16_TENSOR, _F32_TENSOR = 1, 0
_UNKNOWN, _CONTROL, _BYTE, _NORMAL = 2, 3, 6, 1
_ALIGNMENT = 32
_BLOCK_SIZE = 1 << 22
# The upper byte of a 16-bit float: any sign, an exponent for 1/128 to 1/32, any mantissa.
_UPPER = bytes(byte & 0b10000111 | 0b00100000 for byte in range(256))


@dataclass(frozen=True)
class RandomModel:
    """A model of llama's architecture whose weights are random 16-bit floats, the same in each run."""

    embedding: int
    feed_forward: int
    layers: int
    heads: int
    heads_of_keys: int
    vocabulary: int
    context: int = 4096

    def write(self, path: Path) -> None:
        """Write it to PATH."""
        tensors = list(self._tensors())
        pairs = [*self._parameters(), *self._tokens()]
        with path.open("wb") as file:
            file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs)))
            for pair in pairs:
                file.write(pair)
            offset = 0
            for name, shape in tensors:
                file.write(_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape))
                file.write(struct.pack("<IQ", _type_of(shape), offset))
                offset = _aligned(offset + _size_of(shape))
            _pad(file)
            _write_data(file, [shape for _, shape in tensors])

    def _tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        width, keys = self.embedding, self.embedding // self.heads * self.heads_of_keys
        tensors: list[tuple[str, tuple[int, ...]]] = [("token_embd.weight", (width, self.vocabulary))]
        for layer in range(self.layers):
            shapes = {
                "attn_norm": (width,),
                "attn_q": (width, width),
                "attn_k": (width, keys),
                "attn_v": (width, keys),
                "attn_output": (width, width),
                "ffn_norm": (width,),
                "ffn_gate": (width, self.feed_forward),
                "ffn_up": (width, self.feed_forward),
                "ffn_down": (self.feed_forward, width),
            }
            tensors += [(f"blk.{layer}.{name}.weight", shape) for name, shape in shapes.items()]
        return [*tensors, ("output_norm.weight", (width,)), ("output.weight", (width, self.vocabulary))]

    def _parameters(self) -> list[bytes]:
        numbers = {
            "context_length": self.context,
            "embedding_length": self.embedding,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.heads_of_keys,
            "rope.dimension_count": self.embedding // self.heads,
        }
        pairs = [_pair("general.architecture", _TEXT, _text("llama"))]
        pairs += [_pair(f"llama.{name}", _U32, struct.pack("<I", value)) for name, value in numbers.items()]
        return [*pairs, _pair("llama.attention.layer_norm_rms_epsilon", _F32, struct.pack("<f", 1e-5))]

    def _tokens(self) -> list[bytes]:
        written = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        types = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256]
        written += [f"▁w{number}" for number in range(self.vocabulary - len(written))]
        types += [_NORMAL] * (self.vocabulary - len(types))
        count = self.vocabulary
        return [
            _pair("tokenizer.ggml.model", _TEXT, _text("llama")),
            _pair("tokenizer.ggml.tokens", _ARRAY, _array(_TEXT, count, b"".join(map(_text, written)))),
            _pair(
                "tokenizer.ggml.scores",
                _ARRAY,
                _array(_F32, count, struct.pack(f"<{count}f", *map(float, range(count)))),
            ),
            _pair("tokenizer.ggml.token_type", _ARRAY, _array(_I32, count, struct.pack(f"<{count}i", *types))),
            _pair("tokenizer.ggml.bos_token_id", _U32, struct.pack("<I", 1)),
            _pair("tokenizer.ggml.eos_token_id", _U32, struct.pack("<I", 2)),
        ]


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _array(kind: int, count: int, elements: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + elements


def _type_of(shape: tuple[int, ...]) -> int:
    return _F32_TENSOR if len(shape) == 1 else _F16_TENSOR


def _size_of(shape: tuple[int, ...]) -> int:
    return 4 * shape[0] if len(shape) == 1 else 2 * shape[0] * shape[1]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _pad(file: BinaryIO) -> None:
    file.write(bytes(_aligned(file.tell()) - file.tell()))


def _write_data(file: BinaryIO, shapes: list[tuple[int, ...]]) -> None:
    """Write norms of ones, and matrices cut from one block of random weights, each at another place."""
    source = random.Random(1)  # noqa: S311  # nothing is kept secret by it
    block = bytearray(source.randbytes(_BLOCK_SIZE))
    block[1::2] = block[1::2].translate(_UPPER)
    for shape in shapes:
        if len(shape) == 1:
            file.write(struct.pack("<f", 1.0) * shape[0])
        else:
            left, start = _size_of(shape), 2 * source.randrange(_BLOCK_SIZE // 4)
            while left:
                piece = bytes(block[start : start + left])
                file.write(piece)
                left, start = left - len(piece), 2 * source.randrange(_BLOCK_SIZE // 4)
        _pad(file)
