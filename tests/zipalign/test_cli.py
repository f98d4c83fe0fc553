"""The zipalign command: options, exit statuses, and messages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build
from tests.zipalign.command import environment, json_of, run
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from pathlib import Path


def _names(path: Path) -> list[str]:
    return [entry.name for entry in read_archive(path).entries]


def test_the_line_of_the_readme(folder: Path) -> None:
    done = run("-j0", "x.llamafile", "models/model.gguf", ".args", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert _names(folder / "x.llamafile") == ["model.gguf", ".args"]


def test_names(folder: Path) -> None:
    assert run("x.llamafile", "./models//model.gguf", folder / ".args", cwd=folder).returncode == 0
    assert _names(folder / "x.llamafile") == ["models/model.gguf", f"{folder}/.args"[1:]]


@pytest.mark.parametrize("flags", [["-9"], ["-j9"], ["-0", "-9"], ["-a4096", "-9"], ["-9ja", "4096"]])
def test_flags_in_every_spelling(flags: list[str], folder: Path) -> None:
    assert run(*flags, "x.llamafile", "models/model.gguf", cwd=folder).returncode == 0
    entry = read_archive(folder / "x.llamafile").entries[0]
    assert entry.method == 8
    assert entry.name == ("model.gguf" if any("j" in flag for flag in flags) else "models/model.gguf")
    assert entry.data_offset == (4096 if "4096" in "".join(flags) else 640)


def test_options_may_follow_and_dashes_end_them(folder: Path) -> None:
    (folder / "-9").write_bytes(b"a file")
    assert run("x.llamafile", ".args", "-9", cwd=folder).returncode == 0
    assert read_archive(folder / "x.llamafile").entries[0].method == 8
    assert run("x.llamafile", "--", "-9", cwd=folder).returncode == 0
    assert _names(folder / "x.llamafile") == [".args", "-9"]


def test_keep_times(folder: Path) -> None:
    os.utime(folder / ".args", (1709208000, 1709208000))
    assert run("-N", "x.llamafile", ".args", cwd=folder).returncode == 0
    with zipfile.ZipFile(folder / "x.llamafile") as other:
        assert other.infolist()[0].date_time == (2024, 2, 29, 12, 0, 0)


def test_no_fsync(folder: Path) -> None:
    assert run("--no-fsync", "-q", "x.llamafile", ".args", cwd=folder).returncode == 0
    assert _names(folder / "x.llamafile") == [".args"]


@pytest.mark.parametrize("flag", ["-h", "--help", "-help"])
def test_help(flag: str, folder: Path) -> None:
    done = run(flag, cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: zipalign [OPTIONS] ZIP [FILE]...")
    assert done.stderr == ""


def test_version_names_the_distribution(folder: Path) -> None:
    done = run("--version", cwd=folder)
    assert done.returncode == 0
    assert re.fullmatch(r"zipalign \(llamafile-toolchain\) \S.*\n", done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--no-such-option", "x.llamafile"],
        ["-a", "many", "x.llamafile"],
        ["--list", "--check", "x.llamafile"],
        ["--list", "x.llamafile", ".args"],
        ["--recover", "--import", "y.zip", "x.llamafile"],
        ["-", ".args"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], folder: Path) -> None:
    done = run(*arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: zipalign")
    done = run("--json", *arguments, cwd=folder)
    assert done.returncode == 2
    assert "error" in json_of(done)


FAILURES = [
    (["x.llamafile", "missing"], "missing: No such file or directory", "file-not-found"),
    (["-a3", "x.llamafile", ".args"], "an alignment must be a power of two (got 3)", "alignment"),
    (["-a0", "x.llamafile"], "an alignment must be a power of two (got 0)", "alignment"),
    (["x.llamafile", "models"], "models is not a regular file but a folder: -r adds the files in it", "input-file"),
    (["-r", "x.llamafile", "loop"], "loop/self is a symbolic link to a folder that contains it", "input-file"),
    (["x.llamafile", "pipe"], "pipe is not a regular file but a pipe, which can be read only once", "input-file"),
    (["-r", "x.llamafile", "pipes"], "pipes/pipe is not a regular file but a pipe", "input-file"),
    (["--list", "pipe"], "pipe is not a regular file but a pipe", "input-file"),
    (["pipe", ".args"], "pipe is not a regular file but a pipe", "input-file"),
    (["--import", "pipe", "good.zip"], "pipe is not a regular file but a pipe", "input-file"),
    (["x.llamafile", "x.llamafile"], "x.llamafile is the archive itself", "input-file"),
    (["-j", "x.llamafile", ".args", "models/../.args"], "would both be stored as '.args'", "duplicate-name"),
    (["x.llamafile", "../x"], "(-j stores only the last part)", "entry-name"),
    (["models", ".args"], "models is not a regular file", "input-file"),
    (["nowhere/x.zip", ".args"], "nowhere/x.zip: No such file or directory", "file-not-found"),
    (["--list", "x.llamafile"], "x.llamafile is not a ZIP archive", "not-an-archive"),
    (["--check", ".args"], ".args is not a ZIP archive", "not-an-archive"),
    (["--recover", "x.llamafile"], "x.llamafile is not a ZIP archive", "not-an-archive"),
    (["--recover", "missing"], "missing: No such file or directory", "file-not-found"),
    (["--remove", "y", "good.zip"], "there is no member 'y' in the archive", "no-such-entry"),
    (["--import", "good.zip", "good.zip"], "good.zip is the archive itself", "input-file"),
    (["--import", "odd.zip", "good.zip"], "'a.txt': the member is encrypted", "unsupported-zip"),
    (["--import", ".args", "good.zip"], ".args is not a ZIP archive", "not-an-archive"),
    (["bad.zip", ".args"], "(cut them off with --recover)", "trailing-data"),
    (["--list", "bad.zip"], "(cut them off with --recover)", "trailing-data"),
]


@pytest.mark.parametrize(("arguments", "sentence", "kind"), FAILURES)
def test_failures_are_one_sentence(arguments: list[str], sentence: str, kind: str, folder: Path) -> None:
    (folder / "good.zip").write_bytes(build())
    (folder / "bad.zip").write_bytes(build(trailing=b"xyz"))
    (folder / "odd.zip").write_bytes(build([Item(flags=0x801)]))
    (folder / "loop").mkdir()
    (folder / "loop" / "self").symlink_to(".")
    (folder / "pipes").mkdir()
    for pipe in (folder / "pipe", folder / "pipes" / "pipe"):
        os.mkfifo(pipe)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run(*arguments, cwd=folder)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("zipalign: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    done = run("--json", *arguments, cwd=folder)
    assert done.returncode == 1
    error = json_of(done)["error"]
    assert error["kind"] == kind
    assert sentence in error["message"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "-f", "4", "in.apk", "out.apk"],
        ["-c", "4", "in.apk"],
        ["-c", "-P", "16", "-v", "4", "in.apk"],
        ["-v", "-z", "4", "in.apk", "out.apk"],
        ["-v", "4", "in.apk", "out.apk"],
        ["4", "in.apk", "out.apk"],
    ],
)
def test_android_syntax(arguments: list[str], folder: Path) -> None:
    for name in ("in.apk", "out.apk"):
        (folder / name).write_bytes(build())
    before = sorted(folder.iterdir())
    done = run(*arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "this is not the zipalign of Android's SDK" in done.stderr
    assert sorted(folder.iterdir()) == before


def test_file_with_a_number_as_its_name(folder: Path) -> None:
    (folder / "4").write_bytes(build())
    assert run("4", ".args", cwd=folder).returncode == 0
    assert run("./5", ".args", cwd=folder).returncode == 0


def test_folders(folder: Path) -> None:
    (folder / "tree" / "b" / "empty").mkdir(parents=True)
    (folder / "tree" / "b" / "2").write_bytes(b"2")
    (folder / "tree" / "b.txt").write_bytes(b"b")
    (folder / "tree" / "a").write_bytes(b"a")
    (folder / "tree" / "link").symlink_to("../models")
    assert run("-r", "tree/x.zip", "tree", ".args", cwd=folder).returncode == 0
    names = ["tree/a", "tree/b/2", "tree/b.txt", "tree/link/model.gguf", ".args"]
    assert _names(folder / "tree" / "x.zip") == names
    assert run("-r", "tree/x.zip", "./tree/", cwd=folder).returncode == 0  # without the archive itself
    assert _names(folder / "tree" / "x.zip") == [".args", *names[:-1]]
    assert run("-rj", "y.zip", "tree/b", cwd=folder).returncode == 0
    assert _names(folder / "y.zip") == ["2"]
    done = run("-rj", "y.zip", "tree/b", "models", "tree/link", cwd=folder)
    assert (done.returncode, "would both be stored as 'model.gguf'" in done.stderr) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, folder: Path) -> None:
    script = run(cwd=folder, extra={"_ZIPALIGN_COMPLETE": f"{shell}_source"})
    assert script.returncode == 0
    assert "_ZIPALIGN_COMPLETE" in script.stdout
    words = {"COMP_WORDS": "zipalign --re", "COMP_CWORD": "--re" if shell == "fish" else "1"}
    offered = run(cwd=folder, extra={"_ZIPALIGN_COMPLETE": f"{shell}_complete", **words})
    assert "--recover" in offered.stdout
    assert "--remove" in offered.stdout


def test_light_start(folder: Path) -> None:
    """--help imports no slow module, and a run without work fewer modules than an append."""
    code = "import sys, zipalign.cli\ntry: zipalign.cli.main()\nfinally: print(*sys.modules, file=sys.stderr)"
    add_files(folder / "x.zip", [Member("a", b"a")])
    for arguments, unwanted in (
        (["--help"], {"pathlib", "tqdm", "ctypes", "json", "importlib.metadata", "zipalign.records"}),
        (["x.zip"], {"tqdm", "ctypes", "json", "importlib.metadata", "queue", "isal", "zipalign.writer"}),
    ):
        line = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
        assert not unwanted & set(done.stderr.split())
