"""Clients of a server that ask without pause, and what became of each request."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Final, Self

from tests.builders.replicas import REPLICA_HEADER

__all__ = ["Load", "Outcome"]

_TOKENS: Final = 60
_WAIT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: the replica that answered, if any, and why the answer is not complete."""

    replica: str
    error: str
    ended: float  # of time.monotonic()


class Load:
    """Some clients: half of them stream, and each keeps its connections for one, two or three requests."""

    def __init__(self, port: int, clients: int) -> None:
        self.port = port
        self.outcomes: list[Outcome] = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> list[Outcome]:
        """The requests without a complete answer."""
        return [outcome for outcome in self.outcomes if outcome.error]

    def wait_for(self, count: int, replica: str = "") -> None:
        """Return after COUNT more complete answers, of one replica if it is given."""
        start = len(self.outcomes)
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            found = [one for one in self.outcomes[start:] if not one.error and replica in {"", one.replica}]
            if len(found) >= count:
                return
            time.sleep(0.01)
        raise TimeoutError(f"no {count} answers of {replica or 'the replicas'} after {_WAIT_SECONDS} s")

    def _ask_on(self, number: int) -> None:
        while not self._is_over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_SECONDS)
            for _ in range(1 + number % 3):
                self.outcomes.append(_ask(connection, streams=number % 2 == 0))
            connection.close()


def _ask(connection: http.client.HTTPConnection, *, streams: bool) -> Outcome:
    body = {"prompt": "a", "n_predict": _TOKENS, "ignore_eos": True, "stream": streams}
    replica = ""
    try:
        connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        replica = response.headers.get(REPLICA_HEADER, "")
        text = response.read()
        error = "" if response.status == http.client.OK and _is_complete(text) else f"{response.status} {text[-200:]!r}"
    except (OSError, http.client.HTTPException) as caught:
        error = repr(caught)
        connection.close()
    return Outcome(replica, error, time.monotonic())


def _is_complete(text: bytes) -> bool:
    """Return whether TEXT, an answer or the events of a stream, has all tokens."""
    try:
        last = json.loads(text.rstrip().rpartition(b"data: ")[2])
    except ValueError:
        return False
    return isinstance(last, dict) and last.get("tokens_predicted") == _TOKENS
