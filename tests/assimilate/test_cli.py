"""The assimilate command: its letters, its statuses, and what it prints where."""

from __future__ import annotations

import importlib.resources
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from apepack.link import link
from assimilate.cli import command
from runtime.platforms import PLATFORMS, Launch
from tests.builders.ape import foreign_ape, small_ape, small_program
from tests.builders.elf import AARCH64, X86_64, exit_program
from tests.builders.genuine import genuine_ape
from tests.builders.pe import pe_program
from tests.conftest import run_module
from zipalign.lock import locked

if TYPE_CHECKING:
    from pathlib import Path


SCHEMA = json.loads(importlib.resources.files("assimilate").joinpath("assimilate.schema.json").read_text())
MACOS_SIZE = len(small_program("macos-arm64"))
UNPACKED = [platform.name for platform in PLATFORMS if platform.launch == Launch.UNPACKED]


def assimilate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_module("assimilate", *arguments, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "amd64").write_bytes(exit_program(X86_64, status=5))
    (tmp_path / "arm64").write_bytes(exit_program(AARCH64, status=5))
    link([tmp_path / "amd64", tmp_path / "arm64"], tmp_path / "ape")
    (tmp_path / "foreign").write_bytes(foreign_ape(exit_program(X86_64, status=5)))
    (tmp_path / "foreign").chmod(0o755)
    (tmp_path / "genuine").write_bytes(genuine_ape("2023-10", (X86_64, AARCH64)))
    (tmp_path / "all").write_bytes(small_ape("freebsd-amd64", "macos-arm64"))
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
    assert check.stdout.endswith("  windows-amd64: pe, 1536 bytes at 0x20400\n")
    assert check.returncode == 0


def test_a_dry_run_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert assimilate(folder, "-n", "ape", "foreign").returncode == 0
    assert assimilate(folder, "-n", "-o", "copy", "ape").returncode == 0

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    """What --json prints, which is all that is printed."""
    result = assimilate(folder, "--json", *arguments)
    assert result.stderr == ""
    facts: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(facts, SCHEMA)
    assert (facts["version"], facts["tool"]) == (1, "assimilate")
    return facts


class TestJson:
    def test_assimilate_and_restore(self, folder: Path) -> None:
        facts = answer(folder, "-x", "foreign", "nothing")

        assert (facts["operation"], facts["dry_run"]) == ("assimilate", False)
        done, failed = facts["files"]
        assert done == {
            "path": "foreign", "platform": "linux-amd64", "output": "foreign", "changed": True,
            "backup": "foreign.ape-head",
        }  # fmt: skip  # one fact after the other
        assert failed == {
            "path": "nothing",
            "error": {
                "kind": "file-not-found", "message": "nothing: No such file or directory", "path": "nothing",
            },
        }  # fmt: skip  # as above
        assert answer(folder, "--restore", "-n", "foreign") == {
            "version": 1, "tool": "assimilate", "operation": "restore", "dry_run": True,
            "files": [{"path": "foreign", "output": "foreign", "changed": True, "backup": None}],
        }  # fmt: skip  # as above

    def test_errors_carry_what_single_ones_do(self, folder: Path) -> None:
        (folder / "cut").write_bytes((folder / "ape").read_bytes()[:0x11000])
        with locked(folder / "genuine"):
            facts = answer(folder, "-x", "cut", "genuine", "amd64")

        cut, busy, native = (result["error"] for result in facts["files"])
        assert (cut["kind"], cut["path"], cut["field"]) == ("foreign-file", "cut", "p_offset")
        assert cut["offset"] > 0x10000
        assert (busy["kind"], busy["path"]) == ("archive-busy", "genuine")
        assert (native["kind"], native["path"]) == ("already", "amd64")

    def test_check(self, folder: Path) -> None:
        facts = answer(folder, "--check", "all", "ape", "nothing")

        everything, ape, nothing = facts["files"]
        assert (everything["kind"], everything["ok"], everything["members"]) == ("ape", True, 1)
        assert everything["programs"][1] == {
            "platform": "macos-arm64", "form": "unpacked", "offset": 0x11000, "size": 4096, "unpacked_size": MACOS_SIZE,
            "signature": "ad-hoc",
        }  # fmt: skip  # as above
        assert (ape["keeps_head"], ape["members"], ape["faults"]) == (True, None, [])
        assert nothing["error"]["kind"] == "file-not-found"

    def test_a_command_line_that_is_wrong(self, folder: Path) -> None:
        assert answer(folder, "-t", "linux-mips", "ape")["error"]["kind"] == "unknown-platform"
        assert answer(folder, "-o", "x", "ape", "foreign")["error"]["kind"] == "usage"

    def test_the_schema_is_a_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        for wrong in (
            {"version": 1, "tool": "assimilate"},
            {"version": 1, "tool": "assimilate", "operation": "check", "dry_run": False, "files": []},
            {"version": 2, "tool": "assimilate", "error": {"kind": "x", "message": "x"}},
        ):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, SCHEMA)


