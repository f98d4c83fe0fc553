"""What tests of upgrades start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apepack.upgrade.llamafiles import runtime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A llamafile whose runtime takes some 300 KB."""
    return runtime(tmp_path / "old", page=70_000, gpu=5_000)
