from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.edits import Edit, apply_edits
from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path


def edit(anchor: str) -> Edit:
    return Edit(file="a/file.cpp", anchor=anchor, replacement="new", reason="a test")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file.cpp").write_text("one two two three")
    return tmp_path


def test_the_anchor_is_replaced(source: Path) -> None:
    apply_edits(source, (edit("three"),))
    assert (source / "a" / "file.cpp").read_text() == "one two two new"


@pytest.mark.parametrize(("anchor", "found"), [("four", 0), ("two", 2)], ids=["absent", "twice"])
def test_an_anchor_must_stand_exactly_once(source: Path, anchor: str, found: int) -> None:
    with pytest.raises(AnchorError, match="expected once") as caught:
        apply_edits(source, (edit(anchor),))
    assert (caught.value.file, caught.value.anchor, caught.value.found) == ("a/file.cpp", anchor, found)
    assert (source / "a" / "file.cpp").read_text() == "one two two three"


def test_a_missing_file_is_a_missing_anchor(tmp_path: Path) -> None:
    with pytest.raises(AnchorError) as caught:
        apply_edits(tmp_path, (edit("one"),))
    assert caught.value.found == 0
