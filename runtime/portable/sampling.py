"""Sampling: which token comes next, given how likely the model finds each.

The order is the engine's: of the likeliest few (top-k), those that together are likely enough (top-p; Holtzman et al.,
2020, https://arxiv.org/abs/1904.09751), and none much less likely than the best (min-p); among these, chance decides,
the more evenly the higher the temperature. The same seed gives the same tokens here, but not those that it gives the
engine, whose generator of random numbers is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sampler"]


class Sampler:
    """A way to choose.

    Args:
        temperature: 0 takes the likeliest token, always.
        top_k: how many of the likeliest have a chance; 0 means all.
        top_p: how likely they have to be, together; 1 means all.
        min_p: how likely each has to be, compared to the likeliest; 0 means all.
        seed: what chance begins with; None stands for something else each time.
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
        """Return a token, given the logits of all: (vocabulary,)."""
        if self._temperature <= 0:
            return int(np.argmax(logits))
        tokens = self._candidates(logits)
        probabilities = _probabilities(logits[tokens] / np.float32(self._temperature))
        # The first whose turn has come when the probabilities up to it are added up.
        return int(tokens[np.count_nonzero(np.cumsum(probabilities[:-1]) <= self._random.random())])

    def _candidates(self, logits: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the tokens that have a chance, the likeliest first."""
        count = self._top_k if 0 < self._top_k < len(logits) else len(logits)
        tokens = np.argpartition(-logits, count - 1)[:count]
        tokens = tokens[np.argsort(-logits[tokens], kind="stable")]
        probabilities = _probabilities(logits[tokens])
        before = np.cumsum(probabilities) - probabilities  # so that the one that reaches top_p is the last
        is_candidate = (before < self._top_p) & (probabilities >= self._min_p * probabilities[0])
        is_candidate[0] = True
        chosen: NDArray[np.intp] = tokens[is_candidate]
        return chosen


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum()
    return probabilities
