"""The script where no directory permits programs: another loader, the loader in memory, or a sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import Magic
from apepack.format.script import SECOND_PART
from runtime.builder.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.apepack.format.home import Home
from tests.builders.ape import in_private_mounts, linked, probe_output
from tests.builders.programs import everywhere_ape, everywhere_output
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs_compiler

# Every place there is, made unusable; $1 is the program's directory, seen as /mnt. posh crashes in a hidden directory.
NOWHERE = """
cd /
mount --bind "$1" /mnt
mount -o remount,bind,ro /mnt
for place in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o noexec,mode=1777 tmpfs $place; done
"""
# The script's commands, and where the tests see a folder with these alone.
COMMANDS = (
    "[", "chmod", "cksum", "dd", "echo", "env", "find", "id", "mkdir", "mktemp", "mv", "rm", "rmdir", "sh", "uname",
)  # fmt: skip  # a list
LANGUAGES: dict[str, Callable[[], str | Path]] = {
    "perl": lambda: tool("perl"),
    "python3": lambda: Path(sys.executable).resolve(),  # the one in PATH may be a script
}
SHELLS = ("dash", "bash", "zsh", "busybox", "ksh", "mksh", "posh", "yash")
ONLY = 'mount --bind "$2" /opt' + NOWHERE + "PATH=/opt "


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def commands(home: Home) -> Path:
    """A folder with the commands of the smallest systems."""
    folder = home.root / "commands"
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).symlink_to(tool(name))
    return folder


def test_it_says_so_and_leaves_nothing(home: Home, commands: Path) -> None:
    result = in_private_mounts(
        ONLY + "sh /mnt/probe || s=$?; find /tmp /var/tmp /dev/shm -mindepth 1; exit $s",
        home.program.parent,
        commands,
    )

    sentence = "no directory to run a program from (tried /tmp /var/tmp /mnt /dev/shm): set TMPDIR to one, "
    assert sentence + "install the loader as ape, or convert this file with assimilate\n" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert result.returncode == 126


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("shell", SHELLS)
def test_the_loader_runs_from_memory(home: Home, commands: Path, shell: str, name: str) -> None:
    (commands / name).symlink_to(LANGUAGES[name]())
    (commands / "sh").unlink()
    (commands / "sh").symlink_to(tool(shell))
    language = "LANG=xx_XX " if shell == "dash" else ""  # Perl complains; so do some shells
    script = f"{language}sh /mnt/probe 'a  b' '' \\\\n || s=$?; find /tmp /var/tmp /dev/shm -mindepth 1; exit $s"

    result = in_private_mounts(ONLY + script, home.program.parent, commands)

    assert result.stdout == probe_output(["/mnt/probe", "a  b", "", "\\n"], "/mnt/probe")
    assert (result.stderr, result.returncode) == ("", 7)


@pytest.mark.parametrize("name", LANGUAGES)
def test_memory_that_needs_a_flag_to_permit_programs(home: Home, commands: Path, name: str) -> None:
    (commands / name).symlink_to(LANGUAGES[name]())
    script = "mount -t proc proc /proc && echo 1 >/proc/sys/vm/memfd_noexec || exit 77\n"
    inner = f"unshare --pid --fork sh -c {quote(script + 'PATH=/opt sh /mnt/probe one')}"

    result = in_private_mounts('mount --bind "$2" /opt' + NOWHERE + inner, home.program.parent, commands)

    if result.returncode == 77:
        pytest.skip("needs Linux 6.3, and a mount of /proc")
    assert (result.stdout, result.stderr) == (probe_output(["/mnt/probe", "one"], "/mnt/probe"), "")


def test_with_programs_for_all_platforms(home: Home, commands: Path) -> None:
    (commands / "python3").symlink_to(LANGUAGES["python3"]())
    home.program.write_bytes(everywhere_ape())

    result = in_private_mounts(ONLY + "sh /mnt/probe one", home.program.parent, commands)

    expected = everywhere_output(["/mnt/probe", "one"], "/mnt/probe", Magic.MZ.value)
    assert (result.stdout, result.stderr, result.returncode) == (expected, "", 7)


def test_without_the_second_part_of_the_script_it_says_so_too(home: Home) -> None:
    home.program.write_bytes(linked().replace(SECOND_PART, bytes(len(SECOND_PART))))

    result = in_private_mounts(NOWHERE + "sh /mnt/probe", home.program.parent)

    assert (result.stdout, result.returncode) == ("", 126)
    assert "no directory to run a program from" in result.stderr


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_memory_for_programs_either(home: Home, commands: Path, name: str) -> None:
    (commands / name).symlink_to(LANGUAGES[name]())
    data = linked().replace(b"/proc/self/fd/", b"/proc/none/fd/")
    home.program.write_bytes(data)

    result = in_private_mounts(ONLY + "sh /mnt/probe", home.program.parent, commands)

    assert (result.stdout, result.returncode) == ("", 126)
    assert result.stderr.startswith("/mnt/probe: no directory to run a program from (tried ")
    assert result.stderr.count("\n") == 1


def test_a_loader_that_the_administrator_installed_is_the_last_resort(home: Home) -> None:
    (home.root / "bin").mkdir()
    (home.root / "bin" / "ape").write_bytes(loader_bytes(platform_named("linux-amd64")))
    (home.root / "bin" / "ape").chmod(0o755)

    result = in_private_mounts(
        'mount --bind "$2" /opt' + NOWHERE + "exec sh /mnt/probe one",
        home.program.parent,
        home.root / "bin",
        PATH=f"/opt:{os.environ['PATH']}",
    )

    assert (result.stdout, result.stderr) == (probe_output(["/mnt/probe", "one"], "/mnt/probe"), "")


def test_a_damaged_loader_is_never_run(home: Home) -> None:
    data = bytearray(linked())
    data[0x1100] ^= 1
    home.program.write_bytes(data)

    result = in_private_mounts(
        'mount -t tmpfs -o mode=1777 tmpfs /var/tmp; mount -t tmpfs -o mode=1777 tmpfs /dev/shm; exec sh "$1"',
        home.program,
        **home.environment,
    )

    assert (result.stdout, result.returncode) == ("", 126)
    assert "no directory to run a program from" in result.stderr
    assert list(home.temporary.iterdir()) == []
