"""apepack args, add and remove: what they print, where, and with which status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apepack.test_cli_link import apepack, json_of
from tests.apepack.upgrade.llamafiles import llamafile, runtime
from zipalign import read_archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old"), arguments=["--temp", "0.5", "-p", "a\nb"])
    (tmp_path / "note.txt").write_text("a note")
    return tmp_path


def test_arguments_are_printed_as_they_are_stored(folder: Path) -> None:
    done = apepack(folder, "args", "x.llamafile")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "-m\ntiny.gguf\n--temp\n0.5\n-p\na\\nb\n...\n"
    facts = json_of(apepack(folder, "args", "--json", "x.llamafile"))
    assert facts["arguments"] == ["-m", "tiny.gguf", "--temp", "0.5", "-p", "a\nb", "..."]


def test_arguments_are_changed(folder: Path) -> None:
    assert json_of(apepack(folder, "args", "-n", "--json", "x.llamafile", "--", "-c", "64"))["dry_run"]
    assert apepack(folder, "args", "x.llamafile").stdout.count("-c\n") == 0
    done = apepack(folder, "args", "x.llamafile", "--", "-c", "64")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert apepack(folder, "args", "x.llamafile").stdout == "-m\ntiny.gguf\n-c\n64\n...\n"
    (folder / "defaults").write_bytes(b"-m\ntiny.gguf\n--temp\n1\n")
    facts = json_of(apepack(folder, "args", "--json", "x.llamafile", "--args", "defaults"))
    assert (facts["operation"], facts["arguments"]) == ("set-args", ["-m", "tiny.gguf", "--temp", "1"])
    both = apepack(folder, "args", "x.llamafile", "--args", "defaults", "--", "-c", "1")
    assert (both.returncode, "not both" in both.stderr) == (2, True)


def test_members_are_added_and_removed(folder: Path) -> None:
    facts = json_of(apepack(folder, "add", "--json", "x.llamafile", "note.txt"))
    assert (facts["operation"], facts["names"], facts["replaced"]) == ("add", ["note.txt"], [])
    assert json_of(apepack(folder, "add", "-n", "--json", "x.llamafile", "note.txt"))["replaced"] == ["note.txt"]
    assert json_of(apepack(folder, "remove", "-n", "--json", "x.llamafile", "note.txt"))["dry_run"]
    assert read_archive(folder / "x.llamafile").entry("note.txt")

    done = apepack(folder, "remove", "x.llamafile", "note.txt")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read_archive(folder / "x.llamafile").entry("note.txt") is None
    assert apepack(folder, "remove", "x.llamafile", "note.txt").returncode == 1


@pytest.mark.parametrize("arguments", [("add",), ("remove", "x.llamafile"), ("args",)])
def test_wrong_command_lines(folder: Path, arguments: tuple[str, ...]) -> None:
    done = apepack(folder, *arguments)
    assert (done.returncode, "Missing argument" in done.stderr) == (2, True)
