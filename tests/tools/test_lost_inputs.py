"""In CI a skipped test is a failed one, unless the record says that CI could not fetch what the test needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import lost_inputs
from tools.lost_inputs import debian_package, python_package, read_lost_inputs, record_lost_input

CHECKOUT = Path(__file__).parents[2]
TESTS = """
import pytest
from tests.conftest import PACKAGES, tool

PACKAGES["this-program"] = "its-package"

def test_a_program_that_is_not_there():
    tool("this-program")

def test_another_reason():
    pytest.skip("needs this-program (Debian package its-package)")
"""


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of this test's own."""
    monkeypatch.setattr(lost_inputs, "RECORD", tmp_path / "build" / "lost-inputs.json")
    return tmp_path / "build" / "lost-inputs.json"


def outcomes(tmp_path: Path, record: Path, variables: dict[str, str]) -> dict[str, str]:
    """What becomes of the tests above, by pytest with the rule of these tests."""
    (tmp_path / "conftest.py").write_text(
        f"from pathlib import Path\nfrom tools import lost_inputs\nlost_inputs.RECORD = Path({str(record)!r})\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_these.py").write_text(TESTS)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(CHECKOUT)}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-v", "test_these.py"],
        check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env=environment | variables,
    )  # fmt: skip  # the command, then how it is run
    return dict(re.findall(r"::test_(\w+) (\w+)", result.stdout))


@pytest.mark.parametrize(
    ("variables", "lost", "program", "another"),
    [
        ({}, None, "SKIPPED", "SKIPPED"),
        ({"CI": "true"}, None, "FAILED", "FAILED"),
        ({"CI": "true"}, "another-package", "FAILED", "FAILED"),
        ({"CI": "true"}, "its-package", "SKIPPED", "FAILED"),
    ],
    ids=["not in CI", "nothing is lost", "another package is lost", "its package is lost"],
)
def test_what_may_be_skipped(
    tmp_path: Path, record: Path, variables: dict[str, str], lost: str | None, program: str, another: str
) -> None:
    if lost:
        record_lost_input(debian_package(lost), "404  Not Found")
    expected = {"a_program_that_is_not_there": program, "another_reason": another}
    assert outcomes(tmp_path, record, variables) == expected


def test_the_record_is_printed_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    lost_inputs.main([])
    assert capsys.readouterr().out == ""
    record_lost_input("Debian package posh", "404  Not Found")
    record_lost_input("Python for s390x", "trixie: its pool lacks libc6")
    record_lost_input("Debian package posh", "no time is left")
    assert read_lost_inputs() == {
        "Debian package posh": "no time is left",
        "Python for s390x": "trixie: its pool lacks libc6",
    }
    lost_inputs.main([])
    assert capsys.readouterr().out == (
        "CI goes on without Debian package posh: no time is left\n"
        "CI goes on without Python for s390x: trixie: its pool lacks libc6\n"
    )


def test_the_command_adds_python_packages() -> None:
    lost_inputs.main(["zipfile-deflate64"])
    assert read_lost_inputs() == {python_package("zipfile-deflate64"): "pip could not install it"}
