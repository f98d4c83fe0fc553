"""Llamafiles with a tiny model in them."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.pipeline.conftest import run
from zipalign import Member, add_files

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["added", "busy_port", "packed", "words"]

MODEL = "tiny.gguf"
DEFAULTS = ("-m", MODEL, "--temp", "0")


def packed(llamafile: Path, model: Path, *arguments: str, content: bytes | None = None) -> Path:
    """Put MODEL into LLAMAFILE, and ARGUMENTS, or CONTENT as it is, as its default arguments."""
    lines = "".join(f"{argument}\n" for argument in arguments or DEFAULTS).encode()
    add_files(llamafile, [Member(MODEL, model), Member(".args", lines if content is None else content)])
    return llamafile


def added(program: Path, environment: dict[str, str], *arguments: str, prompt: str = "hello") -> str:
    """What PROGRAM continues PROMPT with, when it says nothing else."""
    result = run(program, *arguments, "-p", prompt, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(prompt)
    return result.stdout.removeprefix(prompt)


def words(result: subprocess.CompletedProcess[str]) -> str:
    """The sentence that says why a program did not start: its last one."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    sentences = [line for line in result.stderr.splitlines() if line.startswith("llamafile: ")]
    assert sentences, result.stderr
    return sentences[-1]


@contextmanager
def busy_port() -> Iterator[int]:
    """A port that is taken for the block."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])
