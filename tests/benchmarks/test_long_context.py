"""Memory by the length of the context."""

from __future__ import annotations

from benchmarks.bench_long_context import kib_per_token


def test_memory_per_token_is_a_difference() -> None:
    assert kib_per_token({1000: 50_000, 5000: 58_000, 3000: 1}) == 2
