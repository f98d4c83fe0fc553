"""The assimilate command: its letters, its statuses, and its output on each stream."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apepack.format.link import link
from assimilate.cli import command
from runtime.platforms import PLATFORMS, Launch
from tests.assimilate.conftest import MACOS_SIZE, assimilate
from tests.builders.ape import small_ape, small_program
from tests.builders.elf import AARCH64, X86_64
from tests.builders.pe import pe_program

if TYPE_CHECKING:
    from pathlib import Path


UNPACKED = [platform.name for platform in PLATFORMS if platform.launch == Launch.UNPACKED]


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
        "assimilate: arm64: is an ELF program for linux-arm64, not an APE (--restore converts it back if it was one)",
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


def test_check_prints_the_format(folder: Path) -> None:
    result = assimilate(folder, "--check", "ape", "foreign", "amd64", "all")

    assert result.stdout.splitlines() == [
        "ape: APE",
        "  linux-amd64: mapped, 12304 bytes at 0x10000",
        "  linux-arm64: mapped, 12304 bytes at 0x20000",
        "foreign: APE",
        "  linux-amd64: mapped, 12304 bytes at 0x10000",
        "amd64: ELF program",
        "  linux-amd64: native, 12304 bytes at 0x0",
        "all: APE",
        "  freebsd-amd64: unpacked, 4096 bytes at 0x10000, 12304 bytes unpacked",
        f"  macos-arm64: unpacked, 4096 bytes at 0x11000, {MACOS_SIZE} bytes unpacked, signature: ad-hoc",
        "  archive: 1 members",
    ]
    assert result.returncode == 0
    (folder / "ape").write_bytes((folder / "ape").read_bytes()[:0x11000])
    damaged = assimilate(folder, "--check", "ape")
    assert damaged.returncode == 1
    assert damaged.stdout.splitlines()[2].startswith("    fault: p_offset: the segment ends at")
    assert assimilate(folder, "--check", "-m", "-a", "foreign").stdout.endswith(
        "  fault: this APE holds no program for macos-arm64 (it has: linux-amd64)\n"
    )


def test_pe_depends_on_the_first_bytes(folder: Path) -> None:
    (folder / "windows").write_bytes(pe_program())
    link([folder / "amd64", folder / "windows"], folder / "both")
    before = (folder / "both").read_bytes()

    result = assimilate(folder, "--pe", "both", "ape")

    assert result.returncode == 1
    assert [line.split(": ", 2)[1] for line in result.stderr.splitlines()] == ["both", "ape"]
    assert assimilate(folder, "--pe", "-f", "both").returncode == 0
    assert (folder / "both").read_bytes() == before
    check = assimilate(folder, "--check", "--pe", "both")
    assert check.stdout.endswith("  windows-amd64: pe, 1536 bytes at 0x20400\n")
    assert check.returncode == 0


def test_a_dry_run_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert assimilate(folder, "-n", "ape", "foreign").returncode == 0
    assert assimilate(folder, "-n", "-o", "copy", "ape").returncode == 0

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("name", UNPACKED)
def test_there_and_back_for_every_system(tmp_path: Path, name: str) -> None:
    (tmp_path / "all").write_bytes(small_ape(*UNPACKED))

    assert assimilate(tmp_path, "--verify", "-t", name, "all").returncode == 0
    assert (tmp_path / "all").read_bytes().startswith(small_program(name))
    assert assimilate(tmp_path, "--restore", "all").returncode == 0

    assert (tmp_path / "all").read_bytes() == small_ape(*UNPACKED)


def test_without_lief_it_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lief", None)
    before = (folder / "ape").read_bytes()

    assert command.main(["--verify", "-x", str(folder / "ape")], standalone_mode=False) == 1

    assert "pip install lief" in capsys.readouterr().err
    assert (folder / "ape").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "Missing argument"),
        (["-o", "copy", "ape", "foreign"], "-o takes one FILE"),
        (["-x", "-t", "linux-amd64", "ape"], "-t cannot be combined"),
        (["-m", "-t", "linux-amd64", "ape"], "-t cannot be combined"),
        (["--frobnicate", "ape"], "No such option"),
        (["-o", "-", "ape"], "write a file, and send that"),
    ],
    ids=["no file", "-o with two", "-x and -t", "-m and -t", "unknown", "to standard output"],
)
def test_usage_errors(folder: Path, arguments: list[str], word: str) -> None:
    result = assimilate(folder, *arguments)

    assert result.returncode == 2
    assert word in result.stderr


@pytest.mark.parametrize("arguments", [["-t", "linux-mips"], ["--pe", "-a"]], ids=" ".join)
def test_platforms_that_there_are_not(folder: Path, arguments: list[str]) -> None:
    result = assimilate(folder, *arguments, "ape")

    assert result.returncode == 1
    assert result.stderr.startswith("assimilate: there is no platform")
    assert "macos-arm64" in result.stderr


def test_version_and_help(folder: Path) -> None:
    assert "llamafile-toolchain" in assimilate(folder, "-v").stdout
    assert assimilate(folder, "-v").stdout == assimilate(folder, "--version").stdout
    for letters in ("-h", "--help"):
        result = assimilate(folder, letters)
        assert (result.returncode, result.stdout.startswith("Usage: assimilate")) == (0, True)
