"""Sampling of the next token from the logits of the model.

The filters are in the engine's order: top-k, top-p (nucleus sampling; Holtzman et al., 2020,
https://arxiv.org/abs/1904.09751) and min-p; the temperature applies to the remaining tokens. The same seed gives the
same tokens, but other ones than in the engine, which has another random number generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sampler"]


class Sampler:
    """A sampler with its parameters.

    Args:
        temperature: 0 always takes the likeliest token.
        top_k: the number of tokens, the likeliest first; 0: all.
        top_p: the sum of their probabilities; 1: all.
        min_p: the minimum probability of a token, relative to the likeliest; 0: all.
        seed: of the random numbers; None: another one each time.
    """

    def __init__(
        self,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        *,
        seed: int | None = None,
    ) -> None:
        self._temperature = temperature
        self._top_k = top_k
        self._top_p = top_p
        self._min_p = min_p
        self._random = np.random.default_rng(seed)

    def next(self, logits: NDArray[np.float32]) -> int:
        """Return the next token, given the logits of all: (vocabulary,)."""
        if self._temperature <= 0:
            return int(np.argmax(logits))
        tokens = self._candidates(logits)
        probabilities = _probabilities(logits[tokens] / np.float32(self._temperature))
        # The first token whose cumulative probability exceeds the random number.
        return int(tokens[np.count_nonzero(np.cumsum(probabilities[:-1]) <= self._random.random())])

    def _candidates(self, logits: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the tokens that pass the filters, the likeliest first."""
        count = self._top_k if 0 < self._top_k < len(logits) else len(logits)
        tokens = np.argpartition(-logits, count - 1)[:count]
        tokens = tokens[np.argsort(-logits[tokens], kind="stable")]
        probabilities = _probabilities(logits[tokens])
        before = np.cumsum(probabilities) - probabilities  # the token that reaches top_p is included
        is_candidate = (before < self._top_p) & (probabilities >= self._min_p * probabilities[0])
        is_candidate[0] = True
        chosen: NDArray[np.intp] = tokens[is_candidate]
        return chosen


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of LOGITS."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum()
    return probabilities
