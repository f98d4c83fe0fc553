"""Row B11 of the promises: answers have the form that their API documents."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.api.requests import events, refusal
from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.api.servers import Server

LEGACY, MESSAGES, CHAT = "/v1/completions", "/v1/messages", "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [program, "-m", roomy_model, "--nobrowser", "--seed", "1", "--temp", "0"]
    with serving(command, tmp_path_factory.mktemp("answers") / "log") as started:
        yield started


def answer(server: Server, path: str, body: object) -> Any:
    status, text = server.ask(path, body)
    assert status == 200, text
    return json.loads(text)


def choices(server: Server, **fields: object) -> list[Any]:
    found: list[Any] = answer(server, LEGACY, {"prompt": "hello", "max_tokens": 3, **fields})["choices"]
    return found


def test_b11_probabilities_of_a_completion(server: Server) -> None:
    (choice,) = choices(server, logprobs=2)
    lists = choice["logprobs"]
    assert set(lists) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert {len(values) for values in lists.values()} == {3}
    assert all(value <= 0 for value in lists["token_logprobs"])
    for token, value, top in zip(lists["tokens"], lists["token_logprobs"], lists["top_logprobs"], strict=True):
        assert top[token] == value
        assert 1 <= len(top) <= 3
    assert choices(server)[0]["logprobs"] is None


def test_b11_probabilities_of_a_stream(server: Server) -> None:
    """Its pieces hold what the whole has."""
    (whole,) = choices(server, logprobs=1, echo=True)
    body = {"prompt": "hello", "max_tokens": 3, "logprobs": 1, "echo": True, "stream": True}
    pieces = [event["choices"][0] for event in events(server.ask(LEGACY, body)[1]) if event["choices"]]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    for name in ("tokens", "text_offset"):
        joined = [value for piece in pieces if piece["logprobs"] for value in piece["logprobs"][name]]
        assert joined == whole["logprobs"][name]


def test_b11_the_prompt_is_repeated(server: Server) -> None:
    text = choices(server)[0]["text"]
    assert choices(server, echo=True)[0]["text"] == "hello" + text
    texts = [choice["text"] for choice in choices(server, prompt=["a", "b"], echo=True, max_tokens=0)]
    assert texts == ["a", "b"]
    assert "a text or an array of tokens" in refusal(server, LEGACY, {"prompt": [{"prompt_string": "a"}], "echo": True})


def test_b11_probabilities_of_a_prompt(server: Server) -> None:
    """As an evaluation harness asks for them: those of generated tokens are the same as those of the same prompt."""
    (generated,) = choices(server, logprobs=1, echo=True, max_tokens=4)
    prompt = answer(server, "/tokenize", {"content": "hello", "add_special": True})["tokens"]
    lists = generated["logprobs"]
    assert lists["token_logprobs"][0] is lists["top_logprobs"][0] is None
    assert len(lists["tokens"]) == len(prompt) + 4
    assert all(isinstance(value, float) for value in lists["token_logprobs"][1:])
    continued = answer(server, "/completion", {"prompt": prompt, "n_predict": 4, "return_tokens": True})["tokens"]
    (scored,) = choices(server, prompt=[*prompt, *continued], logprobs=1, echo=True, max_tokens=0)
    values = zip(scored["logprobs"]["token_logprobs"][1:], lists["token_logprobs"][1:], strict=True)
    assert all(math.isclose(left, right, abs_tol=0.05) for left, right in values)


@pytest.mark.parametrize("stream", [False, True])
def test_b11_a_stop_sequence_of_a_message(server: Server, *, stream: bool) -> None:
    body = {"messages": HELLO, "max_tokens": 8, "temperature": 0}
    text = answer(server, MESSAGES, body)["content"][0]["text"]
    word = text[2:3]
    body = {**body, "stop_sequences": ["zzzz", word], "stream": stream}
    if stream:
        (end,) = [event["delta"] for event in events(server.ask(MESSAGES, body)[1]) if event["type"] == "message_delta"]
    else:
        end = answer(server, MESSAGES, body)
    assert (end["stop_reason"], end["stop_sequence"]) == ("stop_sequence", word)


def test_b11_a_message_that_is_too_long_has_no_stop_sequence(server: Server) -> None:
    end = answer(server, MESSAGES, {"messages": HELLO, "max_tokens": 2})
    assert (end["stop_reason"], end["stop_sequence"]) == ("max_tokens", None)


def test_b11_a_stream_begins_with_its_first_event_if_its_first_tokens_are_held_back(server: Server) -> None:
    """All of the answer could be the beginning of a stop sequence."""
    content = answer(server, CHAT, {"messages": HELLO, "max_tokens": 3})["choices"][0]["message"]["content"]
    held = [f"{content}zzzz"]
    chat = events(server.ask(CHAT, {"messages": HELLO, "max_tokens": 3, "stop": held, "stream": True})[1])
    assert chat[0]["choices"][0]["delta"]["role"] == "assistant"
    message = {"messages": HELLO, "max_tokens": 3, "stop_sequences": held, "stream": True}
    assert events(server.ask(MESSAGES, message)[1])[0]["type"] == "message_start"
    response = {"input": "hello", "max_output_tokens": 3, "stop": held, "stream": True}
    assert events(server.ask("/v1/responses", response)[1])[0]["type"] == "response.created"


@pytest.mark.parametrize(("fields", "count"), [({}, 0), ({"top_logprobs": 0}, 0), ({"top_logprobs": 3}, 3)])
def test_b11_probabilities_of_a_chat(server: Server, fields: dict[str, int], count: int) -> None:
    body = {"messages": HELLO, "max_tokens": 2, "logprobs": True, **fields}
    for token in answer(server, CHAT, body)["choices"][0]["logprobs"]["content"]:
        assert len(token["top_logprobs"]) == count
    pieces = [event["choices"][0].get("logprobs") for event in events(server.ask(CHAT, {**body, "stream": True})[1])]
    tokens = [token for piece in pieces if piece for token in piece["content"]]
    assert {len(token["top_logprobs"]) for token in tokens} == {count}


def test_b11_one_model(server: Server) -> None:
    import openai  # a second and a half, which collecting does without

    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="any") as client:
        assert client.models.retrieve("roomy.gguf").id == "roomy.gguf"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("other")


def test_b11_answers_fit_the_types_of_the_client(server: Server) -> None:
    """Strictly: no number in place of a string, and no missing field."""
    from openai.types import Completion, CreateEmbeddingResponse, Model
    from openai.types.chat import ChatCompletion, ChatCompletionChunk
    from openai.types.responses import Response
    from openai.types.shared import ErrorObject
    from pydantic import TypeAdapter

    def check(kind: Any, data: Any) -> None:
        TypeAdapter(kind).validate_json(json.dumps(data), strict=True)

    chat = {"messages": HELLO, "max_tokens": 2, "logprobs": True, "top_logprobs": 1}
    legacy = {"prompt": "hello", "max_tokens": 2, "logprobs": 1}
    response = {"input": "hello", "max_output_tokens": 2}
    check(ChatCompletion, answer(server, CHAT, chat))
    check(Completion, answer(server, LEGACY, legacy))
    check(CreateEmbeddingResponse, answer(server, "/v1/embeddings", {"input": "hello"}))
    check(Model, json.loads(server.ask("/v1/models/roomy.gguf")[1]))
    check(ErrorObject, json.loads(server.ask(CHAT, {})[1])["error"])
    for event in events(server.ask(CHAT, {**chat, "stream": True})[1]):
        check(ChatCompletionChunk, event)
    for event in events(server.ask(LEGACY, {**legacy, "stream": True})[1]):
        if event["choices"][0]["finish_reason"]:  # which the type has in no other piece
            check(Completion, event)
    check(Response, answer(server, "/v1/responses", response))


def test_b11_the_events_of_a_response_fit_the_types_of_the_client(server: Server) -> None:
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    text = server.ask("/v1/responses", {"input": "hello", "max_output_tokens": 2, "stream": True})[1]
    found = events(text)
    for event in found:
        TypeAdapter(ResponseStreamEvent).validate_json(json.dumps(event), strict=True)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in found]
    assert names[-1] == "response.incomplete"
    assert found[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_b11_messages_fit_the_types_of_the_client(server: Server) -> None:
    """Those of Anthropic's package, also strictly."""
    from anthropic.types import ErrorResponse, Message, MessageTokensCount, RawMessageStreamEvent
    from pydantic import TypeAdapter

    def check(kind: Any, data: Any) -> None:
        TypeAdapter(kind).validate_json(json.dumps(data), strict=True)

    body = {"messages": HELLO, "max_tokens": 4}
    text = answer(server, MESSAGES, body)["content"][0]["text"]
    for fields in ({}, {"stop_sequences": [text[-2:]]}, {"system": "short answers", "temperature": 0.5}):
        check(Message, answer(server, MESSAGES, {**body, **fields}))
        found = events(server.ask(MESSAGES, {**body, **fields, "stream": True})[1])
        for event in found:
            check(RawMessageStreamEvent, event)
        assert found[-1]["type"] == "message_stop"
    check(MessageTokensCount, answer(server, f"{MESSAGES}/count_tokens", {"messages": HELLO}))
    check(ErrorResponse, json.loads(server.ask(MESSAGES, {})[1]))
