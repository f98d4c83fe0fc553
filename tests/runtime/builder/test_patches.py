from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.builder.patches import Patch, apply_patches
from runtime.errors import AnchorError

if TYPE_CHECKING:
    from pathlib import Path


def patch(anchor: str, count: int = 1) -> Patch:
    return Patch(file="a/file.cpp", anchor=anchor, replacement="new", reason="a test", count=count)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file.cpp").write_text("one two two three")
    return tmp_path


def test_the_anchor_is_replaced(source: Path) -> None:
    apply_patches(source, (patch("three"),))
    assert (source / "a" / "file.cpp").read_text() == "one two two new"


def test_an_anchor_is_replaced_wherever_it_stands(source: Path) -> None:
    apply_patches(source, (patch("two", count=2),))
    assert (source / "a" / "file.cpp").read_text() == "one new new three"


@pytest.mark.parametrize(
    ("anchor", "found", "count"),
    [("four", 0, 1), ("two", 2, 1), ("two", 2, 3)],
    ids=["absent", "twice", "not often enough"],
)
def test_an_anchor_must_stand_as_often_as_the_edit_says(source: Path, anchor: str, found: int, count: int) -> None:
    with pytest.raises(AnchorError, match=f"expected {count}") as caught:
        apply_patches(source, (patch(anchor, count),))
    assert (caught.value.file, caught.value.anchor, caught.value.found) == ("a/file.cpp", anchor, found)
    assert (source / "a" / "file.cpp").read_text() == "one two two three"


def test_a_missing_file_is_a_missing_anchor(tmp_path: Path) -> None:
    with pytest.raises(AnchorError) as caught:
        apply_patches(tmp_path, (patch("one"),))
    assert caught.value.found == 0
