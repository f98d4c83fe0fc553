"""The transformer: from tokens to the scores of the next one.

Each token becomes a vector. Each layer adds to it the result of attention to earlier tokens, and that of the
feed-forward part. The vector of the last token is multiplied by the output matrix, a row for each token.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from runtime.errors import ContextFullError, ModelError
from runtime.portable.attention import KvCache, attend
from runtime.portable.feed_forward import ACTIVATIONS
from runtime.portable.hyperparameters import read_hyperparameters
from runtime.portable.normalization import rms_norm
from runtime.portable.rope import Rope
from runtime.portable.tensors import check_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.portable.hyperparameters import Hyperparameters
    from runtime.portable.rope import Rotation
    from runtime.portable.weights import Floats, Weights

__all__ = ["Transformer"]

_TOKENS_AT_ONCE: Final = 256


class Transformer:
    """A model, with the state of the tokens that it has read.

    Args:
        weights: those of the model.
        context: the maximum number of tokens.

    Raises:
        ModelError: the model is not supported.
    """

    def __init__(self, weights: Weights, context: int) -> None:
        self.shape = read_hyperparameters(weights)
        check_tensors(weights, self.shape)
        self.context = context
        self.position = 0
        factors = weights.vector("rope_freqs.weight") if "rope_freqs.weight" in weights else None
        self._weights = weights
        self._rope = Rope(self.shape.rope, factors=factors)
        self._window_rope = Rope(self.shape.rope, window=True)
        self._layers = [_Layer(weights, self.shape, number) for number in range(self.shape.layer_count)]

    def forward(self, tokens: Sequence[int]) -> Floats:
        """Read TOKENS, at least one, and return the scores (logits) of the next token: (vocabulary,).

        Raises:
            ContextFullError: the context is too small.
            ModelError: one of them is not in the vocabulary.
        """
        if self.position + len(tokens) > self.context:
            raise ContextFullError(self.context)
        if min(tokens) < 0 or max(tokens) >= self.shape.vocabulary_size:
            raise ModelError(f"a token is not among the {self.shape.vocabulary_size} of the model's vocabulary")
        for start in range(0, len(tokens), _TOKENS_AT_ONCE):
            state = self._read(tokens[start : start + _TOKENS_AT_ONCE])
        scores: Floats = self._scores(state[-1:])[0]
        return scores

    def rewind(self, position: int) -> None:
        """Discard the tokens from POSITION on."""
        self.position = min(position, self.position)

    def _read(self, tokens: Sequence[int]) -> Floats:
        """Return the vectors of TOKENS after the last layer: (tokens, embedding)."""
        state = self._weights.rows("token_embd.weight", tokens)
        if self.shape.architecture.scaled_embeddings:
            state = state * np.float32(math.sqrt(self.shape.embedding_size))
        positions = range(self.position, self.position + len(tokens))
        layout = self.shape.architecture.rope_layout
        rotation = self._rope.at(positions, layout)
        window_rotation = self._window_rope.at(positions, layout)
        for layer in self._layers:
            state = layer.forward(state, self.position, rotation if layer.window is None else window_rotation)
        self.position += len(tokens)
        return state

    def _scores(self, state: Floats) -> Floats:
        weights = self._weights
        state = rms_norm(state, weights.vector("output_norm.weight"), self.shape.epsilon)
        output = "output.weight" if "output.weight" in weights else "token_embd.weight"
        scores = weights.project(output, state)
        if "output.bias" in weights:
            scores = scores + weights.vector("output.bias")
        if self.shape.logit_softcap:
            scores = np.tanh(scores / np.float32(self.shape.logit_softcap)) * np.float32(self.shape.logit_softcap)
        return scores


class _Layer:
    """A layer, with its cache of keys and values."""

    def __init__(self, weights: Weights, shape: Hyperparameters, number: int) -> None:
        self.window = shape.windows[number]
        self._weights = weights
        self._shape = shape
        self._name = f"blk.{number}"
        self._kv_cache = KvCache(shape.kv_head_count, shape.head_size)

    def forward(self, state: Floats, position: int, rotation: Rotation) -> Floats:
        """Return the STATE of tokens from POSITION on, (tokens, embedding), after this layer."""
        post_norms = self._shape.architecture.post_norms
        found = self._attention(self._normalized(state, "attn_norm"), position, rotation)
        state = state + (self._normalized(found, "post_attention_norm") if post_norms else found)
        made = self._feed_forward(self._normalized(state, "ffn_norm"))
        return state + (self._normalized(made, "post_ffw_norm") if post_norms else made)

    def _attention(self, state: Floats, position: int, rotation: Rotation) -> Floats:
        shape = self._shape
        queries = self._linear(state, "attn_q").reshape(-1, shape.head_count, shape.head_size)
        keys = self._linear(state, "attn_k").reshape(-1, shape.kv_head_count, shape.head_size)
        values = self._linear(state, "attn_v").reshape(-1, shape.kv_head_count, shape.head_size)
        if shape.architecture.qk_norms:
            queries = self._normalized(queries, "attn_q_norm")
            keys = self._normalized(keys, "attn_k_norm")
        self._kv_cache.store(position, rotation.apply(keys), values)
        found = attend(rotation.apply(queries), self._kv_cache, position, shape.attention_scale, self.window)
        return self._linear(found.reshape(len(state), -1), "attn_output")

    def _feed_forward(self, state: Floats) -> Floats:
        activation = ACTIVATIONS[self._shape.architecture.activation]
        gate = activation(self._linear(state, "ffn_gate"))
        return self._linear(gate * self._linear(state, "ffn_up"), "ffn_down")

    def _normalized(self, vectors: Floats, name: str) -> Floats:
        return rms_norm(vectors, self._weights.vector(f"{self._name}.{name}.weight"), self._shape.epsilon)

    def _linear(self, inputs: Floats, name: str) -> Floats:
        """Return the linear function NAME of the INPUTS: (tokens, inputs) in, (tokens, outputs) out."""
        outputs = self._weights.project(f"{self._name}.{name}.weight", inputs)
        bias = f"{self._name}.{name}.bias"
        return outputs + self._weights.vector(bias) if bias in self._weights else outputs
