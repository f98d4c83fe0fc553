"""Servers to be asked and looked at: started until they answer, ended after the test at the latest."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "ARE_CONFINED",
    "ARE_FREE",
    "Server",
    "confinement",
    "free_port",
    "send_together",
    "serving",
    "wait_until_healthy",
]

# What confinement() says of threads that are inside the sandbox, and of others.
ARE_CONFINED: Final = {("2", "1")}
ARE_FREE: Final = {("0", "0")}


def free_port() -> int:
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """One that answers."""

    process: subprocess.Popen[bytes]
    port: int
    log: IO[bytes]
    prefix: str = ""  # of all paths (--api-prefix)

    @property
    def said(self) -> list[str]:
        """What llamafile itself has said so far, its name removed; not what the engine said."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()
        return [line.removeprefix("llamafile: ") for line in lines if line.startswith("llamafile: ")]

    @property
    def remarks(self) -> list[str]:
        """The same, without what every server without a page says."""
        usual = ("listening on ", "there is no web page in this file")
        return [line for line in self.said if not line.startswith(usual)]

    def ask(self, path: str, body: object = None) -> tuple[int, str]:
        """The status and the text of the answer to a GET, or to a POST of BODY."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(f"http://127.0.0.1:{self.port}{self.prefix}{path}", data), timeout=60) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def chat(self, content: object = "hi", **fields: Any) -> tuple[int, str]:
        """The answer to one message, of four tokens."""
        message = {"role": "user", "content": content}
        return self.ask("/v1/chat/completions", {"messages": [message], "max_tokens": 4, **fields})

    def threads(self) -> list[dict[str, str]]:
        """What /proc says of the status of each of its threads."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [
            {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
            for text in [(task / "status").read_text() for task in tasks]
        ]


def send_together(process: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    """Send SIGNALS to PROCESS without time between them."""
    for sign in (signal.SIGSTOP, *signals, signal.SIGCONT):
        process.send_signal(sign)


def confinement(threads: Iterable[Mapping[str, str]]) -> set[tuple[str, str]]:
    """What the status of THREADS says of seccomp, and of rights that a program can give them no more."""
    return {(status["Seccomp"], status["NoNewPrivs"]) for status in threads}


@contextmanager
def serving(
    command: Sequence[object],
    log: Path,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
    prefix: str = "",
) -> Iterator[Server]:
    """Run COMMAND with a port added until it answers; what it says goes into the file LOG."""
    port = port or free_port()
    arguments = [*map(str, command), "--port", str(port)]
    with (
        log.open("w+b") as output,
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, process_group=0
        ) as process,
        log.open("rb") as said,
    ):
        server = Server(process, port, said, prefix)
        try:
            _wait_until_healthy(server, log)
            yield server
        finally:
            process.kill()


def _wait_until_healthy(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if server.ask("/health")[0] == 200:
                return
        except OSError:
            assert server.process.poll() is None, log.read_text(errors="replace")
        time.sleep(0.05)
    pytest.fail("the server did not become healthy within a minute")


def wait_until_healthy(server: subprocess.Popen[str], port: int) -> None:
    """Return when what listens on PORT answers; fail when it ends, or takes a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:  # our own address
                if answer.status == 200:
                    return
        except OSError:
            assert server.poll() is None, server.stderr.read() if server.stderr else ""
            time.sleep(0.05)
    pytest.fail("the server did not become healthy within a minute")
