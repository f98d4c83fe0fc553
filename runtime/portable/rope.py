"""Rotary position embeddings (RoPE): queries and keys are rotated by angles proportional to the position.

The vector of a head is a list of pairs of numbers, points in as many planes. Each plane rotates at its own frequency,
so that the product of a query and a key depends on their distance: https://arxiv.org/abs/2104.09864.

A longer context than that of the training takes lower frequencies: all scaled alike (linear,
https://arxiv.org/abs/2306.15595), the low ones more than the high ones (YaRN, https://arxiv.org/abs/2309.00071), or
each by a factor in the file (Llama 3.1).
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

# Rotations within the original context from which on a plane keeps its frequency, and up to which its frequency is
# divided by the whole factor; between them, the share falls linearly.
_YARN_BETA_FAST: Final = 32
_YARN_BETA_SLOW: Final = 1


class Rope:
    """The frequencies of the planes.

    Args:
        parameters: those of the model.
        window: whether it is for layers with a window.
        factors: divisors of the frequencies; None: none.
    """

    def __init__(self, parameters: RopeParameters, *, window: bool = False, factors: Floats | None = None) -> None:
        base = parameters.window_base if window else parameters.base
        exponents = np.arange(0, parameters.dimension_count, 2) / parameters.dimension_count
        frequencies = base**-exponents
        if factors is not None:
            frequencies = frequencies / factors
        self._attention_factor = parameters.attention_factor
        if parameters.scaling == "linear" and not window:
            frequencies = frequencies / parameters.factor
        elif parameters.scaling == "yarn" and not window:
            ramp = _yarn_ramp(parameters, base)
            frequencies = frequencies * ramp + frequencies / parameters.factor * (1 - ramp)
            self._attention_factor *= 1 + 0.1 * math.log(max(1.0, parameters.factor))
        self._frequencies: NDArray[np.float64] = frequencies

    def at(self, positions: Sequence[int], layout: str) -> Rotation:
        """Return the rotation for tokens at these POSITIONS."""
        angles = np.outer(positions, self._frequencies)
        return Rotation(np.cos(angles) * self._attention_factor, np.sin(angles) * self._attention_factor, layout)


def _yarn_ramp(parameters: RopeParameters, base: float) -> NDArray[np.float64]:
    """Return the share of its frequency that each plane keeps, from 0 to 1."""
    planes = parameters.dimension_count // 2

    def plane_of_rotations(rotations: int) -> float:
        return planes * math.log(parameters.original_context_size / (rotations * 2 * math.pi)) / math.log(base)

    first = max(0, math.floor(plane_of_rotations(_YARN_BETA_FAST)))
    last = min(parameters.dimension_count - 1, math.ceil(plane_of_rotations(_YARN_BETA_SLOW)))
    return 1 - np.clip((np.arange(planes) - first) / max(0.001, last - first), 0, 1)


class Rotation:
    """The rotation of the vectors of some tokens.

    Args:
        cos: of the angles, (tokens, planes).
        sin: of the angles, (tokens, planes).
        layout: the coordinates in a plane are neighbours in a vector ("interleaved"), or a number of the first half
            and its counterpart in the second ("halves").
    """

    def __init__(self, cos: NDArray[np.float64], sin: NDArray[np.float64], layout: str) -> None:
        self._cos = cos.astype(np.float32)[:, np.newaxis]
        self._sin = sin.astype(np.float32)[:, np.newaxis]
        planes = cos.shape[1]
        interleaved = layout == "interleaved"
        self._x = slice(0, 2 * planes, 2) if interleaved else slice(0, planes)
        self._y = slice(1, 2 * planes, 2) if interleaved else slice(planes, 2 * planes)

    def apply(self, vectors: Floats) -> Floats:
        """Return the VECTORS rotated, (tokens, heads, size); numbers beyond the planes are unchanged."""
        x, y = vectors[..., self._x], vectors[..., self._y]
        rotated = vectors.copy()
        rotated[..., self._x] = x * self._cos - y * self._sin
        rotated[..., self._y] = x * self._sin + y * self._cos
        return rotated
