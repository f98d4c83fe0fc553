"""What the zipalign command prints: text, JSON, progress, and the stream of each."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.builders.zip import Item, build
from tests.zipalign.command import COMMAND, SCHEMA, environment, json_of, run
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path


def test_verbose_tells_on_stderr(folder: Path) -> None:
    done = run("-jv", "x.llamafile", "models/model.gguf", cwd=folder)
    assert (done.stdout, done.stderr) == ("", "models/model.gguf -> model.gguf\n")


@pytest.mark.slow
def test_json_of_every_operation(folder: Path) -> None:
    done = run("--json", "-n", "x.llamafile", ".args", cwd=folder)
    assert done.returncode == 0
    assert json_of(done)["members"] == [{"name": ".args", "size": 14}]
    added = json_of(run("--json", "-j", "x.llamafile", "models/model.gguf", ".args", cwd=folder))
    assert [member["name"] for member in added["members"]] == ["model.gguf", ".args"]
    assert added["members"][0]["data_offset"] == 640
    assert added["replaced"] == []
    assert json_of(run("--json", "x.llamafile", ".args", cwd=folder))["replaced"] == [".args"]
    listed = json_of(run("--json", "--list", "x.llamafile", cwd=folder))
    assert [member["name"] for member in listed["members"]] == ["model.gguf", ".args"]
    assert json_of(run("--json", "--check", "x.llamafile", cwd=folder)) == {
        "version": 1,
        "tool": "zipalign",
        "operation": "check",
        "archive": "x.llamafile",
        "dry_run": False,
        "ok": True,
        "findings": [],
    }
    assert json_of(run("--json", "--remove", ".args", "x.llamafile", cwd=folder))["removed"] == [".args"]
    assert json_of(run("--json", "--recover", "x.llamafile", cwd=folder))["found"] is False
    with (folder / "x.llamafile").open("ab") as file:
        file.write(b"junk")
    recovered = json_of(run("--json", "--recover", "x.llamafile", cwd=folder))
    assert recovered["old_size"] - recovered["new_size"] == 4
    (folder / "bad.zip").write_bytes(build([Item(local={"crc": 1})]))
    done = run("--json", "--check", "bad.zip", cwd=folder)
    assert done.returncode == 1
    checked = json_of(done)
    assert checked["ok"] is False
    assert checked["findings"][0]["kind"] == "local.crc"
    (faulty,) = json_of(run("--json", "--list", "bad.zip", cwd=folder))["faulty"]
    assert (faulty["name"], faulty["kind"], faulty["offset"]) == ("a.txt", "local.crc", 0)
    error = json_of(run("--json", "--import", "bad.zip", "x.llamafile", cwd=folder))["error"]
    assert (error["entry"], error["field"], error["offset"]) == ("a.txt", "local.crc", 0)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "tool": "zipalign", "operation": "add"}, SCHEMA)


@pytest.mark.slow
def test_dry_run_changes_nothing(folder: Path) -> None:
    path = folder / "x.llamafile"
    add_files(path, [Member("a", b"a"), Member("b", b"b")])
    old = path.read_bytes()
    (folder / "a").write_bytes(b"newer")
    done = run("-n", "x.llamafile", "a", ".args", cwd=folder)
    assert done.stdout == "would replace a (5 bytes)\nwould add .args (14 bytes)\n"
    done = run("-n", "--remove", "b", "x.llamafile", cwd=folder)
    assert done.stdout == "would remove b\n"
    done = run("-n", "new.zip", "a", cwd=folder)
    assert done.returncode == 0
    assert not (folder / "new.zip").exists()
    assert path.read_bytes() == old
    path.write_bytes(old + b"junk")
    done = run("-n", "--recover", "x.llamafile", cwd=folder)
    assert done.stdout == "x.llamafile: would cut off 4 bytes that do not belong to the archive\n"
    assert path.read_bytes() == old + b"junk"
    done = run("-n", "x.llamafile", "a", cwd=folder)
    assert done.returncode == 1
    assert "--recover" in done.stderr


def test_list(folder: Path) -> None:
    run("-j", "x.llamafile", "models/model.gguf", cwd=folder)
    done = run("--list", "x.llamafile", cwd=folder)
    assert done.stdout.split() == ["2000", "stored", "0x00000000280", "2023-11-14", "22:13:20", "model.gguf"]


def test_names_that_the_locale_cannot_show(folder: Path) -> None:
    add_files(folder / "x.zip", [Member("☃.txt", b"")])
    extra = {"PYTHONIOENCODING": "latin-1"}
    done = run("--list", "x.zip", cwd=folder, extra=extra)
    assert done.returncode == 0
    assert done.stdout.endswith("\\u2603.txt\n")
    done = run("--list", "--json", "x.zip", cwd=folder, extra=extra)
    assert json_of(done)["members"][0]["name"] == "☃.txt"
    unreadable = os.fsdecode(b"\xff.txt")
    (folder / unreadable).write_bytes(b"")
    done = run("--json", "x.zip", unreadable, cwd=folder, extra=extra)
    assert done.returncode == 1
    assert json_of(done)["error"]["kind"] == "entry-name"


def test_check(folder: Path) -> None:
    path = folder / "x.zip"
    add_files(path, [Member("model.gguf", b"GGUF"), Member("x", b"x" * 99)], alignment=32)
    assert run("--check", "-a32", "x.zip", cwd=folder).stdout == ""
    done = run("--check", "x.zip", cwd=folder)
    assert done.returncode == 1
    assert "x.zip: fault: 'model.gguf': the data is not aligned (got " in done.stdout
    assert done.stderr == ""
    add_files(path, [Member("squeezed", b"x" * 99)], level=9)
    assert run("--check", "-a1", "x.zip", cwd=folder).stdout == ""
    done = run("--check", "-v", "-a1", "x.zip", cwd=folder)
    assert done.returncode == 0
    assert done.stdout == "x.zip: note: 'squeezed': is compressed, so it cannot be mapped\n"


def test_remove_and_recover_tell_when_asked(folder: Path) -> None:
    add_files(folder / "x.zip", [Member("a", b"a"), Member("b", b"b")])
    done = run("--remove", "a", "x.zip", cwd=folder)
    assert (done.stdout, done.stderr) == ("", "")
    done = run("-v", "--remove", "b", "x.zip", cwd=folder)
    assert (done.stdout, done.stderr) == ("", "removed b\n")
    done = run("-v", "--recover", "x.zip", cwd=folder)
    assert (done.stdout, done.stderr) == ("", "x.zip: nothing to recover\n")


def test_a_closed_pipe_ends_it(folder: Path) -> None:
    add_files(folder / "x.zip", [Member(f"{n}", b"") for n in range(3000)], alignment=1)
    process = subprocess.Popen(
        [*COMMAND, "--list", "x.zip"], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


def _on_a_terminal(folder: Path, *arguments: str, extra: dict[str, str] | None = None) -> bytes:
    """Run the command with stderr on a terminal, and with a bar that shows immediately; return the output."""
    code = "from zipalign import cli, console; console._PROGRESS_DELAY = 0.0; cli.main()"
    line = [sys.executable, "-c", code, *arguments]
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    process = subprocess.Popen(line, cwd=folder, env=environment(extra), stderr=follower)
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that its other end is closed
        while block := os.read(leader, 1000):
            shown += block
    os.close(leader)
    assert process.wait() == 0
    return shown


@pytest.mark.slow
def test_progress_on_a_terminal_only(folder: Path) -> None:
    (folder / "big").write_bytes(os.urandom(3 << 20))
    assert b"x.zip" in _on_a_terminal(folder, "-1", "x.zip", "big")
    assert _on_a_terminal(folder, "-1q", "x.zip", "big") == b""
    assert _on_a_terminal(folder, "-1", "x.zip", "big", extra={"TQDM_DISABLE": "1"}) == b""
    assert b"x.zip" in _on_a_terminal(folder, "--check", "-a1", "x.zip")
    assert run("-1", "x.zip", "big", cwd=folder).stderr == ""
