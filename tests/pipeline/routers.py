"""Servers of several models: what they are asked, and the processes of their models."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.api.servers import Server

__all__ = ["NAMES", "children", "complete", "is_running", "states", "wait_for"]

NAMES: Final = ("chat", "draft", "embed")


def complete(server: Server, model: str | None = None, **fields: Any) -> tuple[int, dict[str, Any]]:
    named = {"model": model} if model else {}
    status, text = server.ask("/v1/completions", {"prompt": "hi", "max_tokens": 2, **named, **fields})
    return status, json.loads(text)


def states(server: Server) -> dict[str, str]:
    listed = json.loads(server.ask("/v1/models")[1])["data"]
    return {model["id"]: model["status"]["value"] for model in listed}


def children(server: Server) -> dict[str, int]:
    """The processes of the models, by name."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except (OSError, IndexError):
            continue
        if parent == str(server.process.pid) and b"--alias" in words:
            found[words[words.index(b"--alias") + 1].decode()] = int(folder.name)
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
