"""The names and shapes of the weights of a model.

Shapes are in the order of numpy: (outputs, inputs) for a matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.errors import ModelError

if TYPE_CHECKING:
    from runtime.portable.hyperparameters import Hyperparameters
    from runtime.portable.weights import Weights

__all__ = ["check_tensors"]

Shapes = dict[str, tuple[int, ...]]


def check_tensors(weights: Weights, shape: Hyperparameters) -> None:
    """Check that the weights are exactly those of a model of this SHAPE.

    Raises:
        ModelError: a tensor is missing, has another shape or an unsupported type, or is unknown.
    """
    required, optional = _global_tensors(shape)
    for layer in range(shape.layer_count):
        layer_required, layer_optional = _layer_tensors(shape, f"blk.{layer}")
        required |= layer_required
        optional |= layer_optional
    for name, expected in (required | optional).items():
        if name in weights:
            _check(weights, name, expected)
        elif name in required:
            raise ModelError(f"the model has no tensor {name!r}")
    unknown = sorted(weights.names - required.keys() - optional.keys())
    if unknown:
        raise ModelError(f"the model has a tensor {unknown[0]!r}, which the portable runtime does not support")


def _check(weights: Weights, name: str, expected: tuple[int, ...]) -> None:
    found = weights.shape(name)
    if found != expected:
        raise ModelError(f"tensor {name!r} has the shape {list(found)} (expected {list(expected)})")
    weights.check_type(name)


def _global_tensors(shape: Hyperparameters) -> tuple[Shapes, Shapes]:
    """Return the required and the optional tensors outside of layers."""
    required: Shapes = {
        "token_embd.weight": (shape.vocabulary_size, shape.embedding_size),
        "output_norm.weight": (shape.embedding_size,),
    }
    optional: Shapes = {
        "output.weight": (shape.vocabulary_size, shape.embedding_size),  # if absent, the embeddings are used
        "output.bias": (shape.vocabulary_size,),
    }
    if shape.architecture.rope_factors:
        optional["rope_freqs.weight"] = (shape.rope.dimension_count // 2,)
    return required, optional


def _layer_tensors(shape: Hyperparameters, layer: str) -> tuple[Shapes, Shapes]:
    """Return the required and the optional tensors of a layer."""
    linear = {
        f"{layer}.attn_q": (shape.head_count * shape.head_size, shape.embedding_size),
        f"{layer}.attn_k": (shape.kv_head_count * shape.head_size, shape.embedding_size),
        f"{layer}.attn_v": (shape.kv_head_count * shape.head_size, shape.embedding_size),
        f"{layer}.attn_output": (shape.embedding_size, shape.head_count * shape.head_size),
        f"{layer}.ffn_gate": (shape.feed_forward_size, shape.embedding_size),
        f"{layer}.ffn_up": (shape.feed_forward_size, shape.embedding_size),
        f"{layer}.ffn_down": (shape.embedding_size, shape.feed_forward_size),
    }
    norms = {f"{layer}.attn_norm": shape.embedding_size, f"{layer}.ffn_norm": shape.embedding_size}
    if shape.architecture.qk_norms:
        norms |= {f"{layer}.attn_q_norm": shape.head_size, f"{layer}.attn_k_norm": shape.head_size}
    if shape.architecture.post_norms:
        norms |= {f"{layer}.post_attention_norm": shape.embedding_size, f"{layer}.post_ffw_norm": shape.embedding_size}
    required: Shapes = {f"{name}.weight": size for name, size in linear.items()}
    required |= {f"{name}.weight": (size,) for name, size in norms.items()}
    return required, {f"{name}.bias": (size[0],) for name, size in linear.items()}
