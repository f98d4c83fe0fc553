"""The unit of systemd in docs/serving/."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from runtime.options import domain_of
from tests.acceptance.api.servers import serving
from tests.conftest import tool

UNIT: Final = Path(__file__).parents[3] / "docs" / "serving" / "llamafile.service"
PAGE: Final = UNIT.with_name("README.md")


def settings(name: str) -> list[str]:
    """The values of all lines that set NAME."""
    text = UNIT.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that this machine has."""
    path = tmp_path / UNIT.name
    program = settings("ExecStart")[0].split()[0]
    path.write_text(UNIT.read_text(encoding="utf-8").replace(program, tool("true")), encoding="utf-8")
    return path


def test_systemd_understands_it(unit: Path) -> None:
    command = [tool("systemd-analyze"), "verify", "--man=no", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in result.stderr.splitlines() if UNIT.name in line]  # not of the units of this machine
    assert (result.returncode, said) == (0, [])


def test_its_exposure_is_as_documented(unit: Path) -> None:
    (score,) = re.findall(r"exposure level is (\d\.\d)", PAGE.read_text(encoding="utf-8"))
    command = [tool("systemd-analyze"), "security", "--no-pager", "--offline=yes", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    (found,) = re.findall(r"Overall exposure level for \S+: (\d\.\d)", said)
    assert found == score


def test_its_times_fit() -> None:
    words = settings("ExecStart")[0].split()
    limit = int(words[words.index("--shutdown-seconds") + 1])
    assert limit + 2 < int(settings("TimeoutStopSec")[0])
    assert all(domain_of(word) is not None for word in words if word.startswith("--"))


def allowed_calls() -> set[str]:
    """The calls that its filter allows, by the lists of the systemd of this machine."""
    calls: set[str] = set()
    for line in settings("SystemCallFilter"):
        for word in line.removeprefix("~").split():
            found = expanded(word)
            calls = calls - found if line.startswith("~") else calls | found
    return calls


def expanded(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    command = [tool("systemd-analyze"), "syscall-filter", "--no-pager", name]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = {line.strip() for line in text.splitlines()[1:]} - {""}
    return {call for word in words if not word.startswith("#") for call in expanded(word)}


def test_its_filter_allows_what_a_server_calls(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    traced = [tool("strace"), "--follow-forks", "--output", log, "--signal=none", program, "-m", tiny_model]
    with serving([*traced, "--nobrowser", "--metrics"], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        (child,) = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        subprocess.run(["kill", f"-{signal.SIGTERM.value}", child], check=True)
        assert server.process.wait(timeout=60) == 0
    calls = set(re.findall(r"^\d+ +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE))
    assert {"accept4", "mmap", "seccomp"} <= calls
    assert calls - allowed_calls() == set()
