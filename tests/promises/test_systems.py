"""Rows F1 to F8 and E6 of the promises: the systems and processors that a llamafile runs on."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from runtime.build import build
from runtime.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.conftest import tool
from tests.pipeline.conftest import QEMU

if TYPE_CHECKING:
    from pathlib import Path

X86_64 = "qemu-x86_64-static"
REFUSAL = (
    "llamafile: this processor has no SSSE3, which Intel's have had since 2006 and AMD's since 2011; "
    "it cannot run this program"
)


@pytest.fixture(scope="session")
def amd64() -> Path:
    """The program for Linux on amd64."""
    return build(platform_named("linux-amd64")).path


@pytest.fixture(scope="session")
def arm64() -> Path:
    """The program for Linux on arm64."""
    return build(platform_named("linux-arm64")).path


def complete(*command: str | Path, model: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "-m", model, "-p", "hello", "-n", "4", "--temp", "0"],
        capture_output=True, text=True, errors="replace", check=False, timeout=300,
    )  # fmt: skip  # the command, then how it is run


def test_f1_a_kernel_of_2006(amd64: Path, tiny_model: Path) -> None:
    result = complete(tool(X86_64), "-r", "2.6.18", "-cpu", "max", amd64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


# Later than Linux 2.6.18; where one is missing, something else must do.
YOUNG_CALLS = ("getrandom", "statx", "rseq", "membarrier", "clone3", "openat2", "prlimit64", "pipe2", "preadv2")


@pytest.mark.parametrize("call", YOUNG_CALLS)
def test_f1_a_kernel_without_a_call(amd64: Path, tiny_model: Path, tmp_path: Path, call: str) -> None:
    strace = [tool("strace"), "-f", "-qq", "-o", str(tmp_path / "log"), "-e", f"inject={call}:error=ENOSYS"]
    result = complete(*strace, amd64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


@pytest.mark.parametrize("processor", ["qemu64", "qemu64,-sse3", "Opteron_G3"])
def test_f6_a_processor_that_is_too_old_is_refused(amd64: Path, processor: str) -> None:
    """In a sentence, instead of by an illegal instruction, whatever it is asked to do."""
    result = subprocess.run(
        [tool(X86_64), "-cpu", processor, amd64, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    said = [line for line in result.stderr.splitlines() if not line.startswith("qemu")]
    assert (result.returncode, result.stdout) == (1, "")
    assert said == [REFUSAL]


def test_f6_so_it_is_by_the_loader(runtime: Path, tmp_path: Path) -> None:
    """The loader itself runs on any amd64 processor."""
    loader = tmp_path / "ape"
    loader.write_bytes(loader_bytes(platform_named("linux-amd64")))
    loader.chmod(0o755)
    command = [tool(X86_64), "-cpu", "qemu64", str(loader), str(runtime), "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "has no SSSE3" in result.stderr


def test_f6_the_oldest_that_will_do(amd64: Path, tiny_model: Path) -> None:
    result = complete(tool(X86_64), "-cpu", "core2duo", amd64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


@pytest.mark.parametrize("processor", ["cortex-a53", "max"])
def test_f8_processors_of_arm(arm64: Path, tiny_model: Path, processor: str) -> None:
    result = complete(tool(QEMU), "-cpu", processor, arm64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")


def test_e6_an_address_space_of_39_bits(arm64: Path, tiny_model: Path) -> None:
    result = complete(tool(QEMU), "-R", "0x8000000000", arm64, model=tiny_model)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("hello")
