"""How many threads compute by default: not more than the process has processors."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import tool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("options", "expected"), [([], 1), (["-t", "0"], 1), (["-t", "2"], 2)], ids=["by default", "-t 0", "-t 2"]
)
def test_an_affinity_mask_of_one_processor(program: Path, tiny_model: Path, options: list[str], expected: int) -> None:
    mask = [tool("taskset"), "-c", str(min(os.sched_getaffinity(0)))]
    ask = ["-m", str(tiny_model), "-p", "hello", "-n", "1", "--temp", "0", "-v"]
    result = subprocess.run(
        [*mask, program, *ask, *options], capture_output=True, text=True, errors="replace", timeout=120, check=True
    )
    assert re.findall(r"n_threads = (\d+)", result.stderr)[0] == str(expected)
