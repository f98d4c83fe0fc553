"""Each row of docs/promises.md has a test named after it, here, or a reason for having none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# How many rows each group has: product, API, commands of the examples, packaging, gotchas, systems and processors, GPU,
# building and installing, creating and distributing, technical claims, security and licence.
GROUPS: Final = {"A": 13, "B": 11, "C": 15, "D": 11, "E": 8, "F": 8, "G": 7, "H": 6, "I": 6, "J": 8, "K": 9}
ROWS: Final = [f"{group}{number}" for group, count in GROUPS.items() for number in range(1, count + 1)]

WITHOUT_TEST: Final = {
    "J5": "the number of lines of another project's zipalign: no promise to users of this one",
    "J8": "how another project loads GPU code: not visible to users, and there is none here",
}


DOCUMENTED: Final = re.findall(
    r"^\| ([A-K]\d+) \| .+ \|(.*)\|$",
    (Path(__file__).parents[3] / "docs" / "promises.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def files_by_row() -> dict[str, set[str]]:
    """The test files of each row that the name of a test has; test_c7_c8_… is one of both rows."""
    files: dict[str, set[str]] = {}
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        for name in re.findall(r"^def test_(\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            found = re.match(r"(?:[a-k]\d+_)+", name)
            for row in found[0].upper().strip("_").split("_") if found else ():
                files.setdefault(row, set()).add(path.name)
    return files


def rows_with_tests() -> set[str]:
    return set(files_by_row())


def test_each_row_has_a_test_or_a_reason() -> None:
    assert [row for row in ROWS if row not in rows_with_tests() | WITHOUT_TEST.keys()] == []


def test_what_has_a_test_needs_no_reason() -> None:
    assert rows_with_tests() & WITHOUT_TEST.keys() == set()


def test_no_test_is_named_after_a_row_that_does_not_exist() -> None:
    assert rows_with_tests() - set(ROWS) == set()


def test_the_documented_rows_are_these() -> None:
    assert [row for row, _ in DOCUMENTED] == ROWS


def test_the_documented_files_have_the_tests() -> None:
    files = files_by_row()
    for row, cell in DOCUMENTED:
        assert re.findall(r"`(\w+\.py)`", cell) == sorted(files.get(row, ())), row
