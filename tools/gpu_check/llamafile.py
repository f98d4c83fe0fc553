"""A runtime under test: its commands, and what a server of it answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Llamafile", "Server"]

_START_LIMIT = 60  # seconds


@dataclass(frozen=True)
class Llamafile:
    """The file, and variables that its processes get beside those of this one."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: object, name: str = "") -> list[str]:
        """Return the command, under another NAME for one of its tools."""
        path = self.path
        if name:
            path = path.with_name(name)
            if not path.exists():
                path.symlink_to(self.path)
        return ["/bin/sh", str(path), *map(str, arguments)]

    def run(self, *arguments: object, name: str = "", limit: float = 120) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        environment = {**os.environ, **self.variables}
        return subprocess.run(
            self.command(*arguments, name=name),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=limit,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    @contextmanager
    def serving(self, *arguments: object) -> Iterator[Server]:
        """Run it as a server as long as the block lasts."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = self.command("--server", "--nobrowser", "--port", port, *arguments)
        log = self.path.with_name(f"server-{port}.log")
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=file, env={**os.environ, **self.variables}, stdin=subprocess.DEVNULL
            )
        server = Server(port, log)
        try:
            server.wait(process)
            yield server
        finally:
            process.terminate()
            process.wait(30)


@dataclass(frozen=True)
class Server:
    """A server at PORT, whose messages are in LOG."""

    port: int
    log: Path

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended, or takes too long.
        """
        end = time.monotonic() + _START_LIMIT
        while time.monotonic() < end and process.poll() is None:
            try:
                self.get("/health")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the server does not answer: {self.log.read_text(errors='replace')[-2000:]}")

    def get(self, path: str) -> Any:  # JSON
        """Return the answer to a request without content."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def complete(self, **fields: object) -> Any:  # JSON
        """Return the answer of /completion."""
        return self.post("/completion", **fields)

    def post(self, path: str, **fields: object) -> Any:  # JSON
        """Return the answer to a request with FIELDS."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(fields).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  # our own server
            return json.load(answer)

    def log_probabilities(self, prompt: str | Mapping[str, object], vocabulary: int) -> list[float]:
        """Return those of all tokens after PROMPT, a text or one with images, by the number of the token."""
        # The server lists them with the text that was generated, so this is not left to chance; they are those before
        # the bias.
        last_word = [[vocabulary - 1, 1000]]
        answer = self.complete(prompt=prompt, n_predict=1, temperature=0, n_probs=vocabulary, logit_bias=last_word)
        found = {item["id"]: item["logprob"] for item in answer["completion_probabilities"][0]["top_logprobs"]}
        return [found[token] for token in range(vocabulary)]
