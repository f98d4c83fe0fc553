"""Attention, the part of a layer in which a token reads those before it: https://arxiv.org/abs/1706.03762.

Each token has a query, a key and a value. Its result is the mean of the values of all tokens up to itself, weighted by
the products of its query and their keys. There are several heads, each with queries, keys and values of its own; in
grouped-query attention (https://arxiv.org/abs/2305.13245), several heads of queries share one of keys and values.

Keys and values of earlier tokens never change, so they are cached: in 32 bits, where the engine by default has 16. The
memory grows with the number of tokens read, not with the size of the context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.portable.weights import Floats

    Positions = NDArray[np.int64]

__all__ = ["KvCache", "attend"]

_CAPACITY_MIN: Final = 64


class KvCache:
    """The keys and values of all tokens so far, in one layer.

    Args:
        heads: the number of heads of keys and values.
        size: of a vector.
    """

    def __init__(self, heads: int, size: int) -> None:
        self._keys = np.empty((heads, 0, size), np.float32)
        self._values = np.empty((heads, 0, size), np.float32)

    def store(self, position: int, keys: Floats, values: Floats) -> None:
        """Store keys and values of the tokens from POSITION on, (tokens, heads, size) each."""
        end = position + len(keys)
        self._keys = _with_capacity(self._keys, end)
        self._values = _with_capacity(self._values, end)
        self._keys[:, position:end] = keys.swapaxes(0, 1)
        self._values[:, position:end] = values.swapaxes(0, 1)

    def load(self, start: int, end: int) -> tuple[Floats, Floats]:
        """Return keys and values of the tokens from START to END, (heads, tokens, size) each."""
        return self._keys[:, start:end], self._values[:, start:end]


def _with_capacity(cached: Floats, end: int) -> Floats:
    heads, capacity, size = cached.shape
    if end <= capacity:
        return cached
    larger = np.zeros((heads, max(_CAPACITY_MIN, 2 * capacity, end), size), np.float32)
    larger[:, :capacity] = cached
    return larger


def attend(queries: Floats, cache: KvCache, position: int, scale: float, window: int | None) -> Floats:
    """Return the result of each head for each token: (tokens, heads, size) in and out.

    Args:
        queries: those of the tokens from POSITION on.
        cache: keys and values of all tokens up to the last of the queries.
        position: that of the first query.
        scale: factor of the products of queries and keys, so that they do not grow with the size of a vector.
        window: the number of tokens that each token reads, including itself; None: all.
    """
    tokens, heads, size = queries.shape
    end = position + tokens
    start = 0 if window is None else max(0, position - window + 1)
    keys, values = cache.load(start, end)
    masked = _mask(np.arange(position, end), np.arange(start, end), window)
    heads_per_kv_head = heads // len(keys)
    attended = np.empty_like(queries)
    for head in range(len(keys)):
        group = slice(head * heads_per_kv_head, (head + 1) * heads_per_kv_head)
        scaled = (queries[:, group] * np.float32(scale)).swapaxes(0, 1).reshape(-1, size)
        scores = (scaled @ keys[head].T).reshape(heads_per_kv_head, tokens, -1)
        scores[:, masked] = -np.inf
        _softmax(scores)
        sums = scores.reshape(heads_per_kv_head * tokens, -1) @ values[head]
        attended[:, group] = sums.reshape(heads_per_kv_head, tokens, size).swapaxes(0, 1)
    return attended


def _mask(query_positions: Positions, key_positions: Positions, window: int | None) -> NDArray[np.bool_]:
    """Return True for each pair of a query and a key that attention skips."""
    distance = query_positions[:, np.newaxis] - key_positions
    masked: NDArray[np.bool_] = distance < 0
    return masked if window is None else masked | (distance >= window)


def _softmax(scores: Floats) -> None:
    """Compute the softmax along the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
