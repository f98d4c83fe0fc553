"""Servers that keep the states of system prompts on disk, and what these files and answers tell."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.acceptance.api.servers import Server

    Serve = Callable[..., AbstractContextManager[Server]]

SYSTEM = "You are a parrot. " * 60  # more than a thousand tokens: one for each letter
OTHER = "You are a pirate. " * 60
QUESTION = "secret words of the user"
PLACES = 32


def folder_of(home: Path) -> Path:
    return home / ".cache" / "llamafile" / "prompts"


def states(home: Path) -> list[Path]:
    return [path for path in sorted(folder_of(home).glob("*.prompt")) if path.stat().st_size > 0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def cached(server: Server, system: str = SYSTEM, question: str = QUESTION, **fields: Any) -> int:
    """How many tokens of a conversation the server did not compute."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return usage(server, messages, **fields)[0]


def usage(server: Server, messages: list[dict[str, Any]], **fields: Any) -> tuple[int, str]:
    """The tokens that were known, and the text of the answer."""
    body = {"messages": messages, "max_tokens": 8, "temperature": 0, **fields}
    status, text = server.ask("/v1/chat/completions", body)
    assert status == 200, text
    answer = json.loads(text)
    message = answer["choices"][0]["message"]
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"], message["content"]
