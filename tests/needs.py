"""Marks for what a test needs, derived from the fixtures that it uses.

A test that compiles without a fixture carries its mark in its own file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["mark_needs"]

# The product in its forms: an APE, a copy of it, an APE with a model, and the native programs. Each takes a build.
_PRODUCT: Final = frozenset({"amd64", "arm64", "llamafile", "program", "runtime", "smollm2"})


def mark_needs(items: Iterable[pytest.Item]) -> None:
    """Mark each test whose fixtures, or fixtures of these, include the product."""
    for item in items:
        if not _PRODUCT.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.needs_runtime)
