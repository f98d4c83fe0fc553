"""Python for other processors, from a mirror that has everything, has lost something, fails, or stalls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.builders.debian import Machine, Package, write_suite
from tools import apt, foreign_python, lost_inputs
from tools.foreign_python import SUITES, LostError, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders.mirror import Mirror

pytestmark = pytest.mark.slow

ARCHITECTURE = "riscv64"
FIRST, SECOND, THIRD = SUITES
STARTS, DOES_NOT = "it starts", "it does not"


@pytest.fixture(autouse=True)
def emulator(programs: Path) -> None:
    """What runs the Python of the packages below; the last word but three of its command is the path of that."""
    (programs / f"qemu-{ARCHITECTURE}-static").write_text(
        f'#!/bin/sh\nfor word; do case $word in */bin/python3.*) exec grep -q "{STARTS}" "$word" ;; esac; done\n'
    )
    (programs / f"qemu-{ARCHITECTURE}-static").chmod(0o755)


@pytest.fixture(autouse=True)
def foreign(machine: Machine, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Pythons go, which come from all suites, whole; the machine lets apt take what is not signed."""
    monkeypatch.setattr(foreign_python, "FOREIGN", tmp_path / "foreign")
    return tmp_path / "foreign" / ARCHITECTURE


def offer(mirror: Mirror, *suites: foreign_python.Suite, python: str = STARTS) -> None:
    for suite in suites:
        files = {f"{suite.python}-minimal": {f"usr/bin/{suite.python}": python}}
        packages = [Package(name, suite.name, files=files.get(name, {})) for name in suite.packages]
        write_suite(mirror.folder, suite.name, [ARCHITECTURE], packages)


def fetched(foreign: Path) -> str:
    """The Python that is ready."""
    name = (foreign / "ready").read_text()
    assert (foreign / "usr" / "bin" / name).read_text() == STARTS
    assert (foreign / "lib").is_symlink()
    return name


def test_the_first_suite_is_used_if_it_is_whole(mirror: Mirror, foreign: Path) -> None:
    offer(mirror, *SUITES)
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == FIRST.python
    assert not [path for path in mirror.requests if SECOND.name in path or THIRD.name in path]


def test_what_is_ready_or_in_the_cache_is_not_fetched(
    mirror: Mirror, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(mirror, *SUITES)
    fetch(ARCHITECTURE, mirror.address)
    mirror.requests.clear()
    fetch(ARCHITECTURE, mirror.address)
    monkeypatch.setattr(foreign_python, "FOREIGN", tmp_path / "another checkout")
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(tmp_path / "another checkout" / ARCHITECTURE) == FIRST.python
    assert mirror.requests == []


@pytest.mark.parametrize(
    ("lost", "broken"),
    [
        ({"*/libc6_trixie_*"}, set()),
        ({"/dists/trixie/*"}, set()),
        (set(), {"/dists/trixie/*"}),
        (set(), {"*/python3-numpy_trixie_*"}),
    ],
    ids=["a package is lost", "the suite is lost", "the suite is broken", "a package is broken"],
)
def test_the_second_is_used_if_the_first_is_not_whole(
    mirror: Mirror, foreign: Path, monkeypatch: pytest.MonkeyPatch, lost: set[str], broken: set[str]
) -> None:
    monkeypatch.setitem(apt.PATIENCE, "Acquire::Retries", "1")
    offer(mirror, *SUITES)
    mirror.lost |= lost
    mirror.broken |= broken
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == SECOND.python
    # One suite for all: no package is of the first.
    (record,) = (path for path in foreign.parents[1].rglob(f"{ARCHITECTURE}.json"))
    assert json.loads(record.read_text())["suite"] == SECOND.name


def test_a_mirror_that_stalls_is_left_in_time(mirror: Mirror, foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(apt.PATIENCE, "Acquire::Retries", "0")
    monkeypatch.setitem(apt.PATIENCE, "Acquire::http::Timeout", "3")
    offer(mirror, *SUITES)
    mirror.stalled.add("*/libffi8_trixie_*")
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == SECOND.python


def test_one_that_does_not_end_is_left_in_time(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_python, "_REQUEST_LIMIT", 1)
    offer(mirror, *SUITES)
    mirror.stalled.add("*")
    with pytest.raises(LostError) as caught:
        fetch(ARCHITECTURE, mirror.address)
    assert str(caught.value) == "; ".join(f"{suite.name}: it took more than 1 seconds" for suite in SUITES)


def test_an_index_without_a_package(mirror: Mirror, foreign: Path) -> None:
    offer(mirror, SECOND)
    write_suite(mirror.folder, FIRST.name, [ARCHITECTURE], [Package(name) for name in FIRST.packages[1:]])
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == SECOND.python


def test_a_python_that_does_not_start(mirror: Mirror, foreign: Path) -> None:
    """As one whose suite is between two versions."""
    offer(mirror, FIRST, python=DOES_NOT)
    offer(mirror, SECOND, THIRD)
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == SECOND.python


def test_bytes_that_the_index_does_not_know_are_not_used(mirror: Mirror, foreign: Path) -> None:
    offer(mirror, *SUITES)
    (package,) = mirror.folder.glob("pool/trixie/zlib1g_*")
    package.write_bytes(package.read_bytes()[:-1] + b"x")
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == SECOND.python


def test_what_was_fetched_is_kept_though_the_suite_was_lost(
    mirror: Mirror, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(mirror, FIRST)
    mirror.lost.add("*/libc6_trixie_*")
    with pytest.raises(LostError):
        fetch(ARCHITECTURE, mirror.address)
    mirror.lost.clear()
    mirror.requests.clear()
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == FIRST.python
    assert [path for path in mirror.requests if path.endswith(".deb")] == ["/pool/trixie/libc6_trixie_riscv64.deb"]


def test_a_damaged_cache_is_mended(mirror: Mirror, foreign: Path, cache: Path, tmp_path: Path) -> None:
    offer(mirror, *SUITES)
    fetch(ARCHITECTURE, mirror.address)
    victim = next((cache / "debian").glob("*.deb"))
    victim.write_bytes(b"")
    (foreign / "ready").unlink()
    mirror.requests.clear()
    fetch(ARCHITECTURE, mirror.address)
    assert fetched(foreign) == FIRST.python
    assert victim.stat().st_size > 0
    assert len([path for path in mirror.requests if path.endswith(".deb")]) == 1


def test_what_no_suite_has_is_recorded(
    mirror: Mirror,
    foreign: Path,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(mirror, *SUITES)
    mirror.lost |= {"*/libc6_*", "*/zlib1g_trixie_*"}
    write_suite(mirror.folder, "stable", [machine.architecture], [Package("anything")])
    machine.use(mirror.address, "stable")
    monkeypatch.setattr(lost_inputs, "RECORD", tmp_path / "build" / "lost-inputs.json")
    monkeypatch.setattr("sys.argv", ["foreign_python", ARCHITECTURE])
    foreign_python.main()
    assert not (foreign / "ready").exists()
    lost_inputs.main([])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"CI goes on without Python for {ARCHITECTURE}: trixie: its pool lacks libc6, zlib1g (")
    assert "forky: its pool lacks libc6 (" in line
    assert "404  Not Found" in line
