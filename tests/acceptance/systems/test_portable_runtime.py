"""The portable runtime writes what the program does, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime.builder.artifacts import demo_model
from runtime.portable.cli import main
from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from collections.abc import Sequence

EXACT = (
    "-fa",
    "off",
    "-ctk",
    "f32",
    "-ctv",
    "f32",
    "-t",
    "1",
)  # the engine computes with 32-bit numbers, as Python does


@pytest.fixture(scope="module", params=[True, False], ids=["space", "no space"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with byte tokens, which makes parts of characters; one that puts a space in front of prompts, or not."""
    folder = tmp_path_factory.mktemp("model")
    return TinyModel(layers=2, seed=5, space_prefix=bool(request.param)).write(folder / "model.gguf")


def native(program: Path, model: Path, arguments: Sequence[str | bytes]) -> bytes:
    """What the program writes."""
    command = [program, "-m", model, *EXACT, "--temp", "0", *arguments]
    result = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


CASES: list[Sequence[str]] = [
    ["-p", "hello", "-n", "60"],
    ["-p", "hello world\n", "-n", "3"],
    ["-p", "two\n", "-n", "0"],
    ["-p", "none", "-n", "0"],
    ["-p", "", "-n", "12"],
    ["-p", "", "-n", "0"],
    ["-p", "a\\nb\\x41\\q", "-n", "5"],
    ["-e", "-p", "a\\nb\\x41\\q", "-n", "5"],
    ["-p", "na\u00efve \u65e5\u672c\u8a9e <s></s>", "-n", "20"],
    ["-p", "no \udcff\udce2 UTF-8", "-n", "4"],
    ["--no-display-prompt", "-p", "hello", "-n", "30"],
    ["--no-display-prompt", "-p", "hello", "-n", "0"],
    ["--silent-prompt", "--random-prompt", "-n", "10"],
    ["-f", "PROMPT", "-n", "4"],
    ["-bf", "PROMPT", "-n", "4"],
    ["-p", "hello", "-n", "200", "-r", "a", "-r", "b"],
    ["-e", "-p", "hello", "-n", "200", "-r", "\\x65"],
    ["-p", "full", "-n", "-1"],
]


@pytest.mark.parametrize("arguments", CASES, ids=lambda case: " ".join(case).encode("unicode_escape").decode())
def test_the_same_bytes(
    program: Path, model: Path, tmp_path: Path, arguments: Sequence[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "PROMPT").write_bytes(b"from a file\n\n")
    arguments = [str(tmp_path / "PROMPT") if argument == "PROMPT" else argument for argument in arguments]
    expected = native(program, model, arguments)
    assert main([str(model), "--temp", "0", *arguments]) == 0
    assert capfdbinary.readouterr().out == expected


def test_a_real_model(smollm2: Path, program: Path) -> None:
    arguments = ["-p", "The capital of France is", "-n", "2", "--temp", "0"]
    command = [sys.executable, "-m", "runtime", str(smollm2), *arguments]
    result = subprocess.run(command, capture_output=True, timeout=300, check=False, cwd=Path(__file__).parents[3])
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == b"The capital of France is Paris.\n"
    assert result.stdout == native(program, demo_model(), arguments)
