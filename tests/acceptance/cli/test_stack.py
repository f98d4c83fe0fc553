"""A limit of the stack below the engine's needs: raised, or named in one sentence."""

from __future__ import annotations

import resource
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024


def version(program: Path, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    limits = (soft * KIB, hard if hard == resource.RLIM_INFINITY else hard * KIB)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, limits)

    command = [str(program), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)  # one thread


@pytest.mark.parametrize("soft", [64, 128])
@pytest.mark.parametrize("hard", [256, 8192, resource.RLIM_INFINITY])
def test_a_limit_that_can_be_raised(program: Path, soft: int, hard: int) -> None:
    result = version(program, soft, hard)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("llamafile ")


@pytest.mark.parametrize("hard", [64, 128])
def test_a_limit_that_cannot(program: Path, hard: int) -> None:
    result = version(program, hard, hard)
    sentence = f"llamafile: the stack is limited to {hard} KiB, and the engine needs 256: raise the limit"
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1
