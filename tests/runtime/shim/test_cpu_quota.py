"""The processor time that control groups grant (runtime/shim/cpu/cpu_quota_linux.cpp)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.platforms import platform_named
from tests.builders.compiled import compiled_program

pytestmark = pytest.mark.needs_compiler

SHIM = Path(__file__).parents[3] / "runtime" / "shim"
SOURCE = SHIM / "cpu" / "cpu_quota_linux.cpp"
HEADER = SOURCE.with_suffix(".h")

# The membership, the files of the groups, and the quota in processors.
CASES = {
    "no groups": ("", {}, "none"),
    "no files": ("0::/a\n", {}, "none"),
    "no limit": ("0::/a\n", {"a/cpu.max": "max 100000"}, "none"),
    "half a processor": ("0::/a\n", {"a/cpu.max": "50000 100000"}, "0.5"),
    "a limit above": ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, "2"),
    "the lowest of two": ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "300000 100000"}, "2"),
    "the root of a container": ("0::/docker/1234\n", {"cpu.max": "150000 100000"}, "1.5"),
    "an empty file": ("0::/a\n", {"a/cpu.max": ""}, "none"),
    "no number": ("0::/a\n", {"a/cpu.max": "many 100000"}, "none"),
    "no period": ("0::/a\n", {"a/cpu.max": "50000 0"}, "none"),
    "version 1": (
        "3:cpu,cpuacct:/a\n0::/\n",
        {"cpu,cpuacct/a/cpu.cfs_quota_us": "250000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
        "2.5",
    ),
    "version 1 without a limit": (
        "3:cpu:/a\n",
        {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
        "none",
    ),
    "another controller": (
        "3:cpuset:/a\n",
        {"cpuset/a/cpu.cfs_quota_us": "1", "cpuset/a/cpu.cfs_period_us": "1"},
        "none",
    ),
    "a damaged line": ("nonsense\n0::/a\n", {"a/cpu.max": "50000 100000"}, "0.5"),
}


@pytest.fixture(scope="module")
def program() -> Path:
    sources = [Path(__file__).with_name("cpu_quota.cpp"), SOURCE]
    return compiled_program(platform_named("linux-amd64"), sources, ["-std=c++20", f"-I{SHIM}"], [HEADER])


@pytest.mark.parametrize(("membership", "files", "quota"), CASES.values(), ids=CASES)
def test_quota(program: Path, tmp_path: Path, membership: str, files: dict[str, str], quota: str) -> None:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    result = subprocess.run([program, tmp_path, membership], capture_output=True, text=True, check=True)
    assert result.stdout == f"{quota}\n"
