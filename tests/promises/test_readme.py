"""What README shows of a terminal is what a terminal shows."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.conftest import tool
from tests.promises.terminal import Terminal, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Step:
    """A command, and what stands below it."""

    command: str
    shown: str

    @property
    def goes_on(self) -> bool:
        """Whether it is still there when the next command is entered, and may show more than stands below it."""
        return self.command.endswith("&")

    @property
    def typed(self) -> list[str]:
        """What its user says, as the chat shows it."""
        return re.findall(r"^> (.*)$", self.shown, re.MULTILINE)

    def is_seen_in(self, output: str) -> bool:
        """Whether OUTPUT is what README shows, where … stands for anything."""
        pattern = ".*".join(map(re.escape, self.shown.split("…"))) + r"(\n.*)?" * self.goes_on
        return re.fullmatch(pattern, output.rstrip(), re.DOTALL) is not None


def transcripts() -> list[list[Step]]:
    """The steps of each code block that begins with a dollar sign and a command."""
    blocks = re.findall(r"(?:^    \$ .*\n)(?:^    .*\n|^\n(?=    ))*", README, re.MULTILINE)
    texts = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]
    steps = [re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE) for text in texts]
    return [[Step(command, shown.rstrip()) for command, shown in found] for found in steps]


@pytest.fixture
def desk(smollm2: Path, tmp_path: Path, bare: dict[str, str]) -> Iterator[Terminal]:
    """A terminal in a folder that has what README takes for granted there."""
    tool("curl")
    (tmp_path / "build").mkdir()
    for name in ("build/smollm2.llamafile", "my.llamafile"):
        (tmp_path / name).symlink_to(smollm2)
    browser = tmp_path / "xdg-open"  # one that opens nothing
    browser.touch(mode=0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    with terminal(tmp_path, bare | {"PATH": path, "TERM": "xterm", "LANG": "C.UTF-8"}) as opened:
        yield opened


def test_no_transcript_is_overlooked() -> None:
    assert sum(map(len, transcripts())) == len(re.findall(r"^ +\$ ", README, re.MULTILINE)) > 0


def test_what_readme_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert "docs/chat.webp" in links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("transcript", transcripts(), ids=lambda steps: steps[0].command)
def test_a_transcript_can_be_repeated(desk: Terminal, transcript: list[Step]) -> None:
    for step in transcript:
        if step.goes_on:
            output = desk.start(step.command.removesuffix("&"), step.is_seen_in)
        else:
            output = desk.run(step.command, step.typed)
        assert step.is_seen_in(output), output
