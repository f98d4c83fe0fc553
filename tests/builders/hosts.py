"""This machine made to look like another: what uname says there, and what its kernel runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from runtime.builder.cache import cache_root
from runtime.platforms import Launch, platform_named
from tests.builders.ape import in_private_mounts
from tests.builders.programs import everywhere
from tests.conftest import skip_without, tool
from tools.lost_inputs import debian_package

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runtime.platforms import Platform

__all__ = ["Host", "stand_in_output", "under_wine", "windows_command", "wine64"]

_NO_BINFMT: Final = 99
# Where Linux states its architecture in a file, the script runs no other program.
_BECOME: Final = """
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null || exit 99
if [ -e /proc/sys/kernel/arch ]; then mount --bind /dev/null /proc/sys/kernel/arch; fi
while [ "$1" != -- ]; do
    printf '%s\\n' "$1" >/proc/sys/fs/binfmt_misc/register || exit 99
    shift
done
PATH=$2
shift 2
exec "$@"
"""
_UNAME: Final = """\
#!/bin/sh
case $1 in
-s) echo '{system}' ;;
-m) echo '{machine}' ;;
-sm) echo '{system} {machine}' ;;
*) exit 1 ;;
esac
"""
_SYSCTL: Final = """\
#!/bin/sh
[ "$*" = "-n sysctl.proc_translated" ] && [ '{translated}' ] && exec echo '{translated}'
echo "sysctl: unknown oid '$2'" >&2
exit 1
"""
# What is run in place of another system's program, which is its first argument.
_STAND_IN: Final = """\
#!/bin/sh
printf 'program %s\\n' "$1"
shift 2
for argument; do printf 'argv %s\\n' "$argument"; done
printf 'container %s\\n' "${LLAMAFILE_CONTAINER-unset}"
exit 7
"""
_ARM64_ELF: Final = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0"
_ANY_OSABI: Final = b"\xff" * 7 + bytes(9) + b"\xff" * 4


def stand_in_output(program: Path, arguments: list[str], container: str) -> str:
    """What is printed where PROGRAM would have been run."""
    return "\n".join([f"program {program}", *(f"argv {one}" for one in arguments), f"container {container}", ""])


@dataclass(frozen=True)
class Host:
    """A machine that scripts take for one of another platform.

    Its kernel runs the programs of an emulator, or, where there is none for a system, a stand-in whenever it is asked
    to run exactly our program for that system, and says what it was given.
    """

    folder: Path
    platform: Platform  # whose uname it has
    translated: str = ""  # what sysctl says of sysctl.proc_translated: 1 under Rosetta

    @property
    def runs(self) -> Platform:
        """The platform whose programs it runs."""
        is_rosetta = self.platform.name == "macos-amd64" and self.translated == "1"
        return platform_named("macos-arm64") if is_rosetta else self.platform

    def run(
        self, *command: str | Path, registrations: Sequence[str] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there.

        Args:
            command: the program and its arguments.
            registrations: what the kernel's binfmt_misc is told beside what makes it run the platform's programs.
            environment: all that the command finds in its environment, but for PATH.
        """
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        self.put(tools / "sysctl", _SYSCTL.format(translated=self.translated))
        self.put(tools / "uname", _UNAME.format(system=self.platform.system, machine=self.platform.processor))
        path = f"{tools}:{environment.pop('PATH', os.environ['PATH'])}"
        result = in_private_mounts(
            _BECOME, *self._registrations(), *registrations, "--", path, *command, **environment
        )  # fmt: skip  # the script, its arguments, its environment
        if result.returncode == _NO_BINFMT:
            pytest.skip("needs a binfmt_misc of its own for each namespace (Linux 6.7)")
        return result

    def put(self, path: Path, text: str) -> None:
        """Write a script that can be run."""
        path.write_text(text)
        path.chmod(0o755)

    def _registrations(self) -> list[str]:
        if self.platform.launch == Launch.UNPACKED:
            stand_in = self.folder / "tools" / "stand-in"
            self.put(stand_in, _STAND_IN)
            head = everywhere(self.runs).read_bytes()[:64]
            return [f":other:M::{_escaped(head)}::{stand_in}:P"]
        if self.platform.name == "linux-arm64":
            return [f":qemu:M::{_escaped(_ARM64_ELF)}:{_escaped(_ANY_OSABI)}:{tool('qemu-aarch64-static')}:F"]
        return []


def wine64() -> str | None:
    """The path of the emulator, which Debian keeps out of PATH, or None."""
    return shutil.which("wine64", path=f"/usr/lib/wine:{os.environ['PATH']}")


def windows_command(*command: str | Path) -> tuple[list[str | Path], dict[str, str]]:
    """Return how to run a Windows command, and in which environment."""
    wine = wine64()
    if wine is None:
        skip_without(debian_package("wine64"), "needs wine64 (Debian package wine64)")
    prefix = cache_root() / "wine"
    prefix.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "HOME": str(prefix)}
    environment["LC_ALL"] = "C.UTF-8"  # by which it reads the arguments
    # The first start makes the prefix, and a second one at the same time would find half of it.
    with (prefix / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (prefix / "made").exists():
            subprocess.run([wine, "cmd", "/c", "exit"], check=True, capture_output=True, timeout=300, env=environment)
            (prefix / "made").touch()
    return [wine, *command], environment


def under_wine(
    *command: str | Path, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Windows command in FOLDER, with VARIABLES beside those of the emulator.

    The emulator's own files are made by the first run, which takes several seconds.
    """
    arguments, environment = windows_command(*command)
    environment |= variables or {}
    return subprocess.run(
        arguments, check=False, capture_output=True, text=True, timeout=300, env=environment, cwd=folder
    )


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
