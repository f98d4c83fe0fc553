"""One program in one file for all platforms, run on those that can be run here.

Linux on amd64 is this machine; arm64 is qemu in the kernel's place behind a uname that says so; Windows is wine.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from apepack.format.binfmt import BINFMT_CONFIGURATION, INTERPRETER
from apepack.format.prologue import Magic
from assimilate.conversion import assimilate
from runtime.platforms import PLATFORMS, Evidence, Platform, platform_named
from tests.builders.ape import loader
from tests.builders.home import new_name
from tests.builders.hosts import Host, under_wine
from tests.builders.programs import STARTS, UNPACKED, everywhere, everywhere_ape, everywhere_output, start_id
from tests.conftest import tool

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.needs_compiler

LINUX = [platform_named("linux-amd64"), platform_named("linux-arm64")]
WINDOWS = platform_named("windows-amd64")
MAGICS = [Magic.MZ, Magic.NO_WINDOWS]
ELF = b"\x7fELF\2\1\1\0"
WINDOWS_ARGUMENTS = ["one", "two  words", ""]
ARGUMENTS = ["one", "two  words", "", "*", "it's", "--", "ä"]


def test_no_platform_is_forgotten() -> None:
    """Each platform is tested where its evidence says: run here, or led to its program in test_platforms.py."""
    evidence = dict.fromkeys(UNPACKED, Evidence.STRUCTURE)
    evidence |= {LINUX[0]: Evidence.NATIVE, LINUX[1]: Evidence.QEMU, WINDOWS: Evidence.WINE}

    assert evidence == {platform: platform.evidence for platform in PLATFORMS}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path


def write_ape(home: Path, magic: Magic) -> Path:
    path = home / "everywhere.exe"
    path.write_bytes(everywhere_ape(magic))
    path.chmod(0o755)
    return path


class Linux(Host):
    """A Linux machine, and what it prints when all is well."""

    def works(self, *command: str | Path, expected: str, registrations: Sequence[str] = ()) -> bool:
        result = self.run(*command, registrations=registrations, TMPDIR=f"{self.folder}/temporary", LOGNAME=new_name())
        assert (result.stdout, result.stderr) == (expected, "")
        return result.returncode == 7


@pytest.fixture(params=LINUX, ids=lambda platform: platform.name)
def linux(request: pytest.FixtureRequest, home: Path) -> Linux:
    platform: Platform = request.param
    return Linux(home, platform)


def test_alone(linux: Linux, home: Path) -> None:
    """The native program itself, so that it is known what is to be expected of the others."""
    path = home / "program"
    shutil.copy(everywhere(linux.platform), path)

    assert linux.works(path, *ARGUMENTS, expected=everywhere_output([str(path), *ARGUMENTS], str(path), ELF))


@pytest.mark.parametrize(("magic", "shell"), STARTS, ids=start_id)
def test_in_shells(linux: Linux, home: Path, magic: Magic, shell: tuple[str, ...]) -> None:
    path = write_ape(home, magic)
    arguments = ARGUMENTS[:-1] if shell == ("yash",) else ARGUMENTS  # yash knows ASCII only without a locale
    expected = everywhere_output([str(path), *arguments], str(path), magic.value)
    for _ in ("extracting the loader", "finding it"):
        assert linux.works(tool(shell[0]), *shell[1:], path, *arguments, expected=expected)
    if (magic, shell) != (Magic.MZ, ("mksh",)):  # which refuses to start any MZ file
        typed = '"$0" "$@"; exit $?'
        assert linux.works(tool(shell[0]), *shell[1:], "-c", typed, path, *arguments, expected=expected)


@pytest.mark.parametrize("magic", MAGICS)
def test_typed_in_fish(linux: Linux, home: Path, magic: Magic) -> None:
    """It cannot read the script, and hands the file to sh."""
    path = write_ape(home, magic)

    assert linux.works(
        tool("fish"), "-c", f"{path} one 'two  words'",
        expected=everywhere_output([str(path), "one", "two  words"], str(path), magic.value),
    )  # fmt: skip  # the command, then what it prints


@pytest.mark.parametrize("magic", MAGICS)
class TestWithoutShell:
    def test_by_the_loader(self, linux: Linux, home: Path, magic: Magic) -> None:
        path = write_ape(home, magic)
        expected = everywhere_output([str(path), *ARGUMENTS], str(path), magic.value)

        assert linux.works(loader(home, linux.platform.name), path, *ARGUMENTS, expected=expected)

    def test_by_binfmt_misc(self, linux: Linux, home: Path, magic: Magic) -> None:
        """With the very lines that apepack --print-binfmt prints, but for where the loader is."""
        path = write_ape(home, magic)
        interpreter = str(loader(home, linux.platform.name))
        lines = [line for line in BINFMT_CONFIGURATION.splitlines() if line.startswith(":")]
        lines = [line.replace(INTERPRETER, interpreter) for line in lines]
        name = "given name"
        if linux.platform == LINUX[1]:  # qemu does not pass on by which the kernel tells the loader of the flag P
            lines, name = [line.removesuffix("P") for line in lines], str(path)
        expected = everywhere_output([name, "one"], str(path), magic.value)
        execve = "import os, sys; os.execve(sys.argv[1], ['given name', 'one'], {})"

        assert linux.works(sys.executable, "-c", execve, path, expected=expected, registrations=lines)

    def test_assimilated_by_itself(self, linux: Linux, home: Path, magic: Magic) -> None:
        path = write_ape(home, magic)
        assert linux.run("sh", path, "--assimilate").returncode == 0

        assert linux.works(path, *ARGUMENTS, expected=everywhere_output([str(path), *ARGUMENTS], str(path), head(path)))

    def test_assimilated_by_the_tool(self, linux: Linux, home: Path, magic: Magic) -> None:
        path = write_ape(home, magic)
        assimilate(path, linux.platform)

        assert linux.works(path, *ARGUMENTS, expected=everywhere_output([str(path), *ARGUMENTS], str(path), ELF))


class TestWindows:
    def test_alone(self, home: Path) -> None:
        path = home / "program.exe"
        shutil.copy(everywhere(WINDOWS), path)

        check_windows(path, under_wine(path, *WINDOWS_ARGUMENTS), everywhere(WINDOWS).read_bytes(), *WINDOWS_ARGUMENTS)

    def test_directly(self, home: Path) -> None:
        path = write_ape(home, Magic.MZ)

        check_windows(path, under_wine(path, *WINDOWS_ARGUMENTS), Magic.MZ.value, *WINDOWS_ARGUMENTS)

    def test_by_the_command_interpreter(self, home: Path) -> None:
        path = write_ape(home, Magic.MZ)

        result = under_wine("cmd", "/c", windows_path(path), *WINDOWS_ARGUMENTS[:2])

        check_windows(path, result, Magic.MZ.value, *WINDOWS_ARGUMENTS[:2])


def windows_path(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


def check_windows(path: Path, result: subprocess.CompletedProcess[str], begins: bytes, *arguments: str) -> None:
    name = windows_path(path)
    assert result.stdout == everywhere_output([name, *arguments], name, begins)
    assert result.returncode == 7


def head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
