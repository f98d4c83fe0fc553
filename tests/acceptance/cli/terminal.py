"""A terminal: commands are run in it and talked to, in a network where every port is free."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Final

import pytest

from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Terminal", "terminal"]

_PATIENCE: Final = 240.0
_PROMPT: Final = "\n>"
# The network is there as long as this runs; the loopback interface of a new one is down.
_HOLD: Final = """
import fcntl, socket, struct, sys
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, running
print("up", flush=True)
sys.stdin.read()
"""


class _Shown:
    """A command that runs, and what it shows: always read, because what is not read stops who writes it."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._ours, its = pty.openpty()
        try:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
            )
        finally:
            os.close(its)
        self._output = b""
        self._reader = Thread(target=self._read)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether there will be nothing more to see."""
        return not self._reader.is_alive()

    @property
    def text(self) -> str:
        """What a reader sees: without colours, and without what was overwritten."""
        text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self._output.decode(errors="replace")).replace("\r\n", "\n")
        while (shorter := re.sub(r"[^\n\x08]\x08", "", text)) != text:
            text = shorter
        return "\n".join(line.rstrip(" \x08") for line in text.split("\n"))

    def type(self, line: str) -> None:
        """Type LINE; what is shown then is not what was shown before."""
        before = len(self._output)
        os.write(self._ours, f"{line}\n".encode())
        _wait(lambda: len(self._output) > before or self.ended, self)

    def close(self) -> None:
        """End it, whatever it does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                self._output += os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return


@dataclass
class Terminal:
    """A folder to work in, and the commands that were run there."""

    folder: Path
    environment: Mapping[str, str]
    enter: Sequence[str]  # what a command line begins with so that it runs in the network
    commands: list[_Shown] = field(default_factory=list)

    def run(self, command: str, typed: Sequence[str] = ()) -> str:
        """Return all that COMMAND shows; what is TYPED is typed a line at a time, when it asks with `> `."""
        shown = self._start(command)
        for line in typed:
            _wait(lambda: shown.text.endswith(_PROMPT) or shown.ended, shown)
            shown.type(line)
        _wait(lambda: shown.ended, shown)
        return shown.text

    def start(self, command: str, enough: Callable[[str], object]) -> str:
        """Return what COMMAND has shown as soon as that is ENOUGH; it goes on."""
        shown = self._start(command)
        _wait(lambda: enough(shown.text) or shown.ended, shown)
        return shown.text

    def _start(self, command: str) -> _Shown:
        shown = _Shown([*self.enter, tool("bash"), "-c", command], self.folder, self.environment)
        self.commands.append(shown)
        return shown


@contextmanager
def terminal(folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Have a terminal; whatever still runs in it ends with the block."""
    new = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*new, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs a kernel that lets users have namespaces of their own")
    holder = [*new, sys.executable, "-c", _HOLD]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as network:
        assert network.stdout
        assert network.stdout.readline() == b"up\n"
        enter = [tool("nsenter"), f"--target={network.pid}", "--user", "--net", "--preserve-credentials"]
        opened = Terminal(folder, environment, enter)
        try:
            yield opened
        finally:
            for shown in opened.commands:
                shown.close()
            network.kill()


def _wait(until: Callable[[], object], shown: _Shown) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not until():
        if time.monotonic() > deadline:
            pytest.fail(f"{shown.process.args!r} does not go on; it has shown:\n{shown.text}")
        time.sleep(0.05)
