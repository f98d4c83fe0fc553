"""Images on file systems that share blocks between files: the weights are there several times, and on the disk once."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.apepack.oci.images import image, read_layout
from tests.apepack.upgrade.llamafiles import runtime
from tests.zipalign.test_reflink import folder, used
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]  # a fixture

pytestmark = pytest.mark.slow

SIZE = (24 << 20) + 123


@pytest.mark.parametrize(("output", "artifact"), [("out", "model"), ("out.tar", "model.tar")])
def test_nothing_is_copied(folder: Path, tmp_path: Path, output: str, artifact: str) -> None:  # the fixture
    path = runtime(tmp_path / "x.llamafile", page=10, gpu=10)
    weights = os.urandom(SIZE)
    add_files(path, [Member("m.gguf", weights)])
    copied = shutil.copyfile(path, folder / "x.llamafile")
    before = used(folder)

    image(copied, folder / output, folder / artifact)

    assert used(folder) - before < SIZE // 4
    assert weights in read_layout(folder / artifact).blobs.values()
    assert read_layout(folder / output).files("amd64")["models/m.gguf"] == weights
