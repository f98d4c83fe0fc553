"""Upgrades that are killed, by the system, at each call that changes the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apepack.upgrade.restoration import restore
from apepack.upgrade.undo_file import undo_path
from tests.apepack.upgrade.llamafiles import llamafile, runtime, upgraded
from tests.builders.ape import LINUX
from tests.conftest import tool
from zipalign import read_archive

pytestmark = pytest.mark.slow

# The calls on the file: marker, runtime, marker of the append, directory, end of that marker, first sector; then the
# manifest. The barriers between them; the zeros before the weights; the cut behind the directory.
CALLS = [
    *(("pwrite64", when) for when in range(1, 8)),
    *(("fdatasync", when) for when in range(1, 8)),
    ("fallocate", 1),
    ("ftruncate", 1),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old = runtime(tmp_path / "old", platforms=LINUX[:1], page=80_000)
    return llamafile(tmp_path / "x.llamafile", old), runtime(tmp_path / "new", platforms=LINUX[:1], seed=2)


def run(path: Path, injection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a file, with a fault in a system call on it."""
    call = injection.partition(":")[0]
    line = [tool("strace"), "-f", "-o", str(path.with_name("trace")), "-P", str(path), "-e", f"trace={call}", "-e",
            f"inject={injection}", sys.executable, "-m", "apepack", "upgrade", *arguments, path.name]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(line, check=False, capture_output=True, text=True, cwd=path.parent, env=environment)


def ids(call: object) -> str:
    return " ".join(map(str, call)) if isinstance(call, tuple) else str(call)


@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_killed(files: tuple[Path, Path], call: tuple[str, int]) -> None:
    path, source = files
    old = path.read_bytes()
    name, when = call

    killed = run(path, f"{name}:signal=SIGKILL:when={when}", "--quiet", "--runtime", "new")

    assert killed.returncode == -9, killed.stderr
    state, kept = path.read_bytes(), undo_path(path).read_bytes()
    restore(path)
    assert path.read_bytes() == old
    path.write_bytes(state)
    undo_path(path).write_bytes(kept)
    upgraded(path, source)
    assert read_archive(path).entry("tiny.gguf")
    assert path.read_bytes()[:0x10000] == source.read_bytes()[:0x10000]


@pytest.mark.parametrize("call", [("pwrite64", 1), ("pwrite64", 2), ("fdatasync", 2), ("ftruncate", 1)], ids=ids)
def test_killed_on_the_way_back(files: tuple[Path, Path], call: tuple[str, int]) -> None:
    path, source = files
    old = path.read_bytes()
    upgraded(path, source)
    name, when = call

    assert run(path, f"{name}:signal=SIGKILL:when={when}", "--restore").returncode == -9

    restore(path)
    assert path.read_bytes() == old


@pytest.mark.parametrize("call", CALLS[:4], ids=ids)
def test_a_call_that_fails(files: tuple[Path, Path], call: tuple[str, int]) -> None:
    path, _ = files
    old = path.read_bytes()
    name, when = call

    failed = run(path, f"{name}:error=EIO:when={when}", "--quiet", "--runtime", "new")

    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "apepack: x.llamafile: Input/output error\n"
    assert path.read_bytes() == old
    assert not undo_path(path).exists()


def test_an_interrupted_file_says_how_to_continue(files: tuple[Path, Path]) -> None:
    path, _ = files
    run(path, "pwrite64:signal=SIGKILL:when=3", "--quiet", "--runtime", "new")

    result = subprocess.run(["sh", path], check=False, capture_output=True, text=True)

    assert (result.returncode, result.stdout) == (126, "")
    assert "apepack upgrade --restore" in result.stderr
