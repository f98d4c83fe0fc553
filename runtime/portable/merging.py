"""Merging: two neighbours become one, the best pair first, until no pair is known.

Both kinds of vocabulary are used like this; they differ in what makes a pair good. Sennrich et al., 2016
(https://arxiv.org/abs/1508.07909), took it over from a way to compress data.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["merged"]


def merged(symbols: list[str], rank: Callable[[str, str], float | None]) -> list[str]:
    """Return what becomes of SYMBOLS, which is changed.

    RANK says of two neighbours how early they are merged, the lowest first, or None where they never are. Of equals the
    leftmost is first.
    """
    behind = list(range(1, len(symbols) + 1))
    before = list(range(-1, len(symbols) - 1))
    pairs: list[tuple[float, int, int, str]] = []

    def offer(left: int, right: int) -> None:
        if left < 0 or right >= len(symbols):
            return
        place = rank(symbols[left], symbols[right])
        if place is not None:
            heappush(pairs, (place, left, right, symbols[left] + symbols[right]))

    for left in range(len(symbols) - 1):
        offer(left, left + 1)
    while pairs:
        _, left, right, whole = heappop(pairs)
        if not symbols[left] or not symbols[right] or symbols[left] + symbols[right] != whole:
            continue  # one of them has been merged since
        symbols[left], symbols[right] = whole, ""
        behind[left] = behind[right]
        if behind[left] < len(symbols):
            before[behind[left]] = left
        offer(before[left], left)
        offer(left, behind[left])
    return [symbol for symbol in symbols if symbol]
