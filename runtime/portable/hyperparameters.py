"""The hyperparameters of a model: those in its file, and the properties of its architecture.

The keys are those of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized key-value pairs".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from runtime.errors import ModelError
from runtime.portable.metadata import Metadata

if TYPE_CHECKING:
    from runtime.portable.weights import Weights

__all__ = ["ARCHITECTURES", "Architecture", "Hyperparameters", "RopeParameters", "read_hyperparameters"]

_LAYERS_MAX: Final = 512  # the engine's limit
_SIZE_MAX: Final = 1 << 24  # of any vector
_ROPE_BASE: Final = 10000.0
_FULL_ATTENTION_INTERVAL: Final = 6  # of gemma3's layers, if the file does not say
_LAYERS_OF_27B: Final = 62


@dataclass(frozen=True, slots=True)
class Architecture:
    """Properties of all models of an architecture."""

    rope_layout: Literal["interleaved", "halves"]
    activation: Literal["silu", "gelu"] = "silu"
    qk_norms: bool = False  # queries and keys are normalised in each head
    post_norms: bool = False  # results of a layer's parts are normalised, too
    scaled_embeddings: bool = False  # embeddings are multiplied by the root of their size
    sliding_windows: bool = False  # some layers attend to a window of tokens only
    rope_factors: bool = False  # the file may have a divisor for each RoPE frequency


ARCHITECTURES: Final = {
    # Llama 1 to 3, and models of the same structure: Mistral, SmolLM2, TinyLlama. As in the engine, the window of
    # Mistral 7B 0.1 is not applied.
    "llama": Architecture("interleaved", rope_factors=True),
    "qwen2": Architecture("halves"),  # https://arxiv.org/abs/2407.10671
    "qwen3": Architecture("halves", qk_norms=True),  # https://arxiv.org/abs/2505.09388
    "gemma3": Architecture(  # https://arxiv.org/abs/2503.19786
        "halves", activation="gelu", qk_norms=True, post_norms=True, scaled_embeddings=True, sliding_windows=True
    ),
}


@dataclass(frozen=True, slots=True)
class RopeParameters:
    """Parameters of rotary position embeddings, and of their extension beyond the trained context."""

    dimension_count: int  # size of the rotated part of a head's vector
    base: float
    window_base: float  # in layers with a window, without scaling
    scaling: str  # none, linear or yarn
    factor: float  # by which the context was extended
    original_context_size: int  # before the extension
    attention_factor: float  # of rotated vectors


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The hyperparameters of one model."""

    architecture: Architecture
    context_size: int  # the maximum for the model
    vocabulary_size: int
    layer_count: int
    embedding_size: int  # of the vector of a token between layers
    feed_forward_size: int
    head_count: int
    kv_head_count: int  # each shared by head_count / kv_head_count heads of queries
    head_size: int  # of the vectors of a head
    attention_scale: float
    epsilon: float  # of normalisation
    windows: tuple[int | None, ...]  # of each layer, including the token itself; None: all tokens
    rope: RopeParameters
    logit_softcap: float  # bound of the absolute value of logits; 0: none


