"""One request to a server: a prompt of its own, and an answer that is read as it comes."""

from __future__ import annotations

import http.client
import json
import time
from typing import Final

__all__ = ["GENERATED", "WORDS", "ask"]

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
