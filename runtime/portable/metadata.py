"""The metadata of a model's architecture; each value is checked when it is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runtime.errors import ModelError

if TYPE_CHECKING:
    from runtime.gguf.header import GgufHeader

__all__ = ["Metadata"]


class Metadata:
    """The keys of one architecture, without its name as their prefix.

    Each method raises a ModelError if the value is invalid, or absent without a default.
    """

    def __init__(self, header: GgufHeader, architecture: str) -> None:
        self._header = header
        self._architecture = architecture

    def count(self, key: str, default: int | None = None, *, most: int) -> int:
        """Return a count from 1 to MOST."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self._invalid(key, value, f"a number from 1 to {most}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number that is not negative."""
        value = self._value(key, default)
        if isinstance(value, str) or not math.isfinite(value) or value < 0:
            raise self._invalid(key, value, "a number")
        return float(value)

    def string(self, key: str, default: str) -> str:
        """Return a text."""
        return str(self._value(key, default))

    def numbers(self, key: str) -> tuple[int | float, ...] | None:
        """Return an array of numbers, or None if there is no array."""
        array = self._header.arrays.get(self._full_key(key))
        return None if array is None else array.numbers()

    def __contains__(self, key: str) -> bool:
        return self._full_key(key) in self._header.metadata

    def _value(self, key: str, default: float | str | None) -> int | float | str:
        value = self._header.metadata.get(self._full_key(key), default)
        if value is None:
            kind = "an array" if self._full_key(key) in self._header.arrays else "absent"
            raise ModelError(f"{self._full_key(key)} is {kind} (expected a single value)")
        return value

    def _full_key(self, key: str) -> str:
        return f"{self._architecture}.{key}"

    def _invalid(self, key: str, value: object, expected: str) -> ModelError:
        return ModelError(f"{self._full_key(key)} is {value!r} (expected {expected})")
