"""zipalign(1) documents exactly the options, exit statuses and promises of the command."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from zipalign.cli import command

MANUAL = Path(__file__).parents[2] / "man" / "man1" / "zipalign.1"


def _section(name: str) -> str:
    text = MANUAL.read_text()
    found = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def _flags(line: str) -> set[str]:
    """Return the options of one `.It` line, spelled as on the command line."""
    words = line.removeprefix(".It ").replace(" , ", " ").replace("|", " ").split()
    return {f"-{word}" for word in words if (word not in {"Fl", "Ar"} and not word.isupper()) or word == "N"}


def _options() -> list[click.Option]:
    context = command.make_context("zipalign", [], resilient_parsing=True)
    return [param for param in command.get_params(context) if isinstance(param, click.Option)]


def test_every_option_is_in_the_manual_and_back() -> None:
    known = {name for option in _options() for name in option.opts}
    lines = [line for line in _section("OPTIONS").splitlines() if line.startswith(".It Fl")]
    documented = set().union(*(_flags(line) for line in lines))
    assert documented == known


def test_synopsis_knows_every_option() -> None:
    words = set(_section("SYNOPSIS").split())
    bundled = set("".join(re.findall(r"Fl ([0-9a-zA-Z]+)", _section("SYNOPSIS"))))
    for option in _options():
        assert any(name[1:] in words or name[1:] in bundled for name in option.opts), option.opts


def test_every_operand_is_in_the_manual() -> None:
    for operand in (param for param in command.params if isinstance(param, click.Argument)):
        name = (operand.metavar or "").strip("[].")
        assert f"Ar {name}" in _section("SYNOPSIS")
        assert f"Ar {name}" in _section("DESCRIPTION")


def test_exit_statuses_and_promises() -> None:
    assert re.findall(r"^\.It (\d+)$", _section("EXIT STATUS"), re.MULTILINE) == ["0", "1", "2", "129", "130", "143"]
    assert re.findall(r"^\.It (P\d)$", _section("CRASH SAFETY"), re.MULTILINE) == [f"P{n}" for n in range(1, 10)]


@pytest.mark.parametrize(
    "name",
    ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "DIAGNOSTICS"],
)
def test_sections(name: str) -> None:
    assert _section(name).strip()


def test_schema_is_where_the_manual_says() -> None:
    (named,) = re.findall(r"^\.Pa (\S+)$", _section("OPTIONS"), re.MULTILINE)
    assert (Path(__file__).parents[2] / "zipalign" / named).is_file()
