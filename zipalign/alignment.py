"""Arithmetic of alignments, in bytes."""

from __future__ import annotations

__all__ = ["align_up", "is_power_of_two"]


def align_up(offset: int, alignment: int) -> int:
    """Return the first multiple of ALIGNMENT from OFFSET on."""
    return offset + -offset % alignment


def is_power_of_two(number: int) -> bool:
    """Return whether NUMBER is a power of two."""
    return number > 0 and not number & (number - 1)
