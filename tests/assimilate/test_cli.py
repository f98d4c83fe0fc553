"""The assimilate command: its letters, its statuses, and what it prints where."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.link import link
from tests.builders.ape import foreign_ape
from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.builders.pe import pe_program
from tests.conftest import run_module

if TYPE_CHECKING:
    from pathlib import Path


def assimilate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_module("assimilate", *arguments, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "amd64").write_bytes(exit_program(X86_64, status=5))
    (tmp_path / "arm64").write_bytes(exit_program(AARCH64, status=5))
    link([tmp_path / "amd64", tmp_path / "arm64"], tmp_path / "ape")
    (tmp_path / "foreign").write_bytes(foreign_ape(exit_program(X86_64, status=5)))
    (tmp_path / "foreign").chmod(0o755)
    return tmp_path


def machine(path: Path) -> int:
    data = path.read_bytes()
    assert data[:4] == b"\x7fELF"
    return data[18]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-x"], X86_64),
        (["-a"], AARCH64),
        (["-ea"], AARCH64),
        (["-e", "-x"], X86_64),
        (["-t", "linux-amd64"], X86_64),
        (["--target", "linux-arm64"], AARCH64),
    ],
    ids=["-x", "-a", "-ea", "-e -x", "-t", "--target"],
)
def test_letters_choose_the_machine(folder: Path, arguments: list[str], expected: int) -> None:
    result = assimilate(folder, *arguments, "ape")

    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert machine(folder / "ape") == expected


def test_without_letters_it_is_for_this_computer(folder: Path) -> None:
    assert assimilate(folder, "ape").returncode == 0
    assert subprocess.run([folder / "ape"], check=False).returncode == 5


@pytest.mark.parametrize(("letters", "osabi"), [([], 0), (["-b"], 9)])
def test_b_keeps_the_osabi(folder: Path, letters: list[str], osabi: int) -> None:
    assimilate(folder, *letters, "ape")

    assert (folder / "ape").read_bytes()[7] == osabi


@pytest.mark.parametrize(("letters", "kept"), [([], True), (["-c"], False)])
def test_c_keeps_no_backup(folder: Path, letters: list[str], kept: bool) -> None:  # noqa: FBT001  # a table's column
    assert assimilate(folder, *letters, "foreign", "ape").returncode == 0

    assert (folder / "foreign.ape-head").exists() is kept
    assert not (folder / "ape.ape-head").exists()


def test_all_files_are_processed_whatever_happens_to_one(folder: Path) -> None:
    result = assimilate(folder, "-x", "nothing", "arm64", "ape", "foreign")

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "assimilate: nothing: No such file or directory",
        "assimilate: arm64: is an ELF program for linux-arm64, not an APE (--restore makes it one where it was one)",
    ]
    assert machine(folder / "ape") == machine(folder / "foreign") == X86_64


def test_f_makes_native_files_a_success(folder: Path) -> None:
    assert assimilate(folder, "-x", "amd64").returncode == 1
    assert assimilate(folder, "-x", "-f", "amd64", "ape").returncode == 0
    assert machine(folder / "ape") == X86_64


def test_there_and_back(folder: Path) -> None:
    before = [(folder / name).read_bytes() for name in ("ape", "foreign")]
    assert assimilate(folder, "ape", "foreign").returncode == 0

    assert assimilate(folder, "--restore", "ape", "foreign").returncode == 0

    assert [(folder / name).read_bytes() for name in ("ape", "foreign")] == before


def test_o_writes_a_copy(folder: Path) -> None:
    before = (folder / "ape").read_bytes()
    assert assimilate(folder, "-a", "-o", "copy", "ape").returncode == 0

    assert machine(folder / "copy") == AARCH64
    assert (folder / "ape").read_bytes() == before


def test_check_tells_what_a_file_is(folder: Path) -> None:
    result = assimilate(folder, "--check", "ape", "foreign", "amd64")

    assert result.stdout.splitlines() == [
        "ape: APE for linux-amd64, linux-arm64",
        "foreign: APE for linux-amd64",
        "amd64: ELF program for linux-amd64",
    ]
    assert result.returncode == 0
    (folder / "ape").write_bytes((folder / "ape").read_bytes()[:0x11000])
    assert assimilate(folder, "--check", "-x", "ape").returncode == 1


def test_pe_is_what_the_file_is_or_not(folder: Path) -> None:
    (folder / "windows").write_bytes(pe_program())
    link([folder / "amd64", folder / "windows"], folder / "both")
    before = (folder / "both").read_bytes()

    result = assimilate(folder, "--pe", "both", "ape")

    assert result.returncode == 1
    assert [line.split(": ", 2)[1] for line in result.stderr.splitlines()] == ["both", "ape"]
    assert assimilate(folder, "--pe", "-f", "both").returncode == 0
    assert (folder / "both").read_bytes() == before
    check = assimilate(folder, "--check", "--pe", "both")
    assert (check.stdout, check.returncode) == ("both: APE for linux-amd64, windows-amd64\n", 0)


def test_a_dry_run_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert assimilate(folder, "-n", "ape", "foreign").returncode == 0
    assert assimilate(folder, "-n", "-o", "copy", "ape").returncode == 0

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_json(folder: Path) -> None:
    facts = json.loads(assimilate(folder, "--json", "-x", "foreign", "nothing").stdout)

    assert (facts["version"], facts["tool"], facts["operation"]) == (1, "assimilate", "assimilate")
    done, failed = facts["files"]
    assert (done["path"], done["output"], done["changed"], done["backup"]) == (
        "foreign", "foreign", True, "foreign.ape-head",
    )  # fmt: skip  # one value for each name
    assert failed["error"]["message"] == "nothing: No such file or directory"
    check = json.loads(assimilate(folder, "--json", "--check", "ape").stdout)["files"][0]
    assert (check["kind"], check["platforms"], check["keeps_head"]) == ("ape", ["linux-amd64", "linux-arm64"], True)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "Missing argument"),
        (["-o", "copy", "ape", "foreign"], "-o takes one FILE"),
        (["-x", "-t", "linux-amd64", "ape"], "-t cannot be combined"),
        (["--frobnicate", "ape"], "No such option"),
    ],
    ids=["no file", "-o with two", "-x and -t", "unknown"],
)
def test_usage_errors(folder: Path, arguments: list[str], word: str) -> None:
    result = assimilate(folder, *arguments)

    assert result.returncode == 2
    assert word in result.stderr


@pytest.mark.parametrize("name", ["macos-arm64", "linux-mips"])
def test_targets_that_there_are_not(folder: Path, name: str) -> None:
    result = assimilate(folder, "-t", name, "ape")

    assert result.returncode == 1
    assert result.stderr.startswith("assimilate: ")
    assert name in result.stderr


def test_version_and_help(folder: Path) -> None:
    assert "llamafile-toolchain" in assimilate(folder, "-v").stdout
    assert assimilate(folder, "-v").stdout == assimilate(folder, "--version").stdout
    for letters in ("-h", "--help"):
        result = assimilate(folder, letters)
        assert (result.returncode, result.stdout.startswith("Usage: assimilate")) == (0, True)
