"""Replicas of one server behind haproxy, with the configuration that docs/serving/ has."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator, Sequence

__all__ = ["CONFIGURATION", "REPLICA_HEADER", "Replica", "Replicas", "configuration", "free_port", "replicas"]

CONFIGURATION: Final = Path(__file__).parents[2] / "docs" / "serving" / "haproxy.cfg"
REPLICA_HEADER: Final = "X-Replica"  # says which one answers; not in the configuration of the documentation
_START_SECONDS: Final = 60


def free_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(port: int, replicas: Sequence[int]) -> str:
    """Return the configuration of the documentation with other ports: of the address, and of each replica."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    lines = re.findall(r"^    server replica\d+ .*\n", text, re.MULTILINE)
    if len(replicas) > len(lines):
        raise ValueError(f"{CONFIGURATION} has {len(lines)} replicas (expected at least {len(replicas)})")
    for line in lines[len(replicas) :]:
        text = text.replace(line, "")
    for line, replica in zip(lines, replicas, strict=False):
        text = text.replace(line, re.sub(r":\d+", f":{replica}", line))
    return re.sub(r"bind 127\.0\.0\.1:\d+", f"bind 127.0.0.1:{port}", text) + (
        f"    http-response set-header {REPLICA_HEADER} %s\n"
    )


@dataclass
class Replica:
    """One server, which may end and begin again at its port."""

    command: Sequence[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        _wait_until_healthy(self.port, self.process)

    def end(self, sign: signal.Signals, timeout: float = 60) -> int:
        """Send SIGN to it, and return the exit status."""
        if self.process is None:
            raise ValueError("the replica was not started")
        self.process.send_signal(sign)
        return self.process.wait(timeout)


@dataclass
class Replicas:
    """Several servers, and the port of the proxy in front of them."""

    port: int
    servers: list[Replica] = field(default_factory=list)


@contextmanager
def replicas(haproxy: str, command: Sequence[str], count: int, folder: Path) -> Iterator[Replicas]:
    """Give COUNT servers started by COMMAND, without a port, behind the program HAPROXY. FOLDER gets what they say."""
    group = Replicas(free_port())
    with ExitStack() as stack:
        for number in range(1, count + 1):
            server = Replica(command, free_port(), folder / f"replica{number}.log")
            stack.callback(_kill, server)
            server.start()
            group.servers.append(server)
        file = folder / "haproxy.cfg"
        file.write_text(configuration(group.port, [server.port for server in group.servers]), encoding="utf-8")
        with (folder / "haproxy.log").open("wb") as output:
            proxy = stack.enter_context(
                subprocess.Popen([haproxy, "-db", "-f", str(file)], stdout=output, stderr=output)
            )
        stack.callback(proxy.kill)
        _wait_until_healthy(group.port, proxy)
        yield group


def _kill(server: Replica) -> None:
    if server.process is not None:
        server.process.kill()
        server.process.wait()


def _wait_until_healthy(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            if process.poll() is not None:
                break
        finally:
            connection.close()
        time.sleep(0.02)
    raise TimeoutError(f"nothing answers at port {port}, {process.args!r}")
