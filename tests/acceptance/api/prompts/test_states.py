"""States of system prompts on disk: a second start finds them."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.prompts.states import OTHER, QUESTION, SYSTEM, cached, folder_of, states, usage
from tests.acceptance.api.servers import free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.api.prompts.states import Serve

SHORT = "You are a parrot."
TEMPLATE_MAX = 64  # tokens that the template adds to a system prompt
WITH_TOOLS = """\
{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% for message in messages %}{{ message.content }} {% endfor %}"""


def test_a_second_start_knows_the_system_prompt(serve: Serve, home: Path) -> None:
    conversation = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    with serve() as server:
        known, first = usage(server, conversation)
        assert known == 0
    with serve() as server:
        known, second = usage(server, conversation)
        assert known >= len(SYSTEM)
        assert cached(server, OTHER) < 256
    assert second == first
    assert len(states(home)) == 2


def test_another_question_is_answered_as_without_it(serve: Serve) -> None:
    question = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "and another question"}]
    with serve("--cache-disk", 0) as server:
        expected = usage(server, question)
    with serve() as server:
        cached(server)
    with serve() as server:
        found = usage(server, question)
    assert (expected[0], found[1]) == (0, expected[1])
    assert found[0] >= len(SYSTEM)


def test_the_log_says_where_they_are(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server, SHORT)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        assert [line for line in server.said if "system prompt" in line] == []
    with serve() as server:
        cached(server)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        (line,) = [line for line in server.said if "system prompt" in line]
    assert str(folder_of(home)) in line
    assert "--cache-disk 0 turns that off" in line


def test_what_the_user_wrote_is_not_kept(serve: Serve, home: Path) -> None:
    """Neither its tokens, nor more of them than the system's."""
    with serve() as server:
        cached(server)
        counted = json.loads(server.ask("/tokenize", {"content": SYSTEM})[1])["tokens"]
        question = json.loads(server.ask("/tokenize", {"content": QUESTION})[1])["tokens"]
    (state,) = states(home)
    content = state.read_bytes()
    assert int.from_bytes(content[24:32], "little") < len(counted) + TEMPLATE_MAX
    assert b"".join(token.to_bytes(4, "little") for token in counted[8:]) in content
    assert b"".join(token.to_bytes(4, "little") for token in question[4:]) not in content


@pytest.mark.parametrize("options", [("--cache-disk", "0"), ("--no-cache-prompt",)], ids=" ".join)
def test_it_can_be_turned_off(serve: Serve, home: Path, options: tuple[str, ...]) -> None:
    for _ in range(2):
        with serve(*options) as server:
            assert cached(server) == 0
    assert not folder_of(home).exists()


def test_a_request_can_ask_for_no_cache(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server, cache_prompt=False)
    assert states(home) == []


def test_a_system_prompt_that_begins_alike_is_computed_from_there(serve: Serve) -> None:
    with serve() as server:
        cached(server)
    with serve() as server:
        assert len(SYSTEM) - 40 < cached(server, SYSTEM[:-20] + "and a pirate.") < len(SYSTEM) + 40


def test_tools_belong_to_the_system_prompt(serve: Serve) -> None:
    """They come from the application too."""
    tool = {"name": "say", "description": "Say it. " * 100, "parameters": {"type": "object", "properties": {}}}
    question = [{"role": "user", "content": QUESTION}]
    for least in (0, 256):
        with serve("--chat-template", WITH_TOOLS) as server:
            known, _ = usage(server, question, tools=[{"type": "function", "function": tool}])
            assert known >= least


def test_two_servers_share_them(serve: Serve, program: Path, roomy_model: Path, home: Path, tmp_path: Path) -> None:
    """A state that one of them has written helps the other, which runs already."""
    command = [program, "-m", roomy_model, "--nobrowser", "-c", "4096", "--parallel", "1"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    with serve() as first, serving(command, tmp_path / "other", environment, free_port()) as second:
        cached(first)
        first.process.send_signal(signal.SIGTERM)
        first.process.wait(60)
        assert cached(second) >= len(SYSTEM)
        cached(second, OTHER)
