"""Telling attention where a token stands: queries and keys are rotated by angles that grow with the position.

A head's vector is taken as pairs of numbers, points in as many planes. Each plane turns at its own speed, so that the
product of a query and a key depends on how far they are apart. RoPE: https://arxiv.org/abs/2104.09864.

A model that is to see further than it was trained to turns slower: all planes alike (linear,
https://arxiv.org/abs/2306.15595), or those more that have not gone round often enough for their speed to be known well
(YaRN, https://arxiv.org/abs/2309.00071), or each as much as its file says (Llama 3.1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runtime.portable.hyperparameters import RopeParameters
    from runtime.portable.weights import Floats

__all__ = ["Rope", "Rotation"]

# A plane that goes round this often within the original context keeps its speed, or has the whole factor taken off it;
# those between them go from one to the other evenly.
_YARN_KEPT: Final = 32
_YARN_SCALED: Final = 1


class Rope:
    """The speeds of the planes.

    Args:
        parameters: what the model's file says.
        window: whether it is for layers that have a window.
        factors: by which to divide each speed; None: by none.
    """

    def __init__(self, parameters: RopeParameters, *, window: bool = False, factors: Floats | None = None) -> None:
        base = parameters.window_base if window else parameters.base
        exponents = np.arange(0, parameters.size, 2) / parameters.size
        speeds = base**-exponents
        if factors is not None:
            speeds = speeds / factors
        self._magnitude = parameters.magnitude
        if parameters.scaling == "linear" and not window:
            speeds = speeds / parameters.factor
        elif parameters.scaling == "yarn" and not window:
            kept = _kept(parameters, base)
            speeds = speeds * kept + speeds / parameters.factor * (1 - kept)
            self._magnitude *= 1 + 0.1 * math.log(max(1.0, parameters.factor))
        self._speeds: NDArray[np.float64] = speeds

    def at(self, positions: Sequence[int], pairs: str) -> Rotation:
        """Return the rotation for tokens at these POSITIONS."""
        angles = np.outer(positions, self._speeds)
        return Rotation(np.cos(angles) * self._magnitude, np.sin(angles) * self._magnitude, pairs)


def _kept(parameters: RopeParameters, base: float) -> NDArray[np.float64]:
    """Return how much of its speed each plane keeps, from 0 to 1."""
    planes = parameters.size // 2

    def plane_that_goes_round(times: int) -> float:
        return planes * math.log(parameters.original_context / (times * 2 * math.pi)) / math.log(base)

    first = max(0, math.floor(plane_that_goes_round(_YARN_KEPT)))
    last = min(parameters.size - 1, math.ceil(plane_that_goes_round(_YARN_SCALED)))
    return 1 - np.clip((np.arange(planes) - first) / max(0.001, last - first), 0, 1)


class Rotation:
    """How the vectors of some tokens are turned.

    Args:
        cos: of the angles, (tokens, planes).
        sin: likewise.
        pairs: which numbers of a vector are the coordinates in a plane: neighbours ("interleaved"), or each of the
            first half with its counterpart in the second ("halves").
    """

    def __init__(self, cos: NDArray[np.float64], sin: NDArray[np.float64], pairs: str) -> None:
        self._cos = cos.astype(np.float32)[:, np.newaxis]
        self._sin = sin.astype(np.float32)[:, np.newaxis]
        planes = cos.shape[1]
        interleaved = pairs == "interleaved"
        self._x = slice(0, 2 * planes, 2) if interleaved else slice(0, planes)
        self._y = slice(1, 2 * planes, 2) if interleaved else slice(planes, 2 * planes)

    def of(self, vectors: Floats) -> Floats:
        """Return the VECTORS turned, (tokens, heads, size); what is beyond the planes stays as it is."""
        x, y = vectors[..., self._x], vectors[..., self._y]
        turned = vectors.copy()
        turned[..., self._x] = x * self._cos - y * self._sin
        turned[..., self._y] = x * self._sin + y * self._cos
        return turned
