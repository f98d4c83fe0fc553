"""Requests to a server: whether it is ready, and a prompt of its own with an answer that is read as it comes."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess

__all__ = ["GENERATED", "WORDS", "ask", "wait_until_ready"]

WORDS: Final = 100  # of the prompt
GENERATED: Final = 64  # tokens


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
