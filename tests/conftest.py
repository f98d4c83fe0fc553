"""What all tests share: tools of the machine, and the rule that in CI none may be missing unless it was lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime.builder.cache import cache_root
from tests.builders.home import links_into_home, living_in
from tools.lost_inputs import debian_package, read_lost_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from typing import NoReturn

# Debian's package for each program that a test may want; .ci/run installs all of them.
PACKAGES = {
    "7z": "p7zip-full",
    "bash": "bash",
    "bsdtar": "libarchive-tools",
    "busybox": "busybox",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "crun": "crun",
    "curl": "curl",
    "dash": "dash",
    "fish": "fish",
    "g++": "g++",
    "git": "git",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "jar": "default-jdk-headless",
    "ksh": "ksh",
    "llvm-objdump": "llvm",
    "llvm-readobj": "llvm",
    "make": "make",
    "mandoc": "mandoc",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "mksh": "mksh",
    "mman": "mandoc",
    "nsenter": "util-linux",
    "objdump": "binutils",
    "openssl": "openssl",
    "posh": "posh",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-riscv64-static": "qemu-user-static",
    "qemu-s390x-static": "qemu-user-static",
    "qemu-x86_64-static": "qemu-user-static",
    "readelf": "binutils",
    "skopeo": "skopeo",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "umoci": "umoci",
    "unzip": "unzip",
    "wine64": "wine64",
    "yash": "yash",
    "Xvfb": "xvfb",
    "zip": "zip",
    "zsh": "zsh",
}

pytest_plugins = ["tests.needs", "tests.workers"]

# A job in the background, or under nohup, is started with these ignored, and so would be all that its tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# numpy's threads wait for each other actively, which on a busy machine takes several times as long as one of them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The commands under test are this environment's own, whether or not it was activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


class LostInput(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # to mypy, no class can be one's attribute
    """A test is skipped because CI could not fetch what it needs."""


def skip_without(name: str, needs: str) -> NoReturn:
    """Skip the test for want of NAME, as the record of lost inputs calls it; NEEDS says it to the user."""
    lost = read_lost_inputs().get(name)
    if lost is None:
        pytest.skip(needs)
    raise LostInput(f"{needs}, which is lost: {lost}")


def tool(name: str) -> str:
    """Return the path of a program, or skip the test with one line that says which package has it."""
    found = shutil.which(name)
    if found is None:
        package = debian_package(PACKAGES.get(name, name))
        skip_without(package, f"needs {name} ({package})")
    return found


def run_module(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one of our commands, `python -m NAME`, from this checkout but in another folder."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Refuse to start or read compiled programs while tests are collected: that belongs into tests and fixtures."""

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if not is_collecting:
            return
        if event == "subprocess.Popen" or (event == "open" and "/llamafile-toolchain/" in str(arguments[0])):
            raise AssertionError(f"a test module calls {event}{arguments} while it is imported")

    is_collecting = True
    sys.addaudithook(refuse)
    try:
        return (yield)
    finally:
        is_collecting = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: the machine there has everything that CI did not record as lost."""
    report = yield
    is_lost = call.excinfo is not None and isinstance(call.excinfo.value, LostInput)
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail") and not is_lost:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Give the fixtures that tests share a home of their own; the value does it for a test.

    What a user's home has for pip and npm is there, and so are the builds.
    """
    shared = links_into_home(Path.home(), cache_root())
    folder, number = tmp_path_factory.mktemp("homes"), count()
    with living_in(folder / str(next(number)), shared):
        yield lambda: living_in(folder / str(next(number)), shared)


@pytest.fixture(autouse=True)
def home_of_its_own(new_home: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """No test finds what this machine's user or another test has left in a home or a directory for temporary files."""
    with new_home():
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the toolchain's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "llamafile-toolchain"
