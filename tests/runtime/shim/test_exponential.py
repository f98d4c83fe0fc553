"""The function for e^x in attention (runtime/shim/cpu/exponential.cpp)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.platforms import host_platform
from tests.builders.compiled import compiled_program

pytestmark = pytest.mark.needs_compiler

SOURCE = Path(__file__).parents[3] / "runtime" / "shim" / "cpu" / "exponential.cpp"


def test_the_result_is_exact_to_one_unit_in_the_last_place() -> None:
    program = compiled_program(host_platform(), [Path(__file__).with_name("exponential.cpp"), SOURCE], ["-std=c++20"])
    worst = float(subprocess.run([program], capture_output=True, text=True, check=True).stdout)
    assert worst <= 1
