"""The feed-forward part of a layer, which computes each token separately.

Gated linear units: https://arxiv.org/abs/2002.05202.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.portable.weights import Floats

__all__ = ["ACTIVATIONS", "gelu", "silu"]


def silu(x: Floats) -> Floats:
    """Return x times its logistic function: https://arxiv.org/abs/1702.03118."""
    with np.errstate(over="ignore"):  # the quotient is then 0, as expected
        product: Floats = x / (1 + np.exp(-x))
    return product


def gelu(x: Floats) -> Floats:
    """Return x times the normal distribution's function, approximated by tanh: https://arxiv.org/abs/1606.08415."""
    slope = np.float32(math.sqrt(2 / math.pi))
    doubled: Floats = 1 + np.tanh(slope * (x + np.float32(0.044715) * x**3))
    return x * doubled / np.float32(2)


ACTIVATIONS: Final[dict[str, Callable[[Floats], Floats]]] = {"silu": silu, "gelu": gelu}
