"""Which token comes next."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from runtime.portable.sampling import Sampler

# In their order: 2, 0, 3, 1; the odds are 64, 16, 16 (16 again) and 4 of 100.
LOGITS = np.log(np.array([16, 4, 64, 16], np.float32))
DRAWS = 4000


def drawn(sampler: Sampler, logits: np.ndarray = LOGITS) -> dict[int, float]:
    """How often each token is chosen."""
    counts = Counter(sampler.next(logits) for _ in range(DRAWS))
    return {token: count / DRAWS for token, count in counts.items()}


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_without_temperature_it_is_the_likeliest(temperature: float) -> None:
    assert drawn(Sampler(temperature, 40, 0.95, 0.05)) == {2: 1.0}
    assert Sampler(temperature, 1, 0.0, 1.0).next(np.array([1, 3, 3], np.float32)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("top_k", "top_p", "min_p", "expected"),
    [
        (0, 1.0, 0.0, {2: 0.64, 0: 0.16, 3: 0.16, 1: 0.04}),
        (40, 1.0, 0.0, {2: 0.64, 0: 0.16, 3: 0.16, 1: 0.04}),
        (1, 1.0, 0.0, {2: 1.0}),
        (0, 0.7, 0.0, {2: 0.8, 0: 0.2}),  # the one that reaches it is the last; of equals, the first
        (0, 0.0, 0.0, {2: 1.0}),
        (0, 1.0, 0.1, {2: 0.667, 0: 0.167, 3: 0.167}),
        (0, 1.0, 1.0, {2: 1.0}),
        (3, 0.99, 0.0, {2: 0.667, 0: 0.167, 3: 0.167}),
    ],
)
def test_who_has_a_chance(top_k: int, top_p: float, min_p: float, expected: dict[int, float]) -> None:
    found = drawn(Sampler(1.0, top_k, top_p, min_p, seed=7))
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=0.04)


@pytest.mark.slow
def test_temperature() -> None:
    """Probabilities are raised to its reciprocal, after the filters."""
    assert drawn(Sampler(0.5, 0, 1.0, 0.0, seed=7))[2] == pytest.approx(64**2 / (64**2 + 2 * 16**2 + 4**2), abs=0.04)
    assert drawn(Sampler(100.0, 0, 0.7, 0.0, seed=7)) == pytest.approx({2: 0.5, 0: 0.5}, abs=0.04)


def test_the_same_seed_is_the_same_text() -> None:
    def text(seed: int | None) -> list[int]:
        sampler = Sampler(1.0, 0, 1.0, 0.0, seed=seed)
        return [sampler.next(LOGITS) for _ in range(200)]

    assert text(1) == text(1)
    assert text(1) != text(2)
    assert text(None) != text(None)


def test_what_is_no_number_is_no_reason_to_fail() -> None:
    """Damaged weights may make it."""
    with np.errstate(all="ignore"):
        assert 0 <= Sampler(1.0, 2, 0.9, 0.05, seed=1).next(np.full(4, np.nan, np.float32)) < 4
        assert 0 <= Sampler(1.0, 2, 0.9, 0.05, seed=1).next(np.full(4, np.inf, np.float32)) < 4
