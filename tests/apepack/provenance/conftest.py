"""The llamafile that the tests of this folder change."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from apepack.provenance.manifest import Source
from tests.builders.llamafile import small_llamafile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llamafile with a manifest; no test changes it."""
    return small_llamafile(tmp_path_factory.mktemp("packed"), sources={"tiny.gguf": Source("me/tiny", "0123abc")})


@pytest.fixture
def target(packed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    path = tmp_path / "my.llamafile"
    shutil.copy(packed, path)
    return path
