"""Manuals and commands say the same, and every manual is well formed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import apepack.cli
import apepack.commands.add
import apepack.commands.args
import apepack.commands.remove
import apepack.commands.upgrade
import assimilate.cli
import runtime.cli
from tests.conftest import tool

if TYPE_CHECKING:
    import click

MANUALS = Path(__file__).parents[1] / "man"
# zipalign(1) has a test of its own, tests/zipalign/test_manual.py.
COMMANDS: dict[str, click.Command] = {
    "apepack": apepack.cli.command,
    "apepack-add": apepack.commands.add.command,
    "apepack-args": apepack.commands.args.command,
    "apepack-remove": apepack.commands.remove.command,
    "apepack-upgrade": apepack.commands.upgrade.command,
    "assimilate": assimilate.cli.command,
    "llamafile-build": runtime.cli.command,
}


@pytest.mark.parametrize("manual", sorted(MANUALS.rglob("*.?")), ids=lambda path: path.name)
def test_mandoc_finds_no_fault(manual: Path) -> None:
    result = subprocess.run(
        [tool("mandoc"), "-T", "lint", "-W", "style", str(manual)], capture_output=True, text=True, check=False
    )
    # References to our own manuals are found only once they are installed; the test below looks them up.
    faults = [line for line in result.stdout.splitlines() if "referenced manual not found" not in line]
    assert faults == []


def test_references_lead_somewhere() -> None:
    present = {(path.stem, path.suffix[1:]) for path in MANUALS.rglob("*.?")}
    system = {
        ("zip", "1"),
        ("unzip", "1"),
        ("cp", "1"),
        ("sh", "1"),
        ("binfmt.d", "5"),
        ("elf", "5"),
        ("sync", "1"),
        ("fallocate", "2"),
        ("gzip", "1"),
        ("perl", "1"),
        ("python3", "1"),
    }
    for manual in MANUALS.rglob("*.?"):
        for name, section in re.findall(r"^\.Xr (\S+) (\S+)", manual.read_text(), re.MULTILINE):
            assert (name, section) in present | system, f"{manual.name} refers to {name}({section})"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_manual_and_none_beside(name: str) -> None:
    text = (MANUALS / "man1" / f"{name}.1").read_text()
    documented = set(re.findall(r"\bFl (\S+)", text))
    options = {
        option.lstrip("-") if not option.startswith("--") else option[1:]
        for parameter in COMMANDS[name].params
        for option in [*parameter.opts, *parameter.secondary_opts]
        if option.startswith("-")
    } | {"h", "-help"}
    assert options - documented == set()
    foreign = {option for option in documented - options if not re.fullmatch(r"[0-9]", option)}
    assert foreign == set()
