"""The engine's tools, which the one program is under their names."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import gguf
import pytest

from tests.acceptance.packaging.packing import packed
from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "The quick brown fox jumps over the lazy dog. " * 60


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny model with all the tensors that the tools look at."""
    return TinyModel(context=512).write(tmp_path / "model.gguf")


def run_as(name: str, program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run PROGRAM under NAME, through a link beside it."""
    link = program.with_name(name)
    if not link.is_symlink():
        link.symlink_to(program.name)
    command = [str(link), *map(str, arguments)]
    return subprocess.run(
        ["/bin/sh", *command], capture_output=True, text=True, errors="replace", check=False, timeout=120
    )


@pytest.mark.parametrize("name", ["bench", "imatrix", "perplexity", "quantize", "tokenize"])
def test_h2_each_tool_shows_its_own_help(llamafile: Path, name: str) -> None:
    result = run_as(f"llamafile-{name}", llamafile, "--help")
    assert result.returncode == 0, result.stderr
    own = {
        "bench": "--n-prompt",
        "imatrix": "--output-frequency",
        "perplexity": "--hellaswag",
        "quantize": "--allow-requantize",
        "tokenize": "--no-parse-special",
    }
    text = result.stdout + result.stderr
    assert [tool for tool, option in own.items() if re.search(rf"{option}\b", text)] == [name]


def test_tokens_of_a_text_with_a_model_from_the_archive(llamafile: Path, model: Path) -> None:
    packed(llamafile, model, "-m", "model.gguf", "--temp", "0")
    model.unlink()
    result = run_as("llamafile-tokenize", llamafile, "-m", "tiny.gguf", "--ids", "-p", "ab", "--no-bos")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[259, 260, 261]\n"  # a space, a, b


def test_a_model_is_quantized(llamafile: Path, model: Path, tmp_path: Path) -> None:
    smaller = tmp_path / "smaller.gguf"
    result = run_as("llamafile-quantize", llamafile, model, smaller, "Q8_0")
    assert result.returncode == 0, result.stderr
    types = {tensor.tensor_type.name for tensor in gguf.GGUFReader(smaller).tensors}
    assert "Q8_0" in types
    assert run_as("llamafile", llamafile, "--cli", "-m", smaller, "-p", "a", "-n", "1").returncode == 0


def test_perplexity_of_a_text(llamafile: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    result = run_as("llamafile-perplexity", llamafile, "-m", model, "-f", tmp_path / "text", "-c", "128")
    assert result.returncode == 0, result.stderr
    assert re.search(r"Final estimate: PPL = [0-9.]+", result.stdout + result.stderr)


def test_an_importance_matrix(llamafile: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    matrix = tmp_path / "imatrix.gguf"
    result = run_as("llamafile-imatrix", llamafile, "-m", model, "-f", tmp_path / "text", "-o", matrix, "-c", "128")
    assert result.returncode == 0, result.stderr
    assert any(tensor.name.endswith(".in_sum2") for tensor in gguf.GGUFReader(matrix).tensors)


def test_a_benchmark(llamafile: Path, model: Path) -> None:
    result = run_as("llamafile-bench", llamafile, "-m", model, "-p", 8, "-n", 4, "-r", 1, "-t", 1, "-o", "jsonl")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('"avg_ts"') == 2


def test_under_another_name_it_is_a_llamafile(llamafile: Path) -> None:
    result = run_as("llamafile-quantizer", llamafile, "--version")
    assert result.stdout.startswith("llamafile ")
