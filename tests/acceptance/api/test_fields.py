"""Row B10 of the promises: each field of a request is obeyed, or refused with a sentence that names it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.acceptance.api.requests import events, refusal, send
from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.api.servers import Server

ROOT: Final = Path(__file__).parents[3]
TABLE: Final = (ROOT / "runtime" / "shim" / "server" / "field_table.cpp").read_text(encoding="utf-8")
CHAT, LEGACY, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
MESSAGES, EMBEDDINGS, NATIVE = "/v1/messages", "/v1/embeddings", "/completion"
HELLO: Final = [{"role": "user", "content": "hello"}]
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    CHAT: {"messages": HELLO, "max_tokens": 2},
    LEGACY: {"prompt": "hello", "max_tokens": 2},
    RESPONSES: {"input": "hello", "max_output_tokens": 2},
    MESSAGES: {"messages": HELLO, "max_tokens": 2},
    EMBEDDINGS: {"input": "hello"},
    NATIVE: {"prompt": "hello", "n_predict": 2},
}
TEXT: Final = (CHAT, LEGACY, RESPONSES, NATIVE)
EMPTY: Final = {"type": "object", "properties": {}, "additionalProperties": False}
TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": EMPTY}}
# In the form of Hermes.
TOOL_TEMPLATE: Final = """\
{%- if tools %}<|im_start|>system
Call functions as <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>. There are <tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools><|im_end|>
{%- endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{%- if message.content %}
{{ message.content }}
{%- endif %}
{%- if message.tool_calls %}
{%- for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}
{%- endif %}<|im_end|>
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{%- endif %}
"""
BAD_VALUES: Final[list[tuple[tuple[str, ...], str, tuple[object, ...]]]] = [
    (TEXT, "stop", ("", [""], ["a", ""], [1], {}, 5)),
    ((MESSAGES,), "stop_sequences", ("a", [""], [1], 5)),
    ((*TEXT, MESSAGES), "temperature", (-0.1, 1e300, "1", True, [])),
    ((*TEXT, MESSAGES), "top_p", (-0.1, 1.1, "1", [])),
    ((*TEXT, MESSAGES), "top_k", (-1, 1.5, 2**31, 10**30, "1")),
    (TEXT, "seed", (-2, 1.5, 2**32, "1")),
    (TEXT, "min_p", (-1, 2, "0")),
    (TEXT, "presence_penalty", ("1", True, 1e300)),
    (TEXT, "logit_bias", ("a", 1, {"5": "x"}, {"99999": 1}, {"-1": 1}, [[1]], [["a", "b"]])),
    (TEXT, "mirostat", (3, -1, 1.5)),
    (TEXT, "dry_base", (0.5,)),
    (TEXT, "repeat_last_n", (-1, 2**31)),
    (TEXT, "n_probs", (-1, 1.5, "1")),
    (TEXT, "grammar", (1, {}, [])),
    (TEXT, "ignore_eos", (1, "true")),
    ((*TEXT, MESSAGES), "stream", (1, "true", [])),
    ((*TEXT, MESSAGES, EMBEDDINGS), "model", (1, [], {})),
    ((CHAT, MESSAGES), "max_tokens", (0, -2, 1.5, 2**31, 10**30, "4", True, [])),
    ((CHAT,), "max_completion_tokens", (0, -2, 1.5, "4")),
    ((RESPONSES,), "max_output_tokens", (0, -2, 1.5, "4")),
    ((LEGACY, NATIVE), "max_tokens", (-2, 1.5, 2**31, "4")),
    ((NATIVE,), "n_predict", (-2, 1.5, 2**31, 10**30, "4", [])),
    ((CHAT, LEGACY), "n", (0, -1, 1.5, 1000, "2")),
    ((CHAT,), "logprobs", (1, "true")),
    ((CHAT,), "top_logprobs", (-1, 21, 1.5, 5)),
    ((LEGACY,), "logprobs", (-1, 101, True, "1")),
    ((LEGACY,), "echo", (1, "true")),
    ((LEGACY,), "best_of", (0, 2)),
    ((LEGACY,), "suffix", ("x",)),
    ((CHAT, MESSAGES), "messages", ({}, "a", 1)),
    ((CHAT, RESPONSES, MESSAGES), "tools", ({}, "a", 1, [{"type": "web_search"}])),
    ((CHAT, RESPONSES), "tool_choice", ("required", "any", {"type": "function", "name": "f"}, 1)),
    ((MESSAGES,), "tool_choice", ("auto", {"type": "any"}, {"type": "tool", "name": "f"}, {"type": "x"})),
    ((CHAT,), "response_format", ({"type": "xml"}, {}, "json")),
    ((CHAT,), "reasoning_effort", ("huge", 1)),
    ((CHAT,), "modalities", (["text", "audio"], "text")),
    ((CHAT,), "audio", ({"voice": "ash", "format": "wav"},)),
    ((CHAT,), "functions", ([{"name": "f"}],)),
    ((CHAT,), "web_search_options", ({},)),
    ((CHAT, RESPONSES), "store", (True, 1)),
    ((CHAT, RESPONSES), "service_tier", ("priority", 1)),
    ((RESPONSES,), "previous_response_id", ("resp_1",)),
    ((RESPONSES,), "background", (True,)),
    ((RESPONSES,), "truncation", ("auto",)),
    ((RESPONSES,), "include", (["message.output_text.logprobs"],)),
    ((RESPONSES,), "instructions", (1, [])),
    ((MESSAGES,), "container", ("c",)),
    ((MESSAGES,), "mcp_servers", ([{"url": "x"}],)),
    ((EMBEDDINGS,), "encoding_format", ("hex", 1)),
    ((EMBEDDINGS,), "dimensions", (8, 0, "8")),
]
GOOD_VALUES: Final[list[tuple[tuple[str, ...], str, tuple[object, ...]]]] = [
    (TEXT, "stop", (None, "zzz", [], ["zzz", "yyy"])),
    ((*TEXT, MESSAGES), "temperature", (None, 0, 0.5, 1, 2, 1.0)),
    ((*TEXT, MESSAGES), "top_k", (0, 1, 40, 40.0)),
    (TEXT, "seed", (None, -1, 0, 2**32 - 1)),
    (TEXT, "logit_bias", ({}, [], {"5": -100}, [[5, False], ["a", 1.5]])),
    ((CHAT, MESSAGES), "max_tokens", (None, 1, -1)),
    ((CHAT,), "store", (None, False)),
    ((CHAT,), "tools", (None, [])),
    ((CHAT,), "tool_choice", ("auto", "none", None)),
    ((CHAT,), "user", ("me",)),
    ((CHAT,), "unknown_field", (1,)),
    ((EMBEDDINGS,), "encoding_format", ("float", "base64", None)),
]


def rows(table: list[tuple[tuple[str, ...], str, tuple[object, ...]]]) -> list[Any]:
    return [
        pytest.param(path, name, value, id=f"{path}-{name}-{value}")
        for paths, name, values in table
        for path in paths
        for value in values
    ]


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [program, "-m", roomy_model, "--nobrowser", "--seed", "1", "-n", "8"]
    with serving(command, tmp_path_factory.mktemp("fields") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def tool_server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose chat template shows tools to the model."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "template").write_text(TOOL_TEMPLATE)
    command = [program, "-m", roomy_model, "--nobrowser", "--seed", "1", "--chat-template-file", folder / "template"]
    with serving(command, folder / "log") as started:
        yield started


def first_call(path: str, answer: dict[str, Any]) -> tuple[str, object]:
    """Return the name and the arguments of the first call in ANSWER, which has no text."""
    if path == CHAT:
        message = answer["choices"][0]["message"]
        assert not message["content"]
        call = message["tool_calls"][0]["function"]
        return call["name"], json.loads(call["arguments"])
    if path == RESPONSES:
        assert {item["type"] for item in answer["output"]} == {"function_call"}
        return answer["output"][0]["name"], json.loads(answer["output"][0]["arguments"])
    assert {block["type"] for block in answer["content"]} == {"tool_use"}
    return answer["content"][0]["name"], answer["content"][0]["input"]


@pytest.mark.parametrize(("path", "name", "value"), rows(BAD_VALUES))
def test_b10_what_cannot_be_obeyed_is_refused(server: Server, path: str, name: str, value: object) -> None:
    """The message names the field, and its error is in the form of its API."""
    body = {**REQUESTS[path], name: value}
    message = refusal(server, path, body)
    if value == 10**30:
        assert message == "an integer has too many digits: got 31, the limit is 19"
        return
    assert name in message
    if path != MESSAGES and value != 1000:  # a limit that the engine knows
        assert json.loads(server.ask(path, body)[1])["error"]["param"] == name


@pytest.mark.parametrize(("path", "name", "value"), rows(GOOD_VALUES))
def test_b10_what_can_be_obeyed_is_not_refused(server: Server, path: str, name: str, value: object) -> None:
    status, text = server.ask(path, {**REQUESTS[path], name: value})
    assert status == 200, text


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("body", [[1], "a", 1, None, True])
def test_b10_a_body_that_is_no_object(server: Server, path: str, body: object) -> None:
    status, _, text = send(server, "POST", path, json.dumps(body).encode())
    assert (status, "object" in text) == (400, True)


def test_b10_no_tokens_at_all(server: Server) -> None:
    """The prompt is read, and nothing is written."""
    for stream in (False, True):
        status, text = server.ask(NATIVE, {"prompt": "hello", "n_predict": 0, "stream": stream})
        answers = events(text) if stream else [json.loads(text)]
        assert status == 200
        assert "".join(answer["content"] for answer in answers) == ""
        assert answers[-1]["tokens_predicted"] == 0
    legacy = json.loads(server.ask(LEGACY, {"prompt": "hello", "max_tokens": 0})[1])
    assert (legacy["choices"][0]["text"], legacy["choices"][0]["finish_reason"]) == ("", "length")
    assert legacy["usage"]["completion_tokens"] == 0


def test_b10_tools_that_a_template_does_not_show(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """It cannot be forced to call one. Offered tools are no error: a model may always answer without a call."""
    template = tmp_path / "template"
    template.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    command = [program, "-m", tiny_model, "--nobrowser", "--chat-template-file", template]
    with serving(command, tmp_path / "log") as server:
        for choice in ("required", {"type": "function", "function": {"name": "f"}}):
            body = {"messages": HELLO, "tools": [TOOL], "tool_choice": choice}
            assert "the chat template of this model shows it no tools" in refusal(server, CHAT, body)
        for choice in ("none", "auto"):
            status, text = server.chat(tools=[TOOL], tool_choice=choice)
            assert status == 200, text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"tools": [TOOL], "tool_choice": "required"}),
        (CHAT, {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        (RESPONSES, {"tools": [{"type": "function", "name": "f", "parameters": EMPTY}],
                     "tool_choice": {"type": "function", "name": "f"}}),
        (MESSAGES, {"tools": [{"name": "f", "input_schema": EMPTY}], "tool_choice": {"type": "tool", "name": "f"}}),
        (MESSAGES, {"tools": [{"name": "f", "input_schema": EMPTY}], "tool_choice": {"type": "any"}}),
    ],
)  # fmt: skip
def test_b10_a_tool_that_must_be_called_is_called(tool_server: Server, path: str, fields: dict[str, Any]) -> None:
    """Even by a random model, which calls it until the limit."""
    body = {**REQUESTS[path], **fields, "temperature": 0}
    body["max_output_tokens" if path == RESPONSES else "max_tokens"] = 200
    status, text = tool_server.ask(path, body)
    assert status == 200, text
    assert first_call(path, json.loads(text)) == ("f", {})


def test_b10_a_tool_that_is_not_there(tool_server: Server) -> None:
    choice = {"type": "function", "function": {"name": "g"}}
    assert "a tool that 'tools' has" in refusal(
        tool_server, CHAT, {"messages": HELLO, "tools": [TOOL], "tool_choice": choice}
    )


def test_b10_a_response_in_a_format(server: Server) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    body = {"input": "hello", "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}
    answer = json.loads(server.ask(RESPONSES, {**body, "max_output_tokens": 400})[1])
    assert isinstance(json.loads(answer["output"][0]["content"][0]["text"])["sure"], bool)


def documented() -> list[tuple[str, set[str]]]:
    """The fields that OpenAI's own client knows, of each endpoint."""
    from openai.types import completion_create_params as legacy
    from openai.types import embedding_create_params as embeddings
    from openai.types.chat import completion_create_params as chat
    from openai.types.responses import response_create_params as responses

    return [
        ("CHAT", set(chat.CompletionCreateParamsBase.__annotations__)),
        ("COMPLETIONS", set(legacy.CompletionCreateParamsBase.__annotations__)),
        ("RESPONSES", set(responses.ResponseCreateParamsBase.__annotations__)),
        ("EMBEDDINGS", set(embeddings.EmbeddingCreateParams.__annotations__)),
    ]


# Fields whose value the engine or a rule checks, and hints that no answer depends on.
ELSEWHERE: Final = {
    "input", "prompt", "tool_choice",
    "prediction", "prompt_cache_options", "prompt_cache_retention",
}  # fmt: skip


def test_b10_every_documented_field_is_in_the_table() -> None:
    for endpoint, fields in documented():
        for field in fields - ELSEWHERE:
            assert re.search(rf'"{field}"', TABLE), (endpoint, field)


def test_b10_the_documentation_has_the_table() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    fields = set(re.findall(r'^    (?:\{|refused\(|at_least\()"(\w+)"', TABLE, re.MULTILINE))
    assert len(fields) > 90
    assert sorted(field for field in fields if f"`{field}`" not in page) == []
