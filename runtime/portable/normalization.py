"""Root mean square layer normalisation: https://arxiv.org/abs/1910.07467."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from runtime.portable.weights import Floats

__all__ = ["rms_norm"]


def rms_norm(vectors: Floats, weight: Floats, epsilon: float) -> Floats:
    """Divide each vector (along the last axis) by the root of the mean of its squares, then multiply by WEIGHT.

    EPSILON prevents a division by zero.
    """
    mean_square = np.mean(np.square(vectors), axis=-1, keepdims=True)
    result: Floats = vectors / np.sqrt(mean_square + np.float32(epsilon)) * weight
    return result
