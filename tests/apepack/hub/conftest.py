"""A hub that takes whole files, one that takes chunks, and a llamafile to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders.hub import hub_for, model_file, packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A llamafile with a model."""
    folder = tmp_path / "files"
    folder.mkdir()
    model = model_file(tmp_path / "Tiny.Q8_0.gguf")
    llamafile = packed(folder, model)
    model.unlink()
    return llamafile
