"""Results as a table and as JSON, with and without the machine's limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.record import OURS, Record

if TYPE_CHECKING:
    from pathlib import Path


def record(folder: Path, limits: list[float]) -> Record:
    found = Record("speed", "Title", "About.", "tokens/s", 3, {"of the llamafile": "1"}, folder=folder)
    cell = found.cell(model="m", test="prompt")
    for ours, other in ((40, 30), (50, 20), (60, 25)):
        cell.add(OURS, ours)
        cell.add("clang", other)
    cell.limits = limits
    found.cell(model="m", test="generate").add(OURS, 7)
    return found


def test_limits_add_two_columns(tmp_path: Path) -> None:
    lines = record(tmp_path, [80, 80, 100]).table(["clang"], ["clang"]).splitlines()
    assert lines == [
        (
            "| model | test | llamafile, tokens/s | clang, tokens/s | llamafile / clang "
            "| limit, tokens/s | llamafile / limit, % |"
        ),
        "|---|---|---:|---:|---:|---:|---:|",
        "| m | prompt | 50.0 (40.0 to 60.0) | 25.0 (20.0 to 30.0) | 2.00 | 80.0 (80.0 to 100.0) | 60 (50 to 62) |",
        "| m | generate | 7.0 (7.0 to 7.0) |  |  |  |  |",
    ]


def test_without_limits_there_are_no_columns_for_them(tmp_path: Path) -> None:
    assert "limit" not in record(tmp_path, []).table(["clang"], ["clang"])


def test_files_in_another_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    one = record(folder, [80, 80, 100])
    one.more_facts["rooflines"] = {"all": {"GB/s": {"1": 10}}}
    one.write(tmp_path, ["clang"], ["clang"], "notes\n")
    assert sorted(path.name for path in folder.iterdir()) == ["speed.json", "speed.md"]
    data = json.loads((folder / "speed.json").read_text())
    assert data["cells"][0] == {
        "model": "m",
        "test": "prompt",
        "limits": [80, 80, 100],
        "samples": {OURS: [40, 50, 60], "clang": [30, 20, 25]},
    }
    assert "limit" not in data["cells"][1]
    assert data["rooflines"] == {"all": {"GB/s": {"1": 10}}}
    text = (folder / "speed.md").read_text()
    assert "Machine: " in text
    assert "(speed.svg)" in text
    assert text.endswith("\nnotes\n")


def test_a_text_refers_to_no_files(tmp_path: Path) -> None:
    text = record(tmp_path, [80, 80, 100]).text(tmp_path, ["clang"], ["clang"], "")
    assert "Load average: " in text
    assert "speed." not in text
    assert list(tmp_path.iterdir()) == []
