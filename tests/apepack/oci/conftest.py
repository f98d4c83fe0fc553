"""The llamafile of which tests make images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apepack.oci.images import packed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def llamafile(tmp_path: Path) -> Path:
    (tmp_path / "g.gbnf").write_text("root ::= [a-z]+\n")
    return packed(tmp_path, arguments=["--grammar-file", "g.gbnf"], extra=[tmp_path / "g.gbnf"])
