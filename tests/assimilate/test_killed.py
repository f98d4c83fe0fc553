"""The same promises on the real command: it is killed at each of its system calls, or these fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assimilate.conversion import assimilate, restore
from assimilate.in_place import backup_path
from assimilate.plan import Options
from runtime.platforms import platform_named
from tests.builders.ape import small_ape
from tests.conftest import tool
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from collections.abc import Sequence

MACOS = platform_named("macos-arm64")
# All calls that change the file, in their order: marker, member, directory and the end of the marker; marker, program,
# and its first sector. The barriers between them; the cut that frees the reserved space.
CALLS = [
    *(("pwrite64", when) for when in range(1, 8)),
    *(("fdatasync", when) for when in range(1, 7)),
    ("ftruncate", 1),
]
BACK = [*(("pwrite64", when) for when in range(1, 4)), *(("fdatasync", when) for when in range(1, 5)), ("ftruncate", 1)]


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    path = tmp_path / "ape"
    path.write_bytes(small_ape("macos-arm64", "freebsd-amd64"))
    add_files(path, [Member("weights", b"weights" * 9999)])
    return path


def run(path: Path, injection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a file, with a fault in a system call on it."""
    call = injection.partition(":")[0]
    line = [tool("strace"), "-f", "-o", str(path.with_name("trace")), "-P", str(path), "-e", f"trace={call}", "-e",
            f"inject={injection}", sys.executable, "-m", "assimilate", *arguments, path.name]  # fmt: skip  # a line
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(line, check=False, capture_output=True, text=True, cwd=path.parent, env=environment)


def ids(call: object) -> str:
    return " ".join(map(str, call)) if isinstance(call, tuple) else str(call)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_killed(ape: Path, call: Sequence[object]) -> None:
    old = ape.read_bytes()
    name, when = call

    killed = run(ape, f"{name}:signal=SIGKILL:when={when}", "-t", "macos-arm64")

    assert killed.returncode == -9
    assert killed.stderr == ""
    state, kept = ape.read_bytes(), backup_path(ape).read_bytes()
    restore(ape, Options(force=True))
    assert ape.read_bytes() == old
    ape.write_bytes(state)
    backup_path(ape).write_bytes(kept)
    assimilate(ape, MACOS, Options(force=True))
    assert {entry.name for entry in read_archive(ape).entries} == {"NOTICES", "weights"}
    restore(ape)
    assert ape.read_bytes() == old


@pytest.mark.slow
@pytest.mark.parametrize("call", BACK, ids=ids)
def test_killed_on_the_way_back(ape: Path, call: Sequence[object]) -> None:
    old = ape.read_bytes()
    assimilate(ape, MACOS)
    name, when = call

    assert run(ape, f"{name}:signal=SIGKILL:when={when}", "--restore").returncode == -9

    restore(ape)
    assert ape.read_bytes() == old
    assert not backup_path(ape).exists()


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS, ids=ids)
def test_a_call_that_fails(ape: Path, call: Sequence[object]) -> None:
    old = ape.read_bytes()
    name, when = call

    failed = run(ape, f"{name}:error=EIO:when={when}", "-t", "macos-arm64")

    if (name, when) == ("pwrite64", 4):  # only the end of the marker, which is harmless
        assert failed.returncode == 0
        restore(ape)
    else:
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr == "assimilate: ape: Input/output error\n"
    assert ape.read_bytes() == old
    assert not backup_path(ape).exists()


@pytest.mark.slow
def test_a_disk_that_takes_nothing_more(ape: Path) -> None:
    old = ape.read_bytes()

    failed = run(ape, "pwrite64:error=EIO:when=6+", "-t", "macos-arm64")

    assert failed.returncode == 1
    assert failed.stderr == (
        "assimilate: ape: its conversion for macos-arm64 was interrupted: finish it with -t macos-arm64 or undo it"
        " with --restore\n"
    )
    result = subprocess.run(["sh", ape], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr.count("interrupted")) == (126, 1)
    restore(ape)
    assert ape.read_bytes() == old