# Letters, the file, and the platform of what it becomes; None where it cannot.
MATRIX: list[tuple[list[str], str, str | None]] = [
    (["-e"], "genuine", "linux-{host}"),
    (["-e", "-x"], "genuine", "linux-amd64"),
    (["-ea"], "genuine", "linux-arm64"),
    (["-m", "-x"], "genuine", "macos-amd64"),
    (["-mx"], "genuine", "macos-amd64"),
    (["-ma"], "genuine", None),
    (["-m", "-a"], "all", "macos-arm64"),
    (["-mx"], "all", None),
    (["-m", "-e", "-x"], "genuine", "linux-amd64"),
    (["-e", "-m", "-x"], "genuine", "macos-amd64"),
    (["-x", "-a"], "genuine", "linux-arm64"),
    (["-t", "freebsd-amd64"], "all", "freebsd-amd64"),
    (["-t", "freebsd-amd64"], "ape", None),
    (["--target=macos-arm64"], "all", "macos-arm64"),
    (["--macho", "--aarch64"], "all", "macos-arm64"),
    (["--elf", "--x86-64"], "ape", "linux-amd64"),
    (["-t", "host"], "ape", "linux-{host}"),
    (["--pe"], "genuine", None),
]


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: " ".join([*row[0], row[1]]))
@pytest.mark.parametrize("others", [[], ["-c"], ["-b"], ["-cbf"], ["-o", "copy"], ["-n"], ["--verify"]], ids=str)
def test_flag_matrix(  # in this process: these are many
    folder: Path,
    row: tuple[list[str], str, str | None],
    others: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str) -> dict[str, Any]:
        command.main(["--json", *arguments], standalone_mode=False)
        facts = json.loads(capsys.readouterr().out)
        jsonschema.validate(facts, SCHEMA)
        result: dict[str, Any] = facts["files"][0]
        return result

    monkeypatch.chdir(folder)
    letters, name, platform = row
    expected = platform and platform.format(host="arm64" if os.uname().machine == "aarch64" else "amd64")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    facts = run(*letters, *others, name)

    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    changed = {changed for changed in after if after[changed] != before.get(changed)}
    if expected is None:
        assert facts["error"]["kind"] == "foreign-file"
        assert not changed
        return
    assert facts["platform"] == expected
    backups = set() if name == "ape" or others in (["-c"], ["-cbf"]) else {f"{name}.ape-head"}
    assert changed == {"-n": set(), "-o": {"copy"}}.get("".join(others[:1]), {name} | backups)
    if others != ["-n"]:
        (program,) = run("--check", "copy" if "copy" in others else name)["programs"]
        assert (program["platform"], program["form"]) == (expected, "native")


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
    ],
    ids=["no file", "-o with two", "-x and -t", "-m and -t", "unknown"],
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
