"""Archives on file systems that share blocks between files: the weights are there twice and on the disk once."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import run_module, tool
from zipalign import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SIZE = 24 << 20


@pytest.fixture(params=["xfs", "btrfs"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of that kind."""
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 400 << 20)
    mkfs = tool(f"mkfs.{request.param}")
    subprocess.run([mkfs, "-q", image], check=True, capture_output=True)
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder = tmp_path / "mounted"
    folder.mkdir()
    command = [*as_root, "mount", "-t", request.param, "-o", "loop", image, folder]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs to mount {request.param} on a loop device: {mounted.stderr.strip()}")
    try:
        subprocess.run([*as_root, "chmod", "777", folder], check=True)
        yield folder
    finally:
        subprocess.run([*as_root, "umount", folder], check=True)


def used(folder: Path) -> int:
    os.sync()
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


@pytest.mark.parametrize("size", [SIZE, SIZE + 123])
def test_nothing_is_copied(folder: Path, size: int) -> None:
    weights = random.Random(size).randbytes(size)
    (folder / "model.gguf").write_bytes(weights)
    before = used(folder)

    assert run_module("zipalign", "-j0", "x.zip", "model.gguf", cwd=folder).returncode == 0
    taken = used(folder) - before

    entry = read_archive(folder / "x.zip").entries[0]
    assert taken < SIZE // 4
    with (folder / "x.zip").open("rb") as file:
        file.seek(entry.data_offset)
        assert file.read(entry.size) == weights
    assert run_module("zipalign", "--check", "x.zip", cwd=folder).returncode == 0
