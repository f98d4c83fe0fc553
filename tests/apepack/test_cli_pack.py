"""The apepack command with a model: what it prints, where, and with which status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.apepack.test_cli_link import apepack, json_of
from tests.builders.elf import X86_64, exit_program
from tests.builders.gguf import U16, Gguf, Info, TinyModel, number, text
from tests.builders.home import new_name
from zipalign import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

LLAMA = text("general.architecture", "llama")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, and a runtime for this machine that ends with status 5."""
    TinyModel().write(tmp_path / "tiny.gguf")
    (tmp_path / "program").write_bytes(exit_program(X86_64, status=5))
    (tmp_path / "NOTICES").write_text("licences")
    assert apepack(tmp_path, "--no-portable", "-o", "llamafile", "program").returncode == 0
    for name in ("program", "NOTICES"):
        (tmp_path / name).unlink()
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(path: Path, name: str) -> bytes:
    entry = read_archive(path).entry(name)
    assert entry is not None
    return path.read_bytes()[entry.data_offset : entry.data_end]


def members(path: Path) -> list[str]:
    return [entry.name for entry in read_archive(path).entries]


def test_the_part_for_gpus_can_be_left_out(folder: Path) -> None:
    """When a runtime is linked, and of one that has it."""
    (folder / "program").write_bytes(exit_program(X86_64, status=5))
    (folder / "NOTICES").write_text("licences")
    (folder / "gpu").mkdir()
    (folder / "gpu" / "shaders.zst").write_bytes(b"compressed")
    for options, expected in (((), ["NOTICES", "gpu/shaders.zst"]), (("--no-gpu",), ["NOTICES"])):
        assert apepack(folder, "--no-portable", *options, "-o", "linked", "program").returncode == 0
        assert members(folder / "linked") == [*expected, "manifest.json"]
    assert apepack(folder, "--no-portable", "-o", "linked", "program").returncode == 0
    assert content(folder / "linked", "gpu/shaders.zst") == b"compressed"
    assert apepack(folder, "--runtime", "linked", "--no-gpu", "-o", "my.llamafile", "tiny.gguf").returncode == 0
    assert "gpu/shaders.zst" not in members(folder / "my.llamafile")
    planned = json_of(apepack(folder, "--no-portable", "-n", "--json", "-o", "linked", "program"))
    assert planned["size"] == (folder / "linked").stat().st_size


@pytest.mark.slow
def test_the_line_of_the_readme(folder: Path) -> None:
    result = apepack(folder, "--runtime", "llamafile", "-o", "my.llamafile", "tiny.gguf", "--", "--temp", "0.7")

    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
    assert content(folder / "my.llamafile", ".args") == b"-m\ntiny.gguf\n--temp\n0.7\n...\n"
    environment = {"TMPDIR": str(folder), "PATH": os.environ["PATH"], "LOGNAME": new_name()}
    assert subprocess.run(["sh", "./my.llamafile"], check=False, cwd=folder, env=environment).returncode == 5


@pytest.mark.slow
def test_the_name_is_that_of_the_model(folder: Path) -> None:
    assert apepack(folder, "--runtime", "llamafile", "tiny.gguf").returncode == 0
    assert names(folder) == ["llamafile", "tiny.gguf", "tiny.llamafile"]


def test_everything_at_once(folder: Path) -> None:
    (folder / "notice.txt").write_text("mine")
    (folder / "g.gbnf").write_text("root ::= [a-z]+")
    Gguf(pairs=[text("general.architecture", "clip")]).write(folder / "mmproj.gguf")
    options = ["--mmproj", "mmproj.gguf", "--add", "notice.txt", "--add", "g.gbnf", "--runtime", "llamafile"]
    result = apepack(folder, *options, "-o", "x", "tiny.gguf", "--", "--grammar-file", "g.gbnf", "-o", "--add")

    assert (result.stderr, result.returncode) == ("", 0)
    members = [entry.name for entry in read_archive(folder / "x").entries]
    assert members == ["NOTICES", "tiny.gguf", "mmproj.gguf", "notice.txt", "g.gbnf", ".args", "manifest.json"]
    lines = content(folder / "x", ".args").decode().splitlines()
    assert lines == ["-m", "tiny.gguf", "--mmproj", "mmproj.gguf", "--grammar-file", "g.gbnf", "-o", "--add", "..."]