def read_hyperparameters(weights: Weights) -> Hyperparameters:
    """Read the hyperparameters of a model.

    Raises:
        ModelError: the architecture is not supported, or a value has another meaning than supported here.
        GgufFormatError: an array in the metadata is invalid.
    """
    name = str(weights.header.metadata.get("general.architecture", ""))
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"the model's architecture is {name or 'not given'}; the portable runtime knows {known}")
    architecture = ARCHITECTURES[name]
    metadata = Metadata(weights.header, name)
    _refuse_variants(weights, metadata)
    layers = metadata.count("block_count", most=_LAYERS_MAX)
    embedding = metadata.count("embedding_length", most=_SIZE_MAX)
    heads, kv_heads, head = _heads(metadata, embedding)
    is_27b = architecture.sliding_windows and layers == _LAYERS_OF_27B
    return Hyperparameters(
        architecture=architecture,
        context_size=metadata.count("context_length", most=_SIZE_MAX),
        vocabulary_size=_vocabulary_size(weights),
        layer_count=layers,
        embedding_size=embedding,
        feed_forward_size=metadata.count("feed_forward_length", most=_SIZE_MAX),
        head_count=heads,
        kv_head_count=kv_heads,
        head_size=head,
        attention_scale=1 / math.sqrt(embedding // heads if is_27b else head),
        epsilon=metadata.number("attention.layer_norm_rms_epsilon"),
        windows=_windows(metadata, layers) if architecture.sliding_windows else (None,) * layers,
        rope=_rope(metadata, head),
        logit_softcap=metadata.number("final_logit_softcapping", 0.0) if architecture.sliding_windows else 0.0,
    )


def _refuse_variants(weights: Weights, metadata: Metadata) -> None:
    """Refuse unsupported variants of these architectures."""
    if metadata.number("expert_count", 0):
        raise ModelError("the model is a mixture of experts, which the portable runtime does not support")
    if not metadata.number("attention.causal", 1):
        raise ModelError("the model attends to later tokens, which the portable runtime does not support")
    parts = weights.header.metadata.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise ModelError(f"these weights are one of {parts} parts; the portable runtime reads models of one")


def _vocabulary_size(weights: Weights) -> int:
    name = "token_embd.weight"
    if name not in weights:
        raise ModelError(f"the model has no tensor {name!r}")
    shape = weights.shape(name)
    if len(shape) != 2:
        raise ModelError(f"tensor {name!r} has the shape {list(shape)} (expected a matrix)")
    return shape[0]


def _heads(metadata: Metadata, embedding: int) -> tuple[int, int, int]:
    """Return the heads of queries, those of keys and values, and the size of each."""
    heads = metadata.count("attention.head_count", most=embedding)
    kv_heads = metadata.count("attention.head_count_kv", heads, most=heads)
    if heads % kv_heads:
        raise ModelError(f"{heads} heads of queries cannot share {kv_heads} of keys and values evenly")
    head = metadata.count("attention.key_length", embedding // heads, most=_SIZE_MAX)
    value = metadata.count("attention.value_length", embedding // heads, most=_SIZE_MAX)
    if value != head:
        raise ModelError(f"keys of {head} and values of {value} numbers; the portable runtime knows equal ones")
    return heads, kv_heads, head


def _windows(metadata: Metadata, layers: int) -> tuple[int | None, ...]:
    """Return the window of each layer: every sixth has none, unless the file says otherwise."""
    if not metadata.number("attention.sliding_window", 0):
        return (None,) * layers
    window = metadata.count("attention.sliding_window", most=_SIZE_MAX)
    pattern = metadata.numbers("attention.sliding_window_pattern")
    if pattern is None:
        interval = int(metadata.number("attention.sliding_window_pattern", _FULL_ATTENTION_INTERVAL))
        pattern = tuple(interval == 0 or layer % interval < interval - 1 for layer in range(layers))
    if len(pattern) != layers:
        raise ModelError(f"a pattern of windows for {len(pattern)} layers (expected {layers})")
    return tuple(window if has_window else None for has_window in pattern)


def _rope(metadata: Metadata, head: int) -> RopeParameters:
    size = metadata.count("rope.dimension_count", head, most=head)
    if size % 2:
        raise ModelError(f"rotations of {size} numbers (expected an even count)")
    scaling = metadata.string("rope.scaling.type", "linear")
    if scaling not in {"none", "linear", "yarn"}:
        raise ModelError(f"positions are scaled by {scaling!r}; the portable runtime knows none, linear and yarn")
    factor = metadata.number("rope.scaling.factor", metadata.number("rope.scale_linear", 0.0))
    context = metadata.count("context_length", most=_SIZE_MAX)
    return RopeParameters(
        dimension_count=size,
        base=_base(metadata, "rope.freq_base"),
        window_base=_base(metadata, "rope.freq_base_swa"),
        scaling=scaling,
        factor=factor or 1.0,
        original_context_size=metadata.count("rope.scaling.original_context_length", context, most=_SIZE_MAX),
        attention_factor=metadata.number("rope.scaling.attn_factor", 1.0),
    )


def _base(metadata: Metadata, key: str) -> float:
    base = metadata.number(key, _ROPE_BASE)
    if base <= 1:
        raise ModelError(f"positions are rotated by powers of {base} (expected more than 1)")
    return base
