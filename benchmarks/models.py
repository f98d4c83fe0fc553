"""The models that speed is measured with: one that is real, and a larger one of random weights in the usual types.

The speed of a model depends on its shape and the type of its weights, not on the text.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import gguf
import numpy as np

from runtime.builder.artifacts import demo_model
from runtime.builder.cache import cached, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TYPES", "bench_models"]

TYPES: Final = ("F16", "Q8_0", "Q4_K_M", "Q4_0")
# Half a billion weights in the proportions of Llama 3: grouped-query attention, a feed-forward part four times as wide.
_EMBEDDING: Final = 1536
_LAYERS: Final = 16
_HEADS: Final = 24
_KEY_HEADS: Final = 6
_FEED_FORWARD: Final = 6144
_VOCABULARY: Final = 32000
_SPREAD: Final = 0.02


def bench_models(quantize: Sequence[str]) -> dict[str, Path]:
    """Return the models' paths by their names; QUANTIZE starts llamafile-quantize. They stay in the cache."""
    shape = (_EMBEDDING, _LAYERS, _HEADS, _KEY_HEADS, _FEED_FORWARD, _VOCABULARY)

    def generate(folder: Path) -> None:
        _write(folder / "F16.gguf")
        for type_ in TYPES[1:]:
            command = [*quantize, str(folder / "F16.gguf"), str(folder / f"{type_}.gguf"), type_]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    folder = cached("bench-models", digest_of([repr(shape)]), generate)
    billions = _weights() / 1e9
    return {"SmolLM2 135M Q4_1": demo_model()} | {
        f"{billions:.1f}B {type_}": folder / f"{type_}.gguf" for type_ in TYPES
    }


def _shapes() -> dict[str, tuple[int, ...]]:
    keys = _EMBEDDING // _HEADS * _KEY_HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (_VOCABULARY, _EMBEDDING)}
    for layer in range(_LAYERS):
        block = {
            "attn_norm": (_EMBEDDING,), "attn_q": (_EMBEDDING, _EMBEDDING), "attn_k": (keys, _EMBEDDING),
            "attn_v": (keys, _EMBEDDING), "attn_output": (_EMBEDDING, _EMBEDDING), "ffn_norm": (_EMBEDDING,),
            "ffn_gate": (_FEED_FORWARD, _EMBEDDING), "ffn_up": (_FEED_FORWARD, _EMBEDDING),
            "ffn_down": (_EMBEDDING, _FEED_FORWARD),
        }  # fmt: skip  # a table
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes | {"output_norm.weight": (_EMBEDDING,), "output.weight": (_VOCABULARY, _EMBEDDING)}


def _weights() -> int:
    return sum(int(np.prod(shape)) for shape in _shapes().values())


def _write(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(_EMBEDDING)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KEY_HEADS)
    writer.add_rope_dimension_count(_EMBEDDING // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer)
    for name, shape in _shapes().items():
        writer.add_tensor_info(name, shape, np.dtype(_type(shape)), int(np.prod(shape)) * _type(shape)().itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    for shape in _shapes().values():
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
