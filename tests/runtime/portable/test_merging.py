"""Merging of neighbours, the best pair first."""

from __future__ import annotations

import pytest

from runtime.portable.merging import merge

RANKS = {"a b": 0, "b c": 1, "ab c": 2, "c d": 3, "x x": 4, "xx xx": 5}


def rank(left: str, right: str) -> int | None:
    return RANKS.get(f"{left} {right}")


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ("", []),
        ("z", ["z"]),
        ("zy", ["z", "y"]),
        ("ab", ["ab"]),
        ("abc", ["abc"]),  # not a, bc: the earlier rank wins
        ("bcd", ["bc", "d"]),
        ("abcd", ["abc", "d"]),  # c was taken before it could be merged with d
        ("xxx", ["xx", "x"]),  # of equal pairs, the leftmost
        ("xxxxx", ["xxxx", "x"]),
        ("abzab", ["ab", "z", "ab"]),
    ],
)
def test_pairs(symbols: str, expected: list[str]) -> None:
    assert merge(list(symbols), rank) == expected


@pytest.mark.slow
def test_a_long_run() -> None:
    """A search of the whole list for each merge would take hours."""
    assert merge(["x"] * 200_000, rank) == ["xxxx"] * 50_000
