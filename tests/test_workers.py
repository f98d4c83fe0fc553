"""Tests in several processes take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers import shared_file

TESTS = """
import time, json, pytest
from pathlib import Path

def note(name):
    start = time.monotonic()
    time.sleep(0.05)
    (Path(__file__).parent / f"{name}.json").write_text(json.dumps([start, time.monotonic()]))

@pytest.mark.parametrize("number", range(20))
def test_beside_others(number):
    note(f"others-{number}")

@pytest.mark.alone
@pytest.mark.parametrize("number", range(6))
def test_alone(number):
    note(f"alone-{number}")
"""
INI = "[pytest]\nmarkers = alone\n"


@pytest.mark.slow
def test_a_test_that_is_alone_overlaps_no_other(tmp_path: Path) -> None:
    (tmp_path / "test_turns.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(INI)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "load",
        "-p",
        "tests.workers",
        "--rootdir",
        ".",
    ]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        [*command, "test_turns.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    spans = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert len(spans) == 26
    for name, (start, end) in spans.items():
        if name.startswith("alone"):
            others = [
                other for other, (since, until) in spans.items() if other != name and since < end and start < until
            ]
            assert others == [], name


def test_a_shared_file_is_made_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("content")

    paths = {shared_file(tmp_path_factory, "folder of this test/name", make) for _ in range(2)}
    assert [path.read_text() for path in paths] == ["content"]
    assert made == list(paths)
