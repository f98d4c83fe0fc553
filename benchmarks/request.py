"""Requests to a server: whether it is ready, and a prompt of its own with an answer that is read as it comes."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["GENERATED", "WORDS", "ask", "complete", "running", "wait_until_ready"]

WORDS: Final = 100  # of the prompt
GENERATED: Final = 64  # tokens
START_SECONDS_MAX: Final = 120


@contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the server of COMMAND, and give it and its port when it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_until_ready(server, port, START_SECONDS_MAX)
            yield server, port
        finally:
            server.terminate()


def ask(port: int, number: int) -> float:
    """Ask once, read everything, and return the seconds until the first token."""
    prompt = " ".join(f"{number} {word}" for word in range(WORDS // 2))
    body = {"prompt": prompt, "n_predict": GENERATED, "ignore_eos": True, "temperature": 0, "stream": True,
            "cache_prompt": False}  # fmt: skip  # one line of it
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = time.perf_counter()
    connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.readline()
    first = time.perf_counter() - start
    tokens = json.loads(response.read().rstrip().rpartition(b"data: ")[2])["tokens_predicted"]
    connection.close()
    if tokens != GENERATED:
        raise ValueError(f"got {tokens} tokens (expected {GENERATED})")
    return first


def complete(port: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for a completion without a cache and without chance, and return the whole answer."""
    body = {"temperature": 0, "cache_prompt": False, **request}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    if response.status != http.client.OK:
        raise ValueError(f"the server answered {response.status}: {answer}")
    return answer


def wait_until_ready(server: subprocess.Popen[bytes], port: int, seconds_max: float) -> None:
    """Return when SERVER answers at PORT that it is ready.

    Raises:
        TimeoutError: it ended, or SECONDS_MAX have passed.
    """
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    raise TimeoutError(f"no server on port {port} after {seconds_max} s, or it ended")
