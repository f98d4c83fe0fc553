"""`.ci/run` on a new machine: what its mirror has is installed, and what it has lost is named in the last lines."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders.debian import Machine, Package, write_suite
from tests.conftest import PACKAGES
from tools.apt import PATIENCE, AptGet
from tools.debian_packages import install, missing
from tools.foreign_python import SUITES

if TYPE_CHECKING:
    from tests.builders.mirror import Mirror

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
FOREIGN = ("riscv64", "s390x")
VERDICT = "4337 passed in 1.00s"


def listed(name: str) -> list[str]:
    """The packages of an array in .ci/run."""
    text = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    (words,) = re.findall(rf"^{name}=\((.*?)\)$", text, re.DOTALL | re.MULTILINE)
    return re.sub("#.*", "", words).split()


@pytest.fixture
def checkout(mirror: Mirror, machine: Machine, programs: Path, cache: Path, tmp_path: Path) -> Path:
    """What .ci/run needs of a checkout, where `make test` does nothing; all that it installs is in the mirror."""
    for name in (".ci", "tools", "runtime"):
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    scripts = {"make": f'[ "$1" != test ] || [ ! "${{FAILS-}}" ] || exit 2\necho "{VERDICT}"', "sudo": 'exec "$@"'}
    scripts |= {f"qemu-{architecture}-static": "exit 0" for architecture in FOREIGN}
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    packages = [Package(name) for name in (*listed("essential"), *listed("optional"))]
    write_suite(mirror.folder, "stable", [machine.architecture], packages)
    for suite in SUITES:
        write_suite(mirror.folder, suite.name, FOREIGN, [Package(name, suite.name) for name in suite.packages])
    machine.use(mirror.address, "stable")
    return tmp_path


def ci(checkout: Path) -> tuple[int, list[str], str]:
    """Its exit status, its last lines, and what it says about errors."""
    result = subprocess.run(
        [checkout / ".ci" / "run"], check=False, capture_output=True, text=True, timeout=300, cwd=checkout
    )
    return result.returncode, result.stdout.splitlines(), result.stderr


def test_a_mirror_that_has_everything(checkout: Path, mirror: Mirror) -> None:
    assert ci(checkout) == (0, [VERDICT], "")
    assert missing([*listed("essential"), *listed("optional")]) == []
    assert all((checkout / "build" / "foreign" / name / "ready").exists() for name in FOREIGN)
    # Once more, where everything is there, and the mirror is gone.
    mirror.requests.clear()
    mirror.broken.add("*")
    assert ci(checkout) == (0, [VERDICT], "")
    assert mirror.requests == []


def test_what_a_mirror_has_lost_is_named_and_no_failure(
    checkout: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.lost |= {"/pool/stable/p7zip-full_*", "*/libexpat1_*_s390x.deb"}
    status, lines, _ = ci(checkout)
    assert status == 0
    assert lines[0] == VERDICT
    seven_zip, python = lines[1:]
    assert re.fullmatch(r"CI goes on without Debian package p7zip-full: .* 404  Not Found .*", seven_zip)
    assert python.startswith("CI goes on without Python for s390x: trixie: its pool lacks libexpat1 (")
    assert all(f"{suite.name}: its pool lacks libexpat1" in python for suite in SUITES)
    assert missing(listed("optional")) == ["p7zip-full"]
    assert [name for name in FOREIGN if (checkout / "build" / "foreign" / name / "ready").exists()] == ["riscv64"]
    # An error of ours stays one, and what is lost is named all the same; what is there again is not.
    monkeypatch.setenv("FAILS", "yes")
    mirror.lost.remove("/pool/stable/p7zip-full_*")
    status, lines, _ = ci(checkout)
    assert (status, lines) == (2, [python])


def test_what_nothing_works_without(checkout: Path, mirror: Mirror) -> None:
    mirror.lost.add("/pool/stable/python3-pip_*")
    status, lines, said = ci(checkout)
    assert (status, lines) == (1, [])
    assert re.search(r"^E: .*python3-pip_1_.*404 ", said, re.MULTILINE)
    assert said.splitlines()[-1] == f"CI cannot start: apt-get must install all of {' '.join(listed('essential'))}"


def test_every_package_that_a_test_wants_is_installed() -> None:
    """But for util-linux, which no system is without."""
    assert set(PACKAGES.values()) - {"util-linux"} <= {*listed("essential"), *listed("optional")}


def test_one_package_takes_no_other_with_it(machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it lost, broken, unknown, or without one that it depends on."""
    monkeypatch.setitem(PATIENCE, "Acquire::Retries", "0")
    packages = [Package("whole"), Package("lost"), Package("broken"), Package("incomplete", depends="lost")]
    write_suite(mirror.folder, "stable", [machine.architecture], packages)
    machine.use(mirror.address, "stable")
    mirror.lost.add("*/lost_*")
    mirror.broken.add("*/broken_*")
    names = ["unknown", "lost", "broken", "incomplete", "whole"]
    lost = install(names, AptGet())
    assert missing(names) == list(lost) == names[:-1]
    assert lost["unknown"] == "Unable to locate package unknown"
    assert "lost_1_" in lost["lost"]
    assert "404" in lost["lost"]
    assert "500" in lost["broken"]
    assert "lost_1_" in lost["incomplete"]
    assert install(missing(["whole"]), AptGet()) == {}


def test_a_mirror_that_stalls(machine: Machine, mirror: Mirror) -> None:
    """The time for all downloads is limited."""
    write_suite(mirror.folder, "stable", [machine.architecture], [Package("one"), Package("two")])
    machine.use(mirror.address, "stable")
    AptGet()("update", limit=60)
    mirror.stalled.add("*/pool/*")
    assert install(["one", "two"], AptGet(), limit=5) == {"one": "no time is left", "two": "no time is left"}
