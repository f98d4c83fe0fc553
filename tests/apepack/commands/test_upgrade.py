"""apepack upgrade: what it prints, where, and with which status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.upgrade.undo_file import undo_path
from tests.apepack.test_cli_link import apepack, json_of
from tests.apepack.upgrade.llamafiles import llamafile, runtime
from tests.builders.ape import LINUX
from zipalign import read_archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    old = runtime(tmp_path / "old", platforms=LINUX[:1], page=10, gpu=10)
    llamafile(tmp_path / "x.llamafile", old)
    runtime(tmp_path / "new", platforms=LINUX[:1], seed=2)
    runtime(tmp_path / "large", platforms=(*LINUX, "windows-amd64"), seed=3)
    return tmp_path


def test_it_says_beforehand_what_it_does(folder: Path) -> None:
    done = apepack(folder, "upgrade", "--runtime", "new", "x.llamafile")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("x.llamafile: in place, the weights stay where they are; ")
    assert "of free space needed" in done.stderr
    again = apepack(folder, "upgrade", "--runtime", "new", "x.llamafile")
    assert (again.returncode, again.stderr) == (0, "x.llamafile: has this runtime already\n")
    back = apepack(folder, "upgrade", "--restore", "x.llamafile")
    assert (back.returncode, back.stdout, back.stderr) == (0, "", "")


def test_a_dry_run_prints_the_plan_and_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    done = apepack(folder, "upgrade", "-n", "--runtime", "large", "x.llamafile")

    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first.startswith("x.llamafile: to a new file, the weights are ")
    assert [line.split(":")[0].strip() for line in others] == ["runtime", "tiny.gguf", ".args", "undo record"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_json(folder: Path) -> None:
    planned = json_of(apepack(folder, "upgrade", "-n", "--json", "--runtime", "large", "x.llamafile"))
    facts = json_of(apepack(folder, "upgrade", "--json", "--runtime", "large", "x.llamafile"))

    assert {**planned, "dry_run": False} == facts
    (file,) = facts["files"]
    assert (facts["operation"], file["way"], file["path"]) == ("upgrade", "copy", "x.llamafile")
    assert file["undo"].endswith("x.llamafile.before-upgrade")
    assert file["members"] == {"kept": ["tiny.gguf", ".args"], "dropped": []}
    assert file["runtime"]["platforms"] == [*LINUX, "windows-amd64"]
    restored = json_of(apepack(folder, "upgrade", "--json", "--restore", "x.llamafile"))
    assert restored["files"] == [{"path": "x.llamafile", "changed": True}]


def test_several_files_and_one_that_is_none(folder: Path) -> None:
    llamafile(folder / "y.llamafile", folder / "old")
    (folder / "text").write_bytes(b"text\n")

    done = apepack(folder, "upgrade", "-q", "--runtime", "new", "text", "missing", "x.llamafile", "y.llamafile")

    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["text", "missing"]
    for name in ("x.llamafile", "y.llamafile"):
        assert undo_path(folder / name).exists()
    facts = json_of(apepack(folder, "upgrade", "--json", "--runtime", "new", "text", "x.llamafile"))
    assert [file.get("way") for file in facts["files"]] == [None, "none"]
    assert facts["files"][0]["error"]["kind"] == "input"


def test_another_file_with_space_before_the_weights(folder: Path) -> None:
    done = apepack(folder, "upgrade", "-q", "--runtime", "new", "-o", "y.llamafile", "--reserve", "1M", "x.llamafile")

    assert (done.returncode, done.stderr) == (0, "")
    entry = read_archive(folder / "y.llamafile").entry("tiny.gguf")
    assert entry is not None
    assert entry.data_offset > 1 << 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'FILE...'"),
        (("-o", "z", "x.llamafile", "y.llamafile"), "-o takes one FILE."),
        (("--restore", "--runtime", "new", "x.llamafile"), "--restore cannot be combined with --runtime."),
        (("--restore", "--reserve", "0", "x.llamafile"), "--restore cannot be combined with --reserve."),
        (("--reserve", "much", "x.llamafile"), "'much' is no size"),
        (("-o", "-", "x.llamafile"), "a pipe"),
    ],
)
def test_wrong_command_lines(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = apepack(folder, "upgrade", *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_file_with_the_name_of_a_command(folder: Path) -> None:
    (folder / "x.llamafile").rename(folder / "upgrade")
    assert apepack(folder, "upgrade", "-q", "--runtime", "new", "./upgrade").returncode == 0
