"""The models that speed is measured with: one that is real, and a larger one of random weights in the usual types.

The speed of a model depends on its shape and the type of its weights, not on the text.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import gguf
import numpy as np

from runtime.builder.artifacts import demo_model
from runtime.builder.cache import cached, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "LONG_CONTEXT",
    "MORE_TYPES",
    "TYPES",
    "bench_models",
    "billion_model",
    "long_model",
    "more_models",
    "quantize_file",
]

TYPES: Final = ("F16", "Q8_0", "Q4_K_M", "Q4_0")
# To be compared with fewer contestants, which take most of the time: any type of llamafile-quantize can be added.
MORE_TYPES: Final = ("Q6_K", "Q5_K_M", "IQ4_NL", "BF16")
LONG_CONTEXT: Final = 65536  # tokens
_VOCABULARY: Final = 32000
_SPREAD: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Shape:
    """The proportions of Llama 3: grouped-query attention, a feed-forward part four times as wide."""

    embedding: int
    layers: int
    heads: int
    key_heads: int

    @property
    def feed_forward(self) -> int:
        return 4 * self.embedding

    @property
    def key(self) -> tuple[int, ...]:
        """The numbers that name it in the cache."""
        return (self.embedding, self.layers, self.heads, self.key_heads, self.feed_forward, _VOCABULARY)


_HALF: Final = _Shape(1536, 16, 24, 6)  # half a billion weights
_BILLION: Final = _Shape(2048, 16, 32, 8)
_FEW_LAYERS: Final = _Shape(512, 1, 8, 2)


def bench_models(quantize: Sequence[str]) -> dict[str, Path]:
    """Return the models' paths by their names; QUANTIZE starts llamafile-quantize. They stay in the cache."""

    def generate(folder: Path) -> None:
        _write(folder / "F16.gguf", _HALF)
        for type_ in TYPES[1:]:
            quantize_file(quantize, folder / "F16.gguf", folder / f"{type_}.gguf", type_)

    folder = cached("bench-models", digest_of([repr(_HALF.key)]), generate)
    return {"SmolLM2 135M Q4_1": demo_model()} | {
        f"{_billions(_HALF)} {type_}": folder / f"{type_}.gguf" for type_ in TYPES
    }


def more_models(quantize: Sequence[str]) -> dict[str, Path]:
    """Return the paths of models of MORE_TYPES, which have the same weights as those of bench_models()."""
    exact = bench_models(quantize)[f"{_billions(_HALF)} F16"]

    def model_of(type_: str) -> Path:
        folder = cached(
            "bench-models",
            digest_of([repr(_HALF.key), type_]),
            lambda folder: quantize_file(quantize, exact, folder / f"{type_}.gguf", type_),
        )
        return folder / f"{type_}.gguf"

    return {f"{_billions(_HALF)} {type_}": model_of(type_) for type_ in MORE_TYPES}


def billion_model(quantize: Sequence[str], type_: str) -> tuple[str, Path]:
    """Return the name and the path of a model of a billion random weights of TYPE_, which stays in the cache."""

    def generate(folder: Path) -> None:
        _write(folder / "F16.gguf", _BILLION)
        quantize_file(quantize, folder / "F16.gguf", folder / f"{type_}.gguf", type_)
        (folder / "F16.gguf").unlink()

    folder = cached("bench-models", digest_of([repr(_BILLION.key), type_]), generate)
    return f"{_billions(_BILLION)} {type_}", folder / f"{type_}.gguf"


def long_model(quantize: Sequence[str], type_: str) -> Path:
    """Return the path of a small model of random weights of TYPE_ for LONG_CONTEXT, which stays in the cache."""

    def generate(folder: Path) -> None:
        _write(folder / "F16.gguf", _FEW_LAYERS, LONG_CONTEXT)
        quantize_file(quantize, folder / "F16.gguf", folder / f"{type_}.gguf", type_)
        (folder / "F16.gguf").unlink()

    folder = cached("bench-models", digest_of([repr(_FEW_LAYERS.key), str(LONG_CONTEXT), type_]), generate)
    return folder / f"{type_}.gguf"


def quantize_file(quantize: Sequence[str], model: Path, result: Path, type_: str) -> None:
    """Write RESULT, of TYPE_, from MODEL; QUANTIZE starts llamafile-quantize."""
    command = [*quantize, str(model), str(result), type_]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _shapes(shape: _Shape) -> dict[str, tuple[int, ...]]:
    width, wide = shape.embedding, shape.feed_forward
    keys = width // shape.heads * shape.key_heads
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (_VOCABULARY, width)}
    for layer in range(shape.layers):
        block = {
            "attn_norm": (width,), "attn_q": (width, width), "attn_k": (keys, width), "attn_v": (keys, width),
            "attn_output": (width, width), "ffn_norm": (width,), "ffn_gate": (wide, width), "ffn_up": (wide, width),
            "ffn_down": (width, wide),
        }  # fmt: skip  # a table
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes | {"output_norm.weight": (width,), "output.weight": (_VOCABULARY, width)}


def _billions(shape: _Shape) -> str:
    return f"{sum(int(np.prod(one)) for one in _shapes(shape).values()) / 1e9:.1f}B"


def _write(path: Path, model: _Shape, context: int = 4096) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(model.embedding)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.feed_forward)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.key_heads)
    writer.add_rope_dimension_count(model.embedding // model.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer)
    for name, shape in _shapes(model).items():
        writer.add_tensor_info(name, shape, np.dtype(_type(shape)), int(np.prod(shape)) * _type(shape)().itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    for shape in _shapes(model).values():
        weights = random.standard_normal(shape, dtype=np.float32) * _SPREAD
        writer.write_tensor_data((weights if len(shape) > 1 else weights + 1).astype(_type(shape)))
    writer.close()


def _type(shape: tuple[int, ...]) -> type[np.float16 | np.float32]:
    return np.float16 if len(shape) > 1 else np.float32  # the engine wants the norms exact


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    words = [f"▁{np.base_repr(number, 36).lower()}" for number in range(_VOCABULARY - len(tokens))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens + words)
    writer.add_token_scores([-float(index) for index in range(_VOCABULARY)])
    writer.add_token_types([*types, *[gguf.TokenType.NORMAL] * len(words)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
