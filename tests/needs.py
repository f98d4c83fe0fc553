"""Marks for what a test needs: derived from its fixtures where these tell, written in its file where not.

A test without the mark fails when it uses what the mark stands for, so `make quick` can rely on them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import pytest

from runtime.builder.cache import cache_root

if TYPE_CHECKING:
    from collections.abc import Generator

# The fixtures that tell: the product in its forms (an APE, a copy of it, one with a model, the native programs).
_FIXTURES: Final = {
    "attack": "needs_compiler",
    "amd64": "needs_runtime",
    "arm64": "needs_runtime",
    "engine": "needs_runtime",
    "llamafile": "needs_runtime",
    "program": "needs_runtime",
    "runtime": "needs_runtime",
    "smollm2": "needs_runtime",
    "windows": "needs_runtime",
}
# The folders of the cache with compiled programs. The loaders are not among them: they compile within a second.
_MARKS: Final = {
    "engine": "needs_runtime",
    "gpu": "needs_runtime",
    "pages": "needs_runtime",
    "program": "needs_runtime",
    "runtime": "needs_runtime",
    "shaders": "needs_runtime",
    "vulkan": "needs_runtime",
    "test-program": "needs_compiler",
}
# Seconds that a test with the compiler may take: with an empty cache, zig compiles its libc++ for eight platforms.
_COMPILER_TIMEOUT: Final = 1800
_CACHE: Final = f"{cache_root()}{os.sep}"  # before a test sets another one


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test the marks of its fixtures, and of the fixtures of these, and time for what it compiles."""
    names = getattr(item, "fixturenames", ())
    for mark in sorted({_FIXTURES[name] for name in names if name in _FIXTURES}):
        item.add_marker(mark)
    if item.get_closest_marker("needs_compiler") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(_COMPILER_TIMEOUT))


class _Watch:
    """The test that runs now, and what it may not use."""

    def __init__(self) -> None:
        self.missing: frozenset[str] = frozenset()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.missing or event not in {"open", "subprocess.Popen"}:
            return
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
        mark = _MARKS.get(path.removeprefix(_CACHE).partition(os.sep)[0]) if path.startswith(_CACHE) else None
        if mark in self.missing:
            raise AssertionError(f"this test uses {path}: it takes the mark {mark}")


_watch = _Watch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse to the test all compiled programs that its marks do not name."""
    _watch.missing = frozenset(_MARKS.values()) - {mark.name for mark in item.iter_markers()}
    try:
        return (yield)
    finally:
        _watch.missing = frozenset()
