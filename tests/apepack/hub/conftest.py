"""A hub that takes whole files, one that takes chunks, and a llamafile to publish."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders.hub import hub_for, model_file, packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.local_hub.server import HubServer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with Git LFS."""
    with hub_for(tmp_path, monkeypatch, chunked=False) as server:
        yield server


@pytest.fixture
def xet_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that takes chunks."""
    with hub_for(tmp_path, monkeypatch, chunked=True) as server:
        yield server


@pytest.fixture(scope="session")
def packed_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llamafile with a model."""
    folder = tmp_path_factory.mktemp("tiny")
    return packed(folder, model_file(folder / "Tiny.Q8_0.gguf"))


@pytest.fixture
def tiny(tmp_path: Path, packed_tiny: Path) -> Path:
    """A copy of that, alone in its folder."""
    folder = tmp_path / "files"
    folder.mkdir()
    return Path(shutil.copy(packed_tiny, folder))
