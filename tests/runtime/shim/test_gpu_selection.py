"""Which devices a request for a GPU selects (runtime/shim/gpu/device.cpp)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.builder.engine import engine_source
from runtime.platforms import platform_named
from tests.builders.compiled import compiled_program

pytestmark = pytest.mark.needs_compiler

SHIM = Path(__file__).parents[3] / "runtime" / "shim"
SOURCE = SHIM / "gpu" / "device.cpp"

NVIDIA, AMD, INTEL, SOFTWARE = "discrete:nvidia", "discrete:amd", "integrated:intel", "software:"
# The brand, whether software counts, the user's choice, the devices, and the indices of those selected.
CASES = {
    "none": ("", "", "", [], []),
    "the only one": ("", "", "", [NVIDIA], [0]),
    "discrete before integrated": ("", "", "", [INTEL, NVIDIA], [1]),
    "an integrated one alone": ("", "", "", [SOFTWARE, INTEL], [1]),
    "several": ("", "", "", [NVIDIA, AMD], [0, 1]),
    "of one brand": ("amd", "", "", [NVIDIA, AMD], [1]),
    "of a brand, although integrated": ("intel", "", "", [NVIDIA, INTEL], [1]),
    "of no such brand": ("amd", "", "", [NVIDIA, INTEL], []),
    "software never": ("", "", "", [SOFTWARE], []),
    "software by request": ("", "software", "", [SOFTWARE], [0]),
    "software only without others": ("", "software", "", [SOFTWARE, NVIDIA], [1]),
    "one that cannot be used": ("", "", "", [f"{NVIDIA}:it has no 16-bit storage", AMD], [1]),
    "the user's order": ("", "", "1 0", [NVIDIA, AMD], [1, 0]),
    "the user's choice of one twice": ("", "", "0 0", [NVIDIA, AMD], [0, 0]),
    "the user's choice of an integrated one too": ("", "", "0 1", [NVIDIA, INTEL], [0, 1]),
    "the user's choice of one that is not there": ("", "", "7", [NVIDIA], []),
    "the user's choice of software": ("", "", "0", [SOFTWARE], []),
    "an unknown type": ("", "", "", ["strange:nvidia"], [0]),
}


@pytest.fixture(scope="module")
def program() -> Path:
    sources = [Path(__file__).with_name("gpu_selection.cpp"), SOURCE]
    flags = ["-std=c++20", f"-I{SHIM}", f"-isystem{engine_source() / 'vendor'}"]
    return compiled_program(platform_named("linux-amd64"), sources, flags, [SOURCE.with_suffix(".h")])


@pytest.mark.parametrize(("brand", "software", "visible", "devices", "expected"), CASES.values(), ids=CASES)
def test_selection(
    program: Path, brand: str, software: str, visible: str, devices: list[str], expected: list[int]
) -> None:
    result = subprocess.run([program, brand, software, visible, *devices], capture_output=True, text=True, check=True)
    assert list(map(int, result.stdout.split())) == expected
