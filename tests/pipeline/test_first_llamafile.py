"""From a GGUF to a file that runs: what the README shows, done as its reader would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pipeline.conftest import run
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = "The capital of France is"
ANSWER = "The capital of France is Paris."


def test_an_only_model_needs_no_name(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    result = run(llamafile, "-p", "hello", "-n", "4", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")


@pytest.mark.parametrize(
    ("defaults", "user", "expected"),
    [
        (["--no-display-prompt", "-n", "0"], ["-p", "a"], "\n"),
        (["-p", "a b", "...", "-n", "0"], [], "a b\n"),
        (["-n", "0", "-p", "mine", "..."], ["-p", "yours"], "yours\n"),
        (["-n", "0", "...", "-p", "mine"], ["-p", "yours"], "mine\n"),
        (["-p", "two\\nlines", "-n", "0"], [], "two\nlines\n"),
    ],
    ids=["appended", "spaces", "placed last", "placed first", "newline"],
)
def test_default_arguments(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], defaults: list[str], user: list[str], expected: str
) -> None:
    lines = "".join(f"{argument}\n" for argument in ["--cli", *defaults])
    add_files(llamafile, [Member("tiny.gguf", tiny_model), Member(".args", lines.encode())])
    result = run(llamafile, *user, env=bare)
    assert result.returncode == 0
    # The newline that ends the text is not doubled after an empty one.
    assert result.stdout == (expected if expected != "\n" else "")


def test_a_member_can_be_meant_in_any_case(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    """`/zip/NAME` is the member; the same name alone is the file that lies here, which is none."""
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    (llamafile.parent / "tiny.gguf").write_text("not a model")
    answer = run(llamafile, "-m", "/zip/tiny.gguf", "-p", "hello", "-n", "2", env=bare, cwd=llamafile.parent)
    assert (answer.returncode, answer.stderr) == (0, "")
    refusal = run(llamafile, "-m", "tiny.gguf", "-p", "hello", "-n", "2", env=bare, cwd=llamafile.parent)
    assert "is not a GGUF file" in refusal.stderr


def test_the_last_mode_counts(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    add_files(llamafile, [Member("tiny.gguf", tiny_model), Member(".args", b"--server\n")])
    result = run(llamafile, "--cli", "-p", "hello", "-n", "2", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
