"""Numbers that are computed from measurements."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from benchmarks.measure import anonymous_kib, percentile, resident_kib, slope

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 95, 7.0),
        ([3.0, 1.0, 2.0, 4.0], 50, 2.0),
        ([3.0, 1.0, 2.0, 4.0], 95, 4.0),
        (range(1, 101), 95, 95),
        (range(1, 65), 95, 61),
        (range(1, 101), 100, 100),
    ],
)
def test_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: Sequence[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0, 5.0, 5.0], 0), ([1.0, 3.0, 5.0, 7.0], 2), ([4.0, 2.0], -2), ([0.0, 1.0, 0.0, 1.0], 0.2)],
)
def test_slope_is_that_of_the_fitted_line(values: Sequence[float], expected: float) -> None:
    assert slope(values) == pytest.approx(expected)


def test_memory_of_a_process_grows_with_what_it_writes() -> None:
    before = anonymous_kib(os.getpid())
    written = bytearray(os.urandom(1 << 20) * 64)
    assert anonymous_kib(os.getpid()) - before >= len(written) // 1024 // 2
    assert resident_kib(os.getpid()) > anonymous_kib(os.getpid()) > 0


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert (anonymous_kib(0), resident_kib(0)) == (0, 0)
