"""Upgrades that are refused, which leave everything as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError
from apepack.packing.lint import LintError
from apepack.upgrade.undo_file import undo_path
from tests.apepack.upgrade.llamafiles import llamafile, runtime, upgraded
from zipalign import Member, add_files
from zipalign.errors import NoSpaceError, RunningFileError

if TYPE_CHECKING:
    from pathlib import Path

MAPPING = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    view = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ)
print("mapped", flush=True)
sys.stdin.read()
"""


def test_defaults_that_the_new_runtime_refuses(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    add_files(path, [Member(".args", b"-m\nother.gguf\n")])
    before = path.read_bytes()

    with pytest.raises(LintError, match=r"other\.gguf"):
        upgraded(path, runtime(tmp_path / "new", seed=2))

    assert path.read_bytes() == before


def test_a_file_in_use_is_refused(old: Path, tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    with subprocess.Popen([sys.executable, "-c", MAPPING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        with pytest.raises(RunningFileError):
            upgraded(path, runtime(tmp_path / "new", seed=2))
        user.kill()
    assert not undo_path(path).exists()


def test_a_full_disk_is_noticed_before(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = llamafile(tmp_path / "x.llamafile", old)
    before = path.read_bytes()
    new = runtime(tmp_path / "new", seed=2)
    space = os.statvfs(tmp_path)
    full = os.statvfs_result((*space[:3], 1, 1, *space[5:10]))
    monkeypatch.setattr("os.statvfs", lambda _: full)

    with pytest.raises(NoSpaceError):
        upgraded(path, new)

    assert path.read_bytes() == before
    assert not undo_path(path).exists()


@pytest.mark.parametrize("data", [b"", b"text\n" * 99, b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "zip"])
def test_other_files_are_refused(data: bytes, old: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    with pytest.raises(InputError, match="no llamafile"):
        upgraded(path, old)

    assert path.read_bytes() == data
