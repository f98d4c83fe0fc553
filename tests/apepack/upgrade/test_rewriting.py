"""New files with another runtime where the file system shares blocks: the weights are on the disk once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apepack.provenance.verification import verify
from apepack.upgrade.plan import Way
from apepack.upgrade.rewriting import shares_blocks
from apepack.upgrade.upgrade import UpgradeOptions
from tests.apepack.upgrade.llamafiles import llamafile, model, noise, runtime, upgraded
from tests.zipalign.test_reflink import folder, used

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]  # a fixture

SIZE = 24 << 20


@pytest.mark.slow
def test_the_weights_are_shared(folder: Path) -> None:
    with model(folder).open("ab") as file:
        file.write(noise(SIZE))
    path = llamafile(folder / "x.llamafile", runtime(folder / "old", platforms=("linux-amd64",), page=10, gpu=10))
    new = runtime(folder / "new", page=90_000, seed=2)
    before = used(folder)

    result = upgraded(path, new, UpgradeOptions(output=folder / "y.llamafile"))

    assert result.plan.way is Way.COPY
    assert result.plan.shares_blocks
    assert (result.plan.copied_size, result.plan.written_size < 1 << 20) == (0, True)
    assert used(folder) - before < SIZE // 4
    assert verify(folder / "y.llamafile").ok


def test_other_file_systems_do_not_share(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8192))
    assert not shares_blocks(tmp_path / "file", tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
