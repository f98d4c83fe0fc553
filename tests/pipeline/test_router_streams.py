"""Several models in one file: long answers and what ends them early, events about models, and the chat."""

from __future__ import annotations

import http.client
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.acceptance.api.servers import Server, free_port, serving, wait_until_healthy
from tests.acceptance.cli.test_modes import chat
from tests.pipeline.routers import NAMES, children, complete, is_running, states, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDLESS = 'root ::= "and so on " root'


@pytest.fixture
def server(several: Path, bare: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    command = ["/bin/sh", several, "--nobrowser", "--context-shift", "--grammar", ENDLESS]
    with serving(command, tmp_path / "log", bare) as started:
        yield started


@contextmanager
def endless_answer(server: Server, model: str) -> Iterator[http.client.HTTPResponse]:
    """An answer that does not end by itself; its first event has arrived."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = {"model": model, "prompt": "hi", "max_tokens": -1, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    try:
        assert answer.status == 200
        assert answer.readline().startswith(b"data: ")
        yield answer
    finally:
        answer.close()
        connection.close()


def is_busy(server: Server, model: str) -> bool:
    slots: list[dict[str, Any]] = json.loads(server.ask(f"/slots?model={model}")[1])
    return any(slot["is_processing"] for slot in slots)


def test_a_client_that_goes_away_ends_its_answer(server: Server) -> None:
    with endless_answer(server, "draft"):
        assert is_busy(server, "draft")
    wait_for(lambda: not is_busy(server, "draft"))


def test_an_answer_whose_child_dies_ends_with_an_error(server: Server) -> None:
    with endless_answer(server, "draft") as answer:
        os.kill(children(server)["draft"], signal.SIGKILL)
        rest = answer.read().decode()
    last = rest.rstrip().rpartition("\n\n")[2]
    assert json.loads(last.removeprefix("data: "))["error"]["message"], last
    wait_for(lambda: states(server)["draft"] == "unloaded")
    assert complete(server, "draft", grammar='root ::= "x"')[0] == 200


def test_a_request_waits_while_all_models_that_may_be_loaded_answer(
    several: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    command = ["/bin/sh", several, "--nobrowser", "--context-shift", "--models-max", "1", "--grammar", ENDLESS]
    with serving(command, tmp_path / "log", bare) as server, ThreadPoolExecutor(1) as pool:
        with endless_answer(server, "draft") as answer:
            other = pool.submit(complete, server, "chat", grammar='root ::= "x"')
            assert not wait([other], timeout=1).done
            assert answer.readline()
            assert states(server)["draft"] == "loaded"
        assert other.result(timeout=60)[0] == 200
        assert states(server) == {"chat": "loaded", "draft": "unloaded", "embed": "unloaded"}


def test_events_say_what_becomes_of_the_models(server: Server) -> None:
    with urlopen(f"http://127.0.0.1:{server.port}/models/sse", timeout=60) as events:
        assert events.headers["Content-Type"].startswith("text/event-stream")
        assert server.ask("/models/load", {"model": "chat"})[0] == 200
        seen: list[dict[str, Any]] = []
        while not (seen and seen[-1].get("data", {}).get("status") == "loaded"):
            line = events.readline().decode()
            assert line
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
    assert {event["model"] for event in seen} == {"chat"}
    assert "loading" in [event.get("data", {}).get("status") for event in seen]


@pytest.mark.parametrize("options", [(), ("-m", "draft")])
def test_a_chat_uses_one_of_the_models(options: tuple[str, ...], several: Path, bare: dict[str, str]) -> None:
    port = free_port()
    with chat(several, bare, "-n", "2", "--port", str(port), *options) as it:
        wait_until_healthy(it, port)
        beside = Server(it, port, it.stderr)  # type: ignore[arg-type]  # only asked
        listed = json.loads(beside.ask("/v1/models")[1])["data"]
        assert [model["id"] for model in listed] == [f"{options[1] if options else NAMES[0]}.gguf"]
        assert children(beside) == {}
        output, _ = it.communicate("good morning\n/exit\n", timeout=60)
    assert (it.returncode, is_running(it.pid)) == (0, False)
    assert "good morning" in output