@pytest.mark.slow
def test_a_split_model_by_its_first_file_or_by_all(folder: Path) -> None:
    for position in (1, 2):
        split = [number("split.no", position - 1, U16), number("split.count", 2, U16), number("split.tensors.count", 2)]
        file = Gguf(pairs=[*([LLAMA] if position == 1 else []), *split], tensors=[Info(f"t{position}")])
        file.write(folder / f"big-{position:05}-of-00002.gguf")
    shards = ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    for given in (shards[:1], shards):
        assert apepack(folder, "--runtime", "llamafile", *given).returncode == 0
        members = [entry.name for entry in read_archive(folder / "big.llamafile").entries]
        assert members == ["NOTICES", *shards, ".args", "manifest.json"]


@pytest.mark.slow
def test_a_dry_run_prints_what_would_be_where(folder: Path) -> None:
    options = ["--runtime", "llamafile", "-o", "x.llamafile", "tiny.gguf", "--", "-p", "a\nb"]
    planned = apepack(folder, "-n", *options)

    assert (planned.stderr, planned.returncode, names(folder)) == ("", 0, ["llamafile", "tiny.gguf"])
    made = apepack(folder, "-v", *options)
    assert (made.stdout, made.stderr) == ("", planned.stdout)
    entries = {entry.name: entry for entry in read_archive(folder / "x.llamafile").entries}
    for name in ("tiny.gguf", ".args"):
        place = rf"{entries[name].data_offset:#x} +{entries[name].size} {name}, aligned to {entries[name].alignment}\n"
        assert re.search(place, planned.stdout)
    assert "llamafile, for linux-amd64\n" in planned.stdout
    assert f"{(folder / 'x.llamafile').stat().st_size:#x} " in planned.stdout
    assert planned.stdout.endswith(".args:\n    -m\n    tiny.gguf\n    -p\n    a\\nb\n    ...\n")


@pytest.mark.slow
def test_json_tells_the_same(folder: Path) -> None:
    options = ["--json", "--runtime", "llamafile", "-o", "x", "tiny.gguf", "--", "-m", "/else/where.gguf"]
    planned = json_of(apepack(folder, "-n", *options))
    made = json_of(apepack(folder, *options))

    assert planned == {**made, "dry_run": True}
    assert (made["operation"], made["output"], made["size"]) == ("pack", "x", (folder / "x").stat().st_size)
    assert made["model"] == {"architecture": "llama", "tensors": 12, "shards": 1}
    assert made["runtime"]["path"] == "llamafile"
    assert (made["runtime"]["platforms"], made["runtime"]["members"]) == (
        ["linux-amd64"],
        ["NOTICES", "manifest.json"],
    )
    entries = read_archive(folder / "x").entries[1:-1]
    assert [(entry.name, entry.size, entry.data_offset, entry.alignment) for entry in entries] == [
        tuple(member.values()) for member in made["members"]
    ]
    assert made["arguments"] == ["-m", "/else/where.gguf", "..."]
    assert [(finding["severity"], finding["kind"]) for finding in made["findings"]] == [("warning", "arguments")]
    assert made["companion"] is None


