"""The part of a layer in which tokens look at those before them: https://arxiv.org/abs/1706.03762.

Each token asks with a query for what it wants to know; each token before it, and it too, answers with its value, the
more so the better its key fits. There are several heads, each with queries, keys and values of its own; or several
heads of queries share one of keys and values, which is grouped-query attention: https://arxiv.org/abs/2305.13245.

Keys and values of earlier tokens never change, so they are kept. They are kept in 32 bits, where the engine by default
has 16: what this costs is memory in proportion to the tokens seen, not to the size of the context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.portable.weights import Floats

    Positions = NDArray[np.int64]

__all__ = ["KeysAndValues", "attend"]

_ROOM_FIRST: Final = 64


class KeysAndValues:
    """Those of all tokens so far, in one layer.

    Args:
        heads: of keys and values.
        size: of a vector.
    """

    def __init__(self, heads: int, size: int) -> None:
        self._keys = np.empty((heads, 0, size), np.float32)
        self._values = np.empty((heads, 0, size), np.float32)

    def put(self, position: int, keys: Floats, values: Floats) -> None:
        """Keep what tokens from POSITION on have, (tokens, heads, size) each."""
        end = position + len(keys)
        self._keys = _with_room(self._keys, end)
        self._values = _with_room(self._values, end)
        self._keys[:, position:end] = keys.swapaxes(0, 1)
        self._values[:, position:end] = values.swapaxes(0, 1)

    def get(self, start: int, end: int) -> tuple[Floats, Floats]:
        """Return keys and values of the tokens from START to END, (heads, tokens, size) each."""
        return self._keys[:, start:end], self._values[:, start:end]


def _with_room(kept: Floats, end: int) -> Floats:
    heads, room, size = kept.shape
    if end <= room:
        return kept
    larger = np.zeros((heads, max(_ROOM_FIRST, 2 * room, end), size), np.float32)
    larger[:, :room] = kept
    return larger


def attend(queries: Floats, seen: KeysAndValues, position: int, scale: float, window: int | None) -> Floats:
    """Return what each head of each token found: (tokens, heads, size) in and out.

    Args:
        queries: of tokens from POSITION on.
        seen: keys and values of all tokens up to the last of these.
        position: of the first query's token.
        scale: by which the products of queries and keys are multiplied, so that they do not grow with their size.
        window: how many tokens each one sees, itself included; None: all.
    """
    tokens, heads, size = queries.shape
    end = position + tokens
    start = 0 if window is None else max(0, position - window + 1)
    keys, values = seen.get(start, end)
    hidden = _hidden(np.arange(position, end), np.arange(start, end), window)
    sharing = heads // len(keys)
    found = np.empty_like(queries)
    for head in range(len(keys)):
        group = slice(head * sharing, (head + 1) * sharing)
        asked = (queries[:, group] * np.float32(scale)).swapaxes(0, 1).reshape(-1, size)
        scores = (asked @ keys[head].T).reshape(sharing, tokens, -1)
        scores[:, hidden] = -np.inf
        _share(scores)
        answers = scores.reshape(sharing * tokens, -1) @ values[head]
        found[:, group] = answers.reshape(sharing, tokens, size).swapaxes(0, 1)
    return found


def _hidden(asking: Positions, answering: Positions, window: int | None) -> NDArray[np.bool_]:
    """Return which tokens cannot be seen by which: (asking, answering), for each its positions."""
    distance = asking[:, np.newaxis] - answering
    hidden: NDArray[np.bool_] = distance < 0
    return hidden if window is None else hidden | (distance >= window)


def _share(scores: Floats) -> None:
    """Turn scores, along the last axis, into shares of one (softmax); in place, because they are many."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
