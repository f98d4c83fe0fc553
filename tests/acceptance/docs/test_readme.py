"""The transcripts and examples in the documentation are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.acceptance.api.servers import serving
from tests.acceptance.cli.terminal import Terminal, terminal
from tests.acceptance.docs.readme import PAGES, page
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT: Final = "".join(map(page, PAGES))


@dataclass(frozen=True)
class Step:
    """A command, and its output below it."""

    command: str
    shown: str

    @property
    def goes_on(self) -> bool:
        """Whether it is still there when the next command is entered, and may show more than stands below it."""
        return self.command.endswith("&")

    @property
    def typed(self) -> list[str]:
        """The user's lines, as the chat shows them."""
        return re.findall(r"^> (.*)$", self.shown, re.MULTILINE)

    def is_seen_in(self, output: str) -> bool:
        """Whether OUTPUT is shown in the documentation, where … stands for anything."""
        pattern = ".*".join(map(re.escape, self.shown.split("…"))) + r"(\n.*)?" * self.goes_on
        return re.fullmatch(pattern, output.rstrip(), re.DOTALL) is not None


def transcripts() -> list[list[Step]]:
    """The steps of each code block that begins with a dollar sign and a command."""
    blocks = re.findall(r"(?:^    \$ .*\n)(?:^    .*\n|^\n(?=    ))*", TEXT, re.MULTILINE)
    texts = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]
    steps = [re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE) for text in texts]
    return [[Step(command, shown.rstrip()) for command, shown in found] for found in steps]


@pytest.fixture
def desk(
    runtime: Path, smollm2: Path, llamafile: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]
) -> Iterator[Terminal]:
    """A terminal in a folder with the files that the documentation names."""
    tool("curl")
    for folder in ("build", "www"):
        (tmp_path / folder).mkdir()
    for name in ("build/smollm2.llamafile", "my.llamafile"):
        (tmp_path / name).symlink_to(smollm2)
    (tmp_path / "build" / "llamafile").symlink_to(runtime)
    (tmp_path / "model.gguf").symlink_to(tiny_model)
    llamafile.rename(tmp_path / "cat.llamafile")
    (tmp_path / "www" / "index.html").write_text("<!doctype html><title>cats</title>")
    browser = tmp_path / "xdg-open"  # one that opens nothing
    browser.touch(mode=0o755)
    shown = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "xterm", "LANG": "C.UTF-8"}
    # numpy's threads wait actively, which on a busy machine takes minutes.
    with terminal(tmp_path, bare | shown | {"OPENBLAS_NUM_THREADS": "1"}) as opened:
        yield opened


def test_no_transcript_is_overlooked() -> None:
    assert sum(map(len, transcripts())) == len(re.findall(r"^ +\$ ", TEXT, re.MULTILINE)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("transcript", transcripts(), ids=lambda steps: steps[0].command)
def test_a_transcript_can_be_repeated(desk: Terminal, transcript: list[Step]) -> None:
    for step in transcript:
        if step.goes_on:
            output = desk.start(step.command.removesuffix("&"), step.is_seen_in)
        else:
            output = desk.run(step.command, step.typed)
        assert step.is_seen_in(output), output


def test_the_python_example_answers(smollm2: Path, bare: dict[str, str], tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    with serving(["/bin/sh", smollm2, "--nobrowser"], tmp_path / "log", bare) as server:
        code = example.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (result.stdout, result.stderr) == ("The capital of France is Paris.\n", "")