@pytest.mark.slow
def test_warnings_are_told_and_errors_refuse(folder: Path) -> None:
    options = ["--runtime", "llamafile", "-o", "x", "tiny.gguf", "--"]
    told = apepack(folder, *options, "-m", "/else/where.gguf")
    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr.startswith("apepack: warning: .args has -m '/else/where.gguf'")
    (folder / "x").unlink()
    for arguments in (["--strict", *options, "-m", "/else/where.gguf"], [*options, "-m", "nowhere.gguf"]):
        refused = apepack(folder, *arguments)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert refused.stderr.startswith("apepack: .args has -m ")
        assert names(folder) == ["llamafile", "tiny.gguf"]
    error = json_of(apepack(folder, "--json", *options, "-m", "nowhere.gguf"))["error"]
    assert (error["kind"], "nowhere.gguf" in error["message"]) == ("lint", True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["tiny.gguf", "other.gguf"], "--mmproj"),
        (["--args", "x", "tiny.gguf", "--", "-n"], "not both"),
        (["--no-windows", "--runtime", "llamafile", "tiny.gguf"], "--no-windows"),
        (["-o", "-", "--runtime", "llamafile", "tiny.gguf"], "write a file, and send that"),
        (["-o", "-", "llamafile"], "write a file, and send that"),
        (["-o", "-", "--loader", "host"], "write a file, and send that"),
    ],
    ids=["two models", "two sources of arguments", "two ways to begin", "a model to -", "a link to -", "a loader to -"],
)
def test_wrong_command_lines(arguments: list[str], word: str, folder: Path) -> None:
    result = apepack(folder, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert word in result.stderr
    assert names(folder) == ["llamafile", "tiny.gguf"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.write_bytes(b"text"), "not a GGUF file"),
        (lambda path: path.write_bytes(b"GGUF"), "damaged or incomplete"),
        (lambda path: path.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: None, "No such file"),
    ],
    ids=["a text", "a header cut off", "a folder", "a pipe", "nothing"],
)
def test_models_that_are_none(make: object, word: str, folder: Path) -> None:
    assert callable(make)
    make(folder / "model.gguf")
    result = apepack(folder, "--runtime", "llamafile", "model.gguf")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert word in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number_", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
def test_nothing_is_left_when_it_is_stopped(number_: signal.Signals, folder: Path) -> None:
    """The model is 2 GiB of holes: large enough to be stopped while it is copied."""
    Gguf(tensors=[Info(dimensions=(1 << 29,))], data_size=1 << 31).write(folder / "large.gguf")
    before = names(folder)
    line = [sys.executable, "-m", "apepack", "--runtime", "llamafile", "-o", "x", "large.gguf"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(line, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    for work in _growing(folder):
        if work.stat().st_size > 1 << 20:
            break
    process.send_signal(number_)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number_ == signal.SIGINT else 143)
    assert said.strip() == ("apepack: interrupted" if number_ == signal.SIGINT else "")
    assert names(folder) == before


def _growing(folder: Path) -> Iterator[Path]:
    """Yield the file in the making again and again, once it is there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        yield from folder.glob(".apepack.*/x")
        time.sleep(0.001)


@pytest.mark.slow
def test_light_start(folder: Path) -> None:
    code = "import sys, apepack.cli\ntry: apepack.cli.main()\nfinally: print(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    heavy = {"gguf", "numpy", "lief", "tqdm"}
    for arguments, unwanted in (
        (["--help"], {"pathlib", "json", "mmap", "zipalign.records", *heavy}),
        (["--runtime", "llamafile", "-n", "tiny.gguf"], heavy),
    ):
        line = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        assert not unwanted & set(done.stderr.split())


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, folder: Path) -> None:
    words = {"COMP_WORDS": "apepack --no", "COMP_CWORD": "--no" if shell == "fish" else "1"}
    environment = {**os.environ, **words, "PYTHONPATH": str(Path(__file__).parents[2])}
    line = [sys.executable, "-m", "apepack"]
    environment["_APEPACK_COMPLETE"] = f"{shell}_complete"
    offered = subprocess.run(line, env=environment, capture_output=True, text=True, check=False).stdout
    assert "--no-windows" in offered
    assert "--no-companion" in offered
