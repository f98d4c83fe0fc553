"""I1, I2: the default arguments that a llamafile carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.packaging.packing import added, busy_port, packed, words
from tests.pipeline.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

BIAS = "-l\n260+100\n"  # the letter a, every time


def test_i1_the_users_arguments_come_last(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    program = packed(llamafile, tiny_model, "-n", "3", "-l", "260+100")
    assert added(program, bare) == "aaa\n"
    assert added(program, bare, "-n", "5") == "aaaaa\n"


def test_i1_three_dots_are_where_they_come(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    program = packed(llamafile, tiny_model, "-l", "260+100", "-n", "2", "...", "-n", "3")
    assert added(program, bare, "-n", "5") == "aaa\n"


def test_i1_three_dots_may_be_a_value(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    program = packed(llamafile, tiny_model, "-l", "260+100", "-n", "3", "-p", "...", "-s", "1")
    result = run(program, "good morning", env=bare)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "good morningaaa\n")


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (f"{BIAS}-n\r\n3\r\n-p\r\none two\r\n", "one two"),
        (f"\ufeff{BIAS}-n\n3\n-p\none two", "one two"),
        (f"\n\n{BIAS}\n-n\n\n3\n-p\n  one  \n", "  one  "),
        (f"{BIAS}-n\n3\n-p\none\\ntwo\n", "one\ntwo"),
        (f"{BIAS}-n\n3\n-p\n'one' \"two\" # $HOME\n", "'one' \"two\" # $HOME"),
        (f"{BIAS}-n\n3\n-p\né\n", "é"),
        (f"{BIAS}-n\n3\n-p\n{'x' * 100}", "x" * 100),
    ],
    ids=["crlf", "byte order mark", "empty lines and spaces", "newline", "literal", "utf-8", "no final newline"],
)
def test_i1_one_argument_a_line(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], content: str, prompt: str
) -> None:
    result = run(packed(llamafile, tiny_model, content=content.encode()), env=bare)
    assert (result.returncode, result.stderr, result.stdout) == (0, "", f"{prompt}aaa\n")


def test_i2_the_example_of_the_manual(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    with busy_port() as port:
        everywhere = ("--host", "0.0.0.0")  # noqa: S104  # what the example says
        program = packed(llamafile, tiny_model, "-m", "tiny.gguf", *everywhere, "-ngl", "9999", "...")
        result = run(program, "--port", str(port), env=bare)
    assert result.returncode == 1
    assert "'-ngl' has no effect" in result.stderr
    # The engine's log has a thread of its own, whose line may come last.
    assert f"0.0.0.0:{port}" in [line for line in result.stderr.splitlines() if line.startswith("llamafile:")][-1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"-m\ntiny\0.gguf\n", "NUL"),
        (b"...\n...\n", "'...'"),
        (b"-m tiny.gguf\n", "'-m tiny.gguf'"),
        (b"-m\ntiny.gguf\n-n", "'-n' needs a value"),
        (b"x" * (1 << 20), "belongs to no option"),
    ],
    ids=["NUL", "two places", "two words", "no value", "long line"],
)
def test_a_mistake_is_one_sentence(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], content: bytes, expected: str
) -> None:
    assert expected in words(run(packed(llamafile, tiny_model, content=content), env=bare))
