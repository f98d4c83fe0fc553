"""The folder that the command runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "x.llamafile").write_bytes(b"MZqFpD='\n" + bytes(500))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.gguf").write_bytes(b"GGUF" * 500)
    (tmp_path / ".args").write_bytes(b"-m\nmodel.gguf\n")
    return tmp_path
