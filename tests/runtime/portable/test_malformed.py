"""Models that the portable runtime cannot run, or not as they are meant: each gets a sentence that says why."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.errors import GgufFormatError, ModelError
from runtime.gguf.header import GgufHeader
from runtime.portable.transformer import Transformer
from runtime.portable.weights import Weights
from tests.builders.architectures import GEMMA3, LLAMA, QWEN3, VOCABULARY, Model
from tests.builders.gguf import Gguf, Info

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders.architectures import Value

SOUND = replace(LLAMA.smaller(), pairs={})
NORMED = replace(QWEN3.smaller(), pairs={})
WINDOWS = GEMMA3.smaller()


def saying(model: Model, **pairs: Value | None) -> Model:
    """MODEL with other values, whose keys have two underscores for a dot."""
    changed = {key.replace("__", "."): value for key, value in pairs.items()}
    return replace(model, pairs={**model.pairs, **changed})


def having(shapes: dict[str, tuple[int, ...] | None], model: Model = SOUND) -> Model:
    """MODEL with tensors of other SHAPES, or without them."""
    return replace(model, shapes=shapes)


# What is wrong, the model, and what the error says. None: it is to be accepted.
ROWS = {
    "sound": (SOUND, None),
    "sound, with windows": (WINDOWS, None),
    "a default for heads of keys and values": (saying(replace(SOUND, kv_heads=4), attention__head_count_kv=None), None),
    "a default for the size of heads": (saying(SOUND, attention__key_length=None, attention__value_length=None), None),
    "an unknown architecture": (
        replace(SOUND, architecture="mamba"),
        r"the model's architecture is mamba; the portable runtime knows llama, qwen2, qwen3, gemma3",
    ),
    "a mixture of experts": (saying(SOUND, expert_count=8), "a mixture of experts"),
    "a model that sees ahead": (saying(SOUND, attention__causal=False), "attends to later tokens"),
    "a part of a model": (saying(SOUND, split__count=2), "one of 2 parts"),
    "no layers": (saying(SOUND, block_count=0), r"llama.block_count is 0 \(expected a number from 1 to 512\)"),
    "too many layers": (saying(SOUND, block_count=513), "llama.block_count is 513"),
    "layers that are not there": (saying(SOUND, block_count=3), "has no tensor 'blk.2.attn_q.weight'"),
    "layers too many": (
        saying(SOUND, block_count=1),
        "a tensor 'blk.1.attn_k.weight', which the portable runtime does not support",
    ),
    "no size": (saying(SOUND, embedding_length=None), r"llama.embedding_length is absent"),
    "a size that is a text": (saying(SOUND, embedding_length="64"), "llama.embedding_length is '64'"),
    "sizes for each layer": (saying(SOUND, feed_forward_length=[32, 64]), "llama.feed_forward_length is an array"),
    "heads that cannot share": (
        saying(SOUND, attention__head_count=3),
        "3 heads of queries cannot share 2 of keys and values evenly",
    ),
    "more heads of keys than of queries": (saying(SOUND, attention__head_count_kv=8), "head_count_kv is 8"),
    "values of another size": (saying(SOUND, attention__value_length=8), "keys of 16 and values of 8 numbers"),
    "no epsilon": (saying(SOUND, attention__layer_norm_rms_epsilon=None), "layer_norm_rms_epsilon is absent"),
    "an epsilon that is no number": (saying(SOUND, attention__layer_norm_rms_epsilon=float("nan")), "is nan"),
    "an odd rotation": (saying(SOUND, rope__dimension_count=7), "rotations of 7 numbers"),
    "a rotation of more than there is": (saying(SOUND, rope__dimension_count=18), "dimension_count is 18"),
    "powers of one": (saying(SOUND, rope__freq_base=1.0), "powers of 1.0"),
    "another scaling": (
        saying(SOUND, rope__scaling__type="longrope"),
        "scaled by 'longrope'; .* none, linear and yarn",
    ),
    "a scaling that is no number": (saying(SOUND, rope__scaling__factor=-2.0), "llama.rope.scaling.factor is -2.0"),
    "a pattern of other layers": (
        saying(WINDOWS, attention__sliding_window_pattern=[True]),
        r"a pattern of windows for 1 layers \(expected 3\)",
    ),
    "no embeddings": (having({"token_embd.weight": None}), "has no tensor 'token_embd.weight'"),
    "no norm": (having({"blk.1.ffn_norm.weight": None}), "has no tensor 'blk.1.ffn_norm.weight'"),
    "no norm of heads": (
        having({"blk.0.attn_q_norm.weight": None}, NORMED),
        "has no tensor 'blk.0.attn_q_norm.weight'",
    ),
    "a matrix on its side": (
        having({"blk.0.ffn_up.weight": (64, 96)}),
        r"tensor 'blk.0.ffn_up.weight' has the shape \[64, 96\] \(expected \[96, 64\]\)",
    ),
    "a vector for a matrix": (having({"blk.0.ffn_up.weight": (6144,)}), r"shape \[6144\] \(expected \[96, 64\]\)"),
    "embeddings of one dimension": (
        having({"token_embd.weight": (32,)}),
        r"has the shape \[32\] \(expected a matrix\)",
    ),
    "an output of other words": (
        having({"output.weight": (7, 64)}),
        rf"'output.weight' has the shape \[7, 64\] \(expected \[{VOCABULARY}, 64\]\)",
    ),
    "a bias of another size": (having({"blk.0.attn_q.bias": (5,)}), "'blk.0.attn_q.bias' has the shape"),
    "a tensor of unknown purpose": (
        having({"blk.0.attn_sinks.weight": (2,)}),
        "'blk.0.attn_sinks.weight', which the portable",
    ),
    "factors for another architecture": (
        having({"rope_freqs.weight": (8,)}, NORMED),
        "'rope_freqs.weight', which the portable",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str, tmp_path: Path) -> None:
    model, words = ROWS[name]
    weights = Weights(memoryview(model.write(tmp_path / "x.gguf").read_bytes()))
    if words is None:
        Transformer(weights, 8).forward([1, 5])
        return
    with pytest.raises(ModelError, match=words) as caught:
        Transformer(weights, 8)
    assert "\n" not in str(caught.value)


def test_a_type_that_is_not_known(tmp_path: Path) -> None:
    data = bytearray(SOUND.write(tmp_path / "x.gguf").read_bytes())
    at = data.index(b"output_norm.weight") + len(b"output_norm.weight") + 4 + 8  # its count of dimensions, and one
    data[at : at + 4] = (26).to_bytes(4, "little")  # I32, of the same size
    with pytest.raises(
        ModelError, match=r"'output_norm.weight' is of type I32; .* knows F32, F16, BF16, Q4_0, .* Q6_K$"
    ):
        Transformer(Weights(memoryview(data)), 8)


def test_no_architecture() -> None:
    with pytest.raises(ModelError, match="architecture is not given"):
        Transformer(Weights(memoryview(Gguf([], [Info()]).pack_header() + bytes(16))), 8)


def test_no_gguf_file() -> None:
    with pytest.raises(GgufFormatError, match="magic"):
        Weights(memoryview(b"PK\3\4" + bytes(100)))


@pytest.mark.slow
@pytest.mark.parametrize("model", [SOUND, WINDOWS], ids=["llama", "gemma3"])
def test_no_single_byte_is_more_than_an_error(model: Model, tmp_path: Path) -> None:
    """2,000 seeded changes of a byte in a real header: it runs, or there is our error."""
    data = bytearray(model.write(tmp_path / "x.gguf").read_bytes())
    header = GgufHeader.unpack(bytes(data))
    vocabulary = data.index(b"tokenizer.ggml.tokens"), data.index(b"tokenizer.ggml.bos_token_id")
    places = [at for at in range(header.data_offset) if not vocabulary[0] <= at < vocabulary[1]]
    chance = random.Random(6)
    refused = 0
    for _ in range(2000):
        at = chance.choice(places)
        kept = data[at]
        data[at] = chance.choice([0, 1, 0x7F, 0xFF, kept ^ 1, kept ^ 0x80])
        try:
            with np.errstate(all="ignore"):
                Transformer(Weights(memoryview(bytes(data))), 8).forward([1, 5])
        except (GgufFormatError, ModelError):
            refused += 1
        data[at] = kept
    assert 100 < refused < 2000
