"""Merging of neighbouring symbols, the best pair first, until no pair can be merged.

BPE and SPM both use it, with different ranks. It comes from data compression: Sennrich et al., 2016
(https://arxiv.org/abs/1508.07909).
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["merge"]


def merge(symbols: list[str], rank: Callable[[str, str], float | None]) -> list[str]:
    """Return SYMBOLS after all merges; the list is changed.

    RANK returns the priority of merging two neighbours, the lowest first, or None if they are not merged. Of equal
    pairs, the leftmost is merged first.
    """
    following = list(range(1, len(symbols) + 1))
    preceding = list(range(-1, len(symbols) - 1))
    pairs: list[tuple[float, int, int, str]] = []

    def push_pair(left: int, right: int) -> None:
        if left < 0 or right >= len(symbols):
            return
        place = rank(symbols[left], symbols[right])
        if place is not None:
            heappush(pairs, (place, left, right, symbols[left] + symbols[right]))

    for left in range(len(symbols) - 1):
        push_pair(left, left + 1)
    while pairs:
        _, left, right, joined = heappop(pairs)
        if not symbols[left] or not symbols[right] or symbols[left] + symbols[right] != joined:
            continue  # merged meanwhile
        symbols[left], symbols[right] = joined, ""
        following[left] = following[right]
        if following[left] < len(symbols):
            preceding[following[left]] = left
        push_pair(preceding[left], left)
        push_pair(left, following[left])
    return [symbol for symbol in symbols if symbol]
