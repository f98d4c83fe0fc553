"""Manuals and commands say the same, and every manual is well formed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import apepack.cli
import assimilate.cli
import runtime.cli
from apepack.commands.group import COMMANDS as SUB_COMMANDS
from tests.conftest import run_module, tool

if TYPE_CHECKING:
    import click

MANUALS = Path(__file__).parents[1] / "man"
# zipalign(1) has a test of its own, tests/zipalign/test_manual.py.
COMMANDS: dict[str, click.Command] = {
    "apepack": apepack.cli.command,
    **{f"apepack-{name}": import_module(f"apepack.commands.{name}").command for name in SUB_COMMANDS},
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
        ("openssl", "1"),
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


@pytest.mark.parametrize("name", SUB_COMMANDS)
def test_a_sub_command_is_listed_and_described(name: str, tmp_path: Path) -> None:
    """In the help of apepack, in its manual, and in its own help, manual and module."""
    listed = run_module("apepack", "--help", cwd=tmp_path).stdout
    assert re.search(rf"^  {name}  +\S", listed, re.MULTILINE)
    assert f".Xr apepack-{name} 1" in (MANUALS / "man1" / "apepack.1").read_text()
    text = (MANUALS / "man1" / f"apepack-{name}.1").read_text()
    assert re.findall(r"^\.(?:Dt|Nm) (.+)$", text, re.MULTILINE)[:3] == [
        f"APEPACK-{name.upper()} 1",
        f"apepack-{name}",
        f"apepack {name}",
    ]
    own = run_module("apepack", name, "--help", cwd=tmp_path)
    assert (own.returncode, own.stdout.startswith(f"Usage: apepack {name} ")) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUB_COMMANDS)
def test_a_sub_command_is_completed(name: str, tmp_path: Path) -> None:
    offered = []
    for words in (f"apepack {name[:3]}", f"apepack {name} --"):
        environment = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_APEPACK_COMPLETE": "bash_complete"}
        line = [sys.executable, "-m", "apepack"]
        done = subprocess.run(
            line, env={**os.environ, **environment, "PYTHONPATH": str(MANUALS.parent)}, cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip  # one line would be too long
        offered.append(done.stdout)
    assert f"plain,{name}\n" in offered[0]
    assert "plain,--help\n" in offered[1]
