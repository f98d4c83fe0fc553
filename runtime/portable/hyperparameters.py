"""The shape of a model: the numbers its file gives, and what its architecture leaves unsaid.

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

_LAYERS_MAX: Final = 512  # as many as the engine has room for
_SIZE_MAX: Final = 1 << 24  # of any vector
_ROPE_BASE: Final = 10000.0
_FULL_ATTENTION_INTERVAL: Final = 6  # layers of gemma3, where the file does not say
_LAYERS_OF_27B: Final = 62


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is true of all models of an architecture."""

    rope_layout: Literal["interleaved", "halves"]
    activation: Literal["silu", "gelu"] = "silu"
    qk_norms: bool = False  # queries and keys are normalised, each head by itself
    post_norms: bool = False  # what a layer's parts return is normalised too, before it is added
    scaled_embeddings: bool = False  # by the root of their size
    sliding_windows: bool = False  # some layers see no further back than a window
    rope_factors: bool = False  # the file may have a number for each frequency of the rotations to be divided by


ARCHITECTURES: Final = {
    # Llama 1 to 3, and those built like them: Mistral, SmolLM2, TinyLlama. The window that Mistral 7B 0.1 was trained
    # with is not applied, here as in the engine.
    "llama": Architecture("interleaved", rope_factors=True),
    "qwen2": Architecture("halves"),  # https://arxiv.org/abs/2407.10671
    "qwen3": Architecture("halves", qk_norms=True),  # https://arxiv.org/abs/2505.09388
    "gemma3": Architecture(  # https://arxiv.org/abs/2503.19786
        "halves", activation="gelu", qk_norms=True, post_norms=True, scaled_embeddings=True, sliding_windows=True
    ),
}


@dataclass(frozen=True, slots=True)
class RopeParameters:
    """How positions become rotations, and how those that the model was not first trained on are squeezed among them."""

    dimension_count: int  # how much of a head's vector is rotated
    base: float
    window_base: float  # in layers with a window, where nothing is squeezed
    scaling: str  # none, linear or yarn
    factor: float  # how many times as many positions there are now
    original_context_size: int  # how many there were
    attention_factor: float  # by which rotated vectors are multiplied


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The shape of one model."""

    architecture: Architecture
    context_size: int  # the most positions that the model is meant for
    vocabulary_size: int
    layer_count: int
    embedding_size: int  # the size of the vector that goes from layer to layer, one for each token
    feed_forward_size: int
    head_count: int
    kv_head_count: int  # of keys and values, each shared by heads / kv_heads of the queries
    head_size: int  # the size of a head's vectors
    attention_scale: float
    epsilon: float  # of normalisation
    windows: tuple[int | None, ...]  # for each layer: how many positions a token sees, its own included; None: all
    rope: RopeParameters
    logit_softcap: float  # scores stay between this and its opposite; 0: they are not bounded


def read_hyperparameters(weights: Weights) -> Hyperparameters:
    """Read the shape of a model.

    Raises:
        ModelError: the architecture is unknown, or the file says something that would run otherwise than meant.
        GgufFormatError: an array in the metadata is not what it should be.
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
    """Refuse what these architectures can be besides what is computed here."""
    if metadata.number("expert_count", 0):
        raise ModelError("the model is a mixture of experts, which the portable runtime does not know")
    if not metadata.number("attention.causal", 1):
        raise ModelError("the model sees what follows a token, which the portable runtime does not know")
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
    """Return the window of each layer: all but every sixth have one, or as the file says."""
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
