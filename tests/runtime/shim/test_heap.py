"""The memory of C++ objects on Linux (runtime/shim/cpu/heap_linux.cpp)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.platforms import platform_named
from tests.builders.compiled import compiled_program

pytestmark = pytest.mark.needs_compiler

SOURCE = Path(__file__).parents[3] / "runtime" / "shim" / "cpu" / "heap_linux.cpp"
THREADS = 8
TEXTS = 100_000  # of each
GROWTH_MAX = 64  # KiB: what zig's malloc takes from the system at once


@pytest.fixture(scope="module")
def program() -> Path:
    sources = [Path(__file__).with_name("heap.cpp"), SOURCE]
    return compiled_program(platform_named("linux-amd64"), sources, ["-std=c++20", "-O2"], [])


def run(program: Path, *arguments: str) -> str:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


def test_objects_of_all_sizes_are_whole_and_aligned(program: Path) -> None:
    assert run(program, "sizes") == "whole\n"


def test_memory_does_not_grow_where_other_threads_release_it(program: Path) -> None:
    """With zig's malloc alone, it does: by several hundred KiB in this test."""
    after_a_quarter, at_the_end = map(int, run(program, "threads", str(THREADS), str(TEXTS)).split())
    assert at_the_end <= after_a_quarter + GROWTH_MAX
