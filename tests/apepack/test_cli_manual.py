"""apepack(1) documents every option, exit status and file, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from apepack.cli import command

MANUAL = Path(__file__).parents[2] / "man" / "man1" / "apepack.1"


def _section(name: str) -> str:
    found = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", MANUAL.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def _options() -> list[click.Option]:
    context = command.make_context("apepack", [], resilient_parsing=True)
    return [param for param in command.get_params(context) if isinstance(param, click.Option)]


def _documented(text: str) -> set[str]:
    return {f"-{flag}" for flag in re.findall(r"(?:Fl |[|] )(-?[a-z-]+)", text)}


def test_every_option_is_in_the_manual_and_back() -> None:
    lines = [line for line in _section("OPTIONS").splitlines() if line.startswith(".It Fl")]
    assert _documented("\n".join(lines)) == {name for option in _options() for name in option.opts}


def test_synopsis_knows_every_option() -> None:
    named = _documented(_section("SYNOPSIS"))
    assert [option.opts for option in _options() if not named & set(option.opts)] == []


def test_every_operand_is_in_the_manual() -> None:
    for operand in ("model.gguf", "arg", "build"):
        assert f"Ar {operand}" in _section("SYNOPSIS")
        assert f"Ar {operand}" in _section("DESCRIPTION")


def test_exit_statuses() -> None:
    assert re.findall(r"^\.It (\d+)$", _section("EXIT STATUS"), re.MULTILINE) == ["0", "1", "2", "129", "130", "143"]


@pytest.mark.parametrize("name", ["CHECKS", "ENVIRONMENT", "FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO"])
def test_sections(name: str) -> None:
    assert _section(name).strip()


def test_schema_is_where_the_manual_says() -> None:
    (named,) = re.findall(r"^\.Pa (\S+\.json)$", _section("OPTIONS"), re.MULTILINE)
    assert (Path(__file__).parents[2] / "apepack" / named).is_file()
