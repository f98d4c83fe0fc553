"""Row B8 of the promises: what a client did wrong, it is told with a status that clients do not retry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.acceptance.api.requests import refusal, send
from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.api.servers import Server

IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
INPUT_IMAGE: Final = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
REMOTE_IMAGE: Final = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}
CHAT: Final = "/v1/chat/completions"


def user(content: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 1}


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving([program, "-m", roomy_model, "--nobrowser"], tmp_path_factory.mktemp("statuses") / "log") as started:
        yield started


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (CHAT, user([{"type": "text", "text": "what is this?"}, IMAGE]), "image input is not supported"),
        (CHAT, user([REMOTE_IMAGE]), "image"),
        (CHAT, user([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]), "audio input"),
        (CHAT, {**user("hi"), "json_schema": {}, "grammar": 'root ::= "a"'}, "both json_schema and grammar"),
        ("/v1/messages", user([{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]), "image input"),
        ("/v1/responses", {"input": [{"role": "user", "content": [INPUT_IMAGE]}]}, "image input"),
        ("/completion", {"prompt": {"prompt_string": "a", "multimodal_data": ["AAAA"]}}, "multimodal"),
        ("/completion", {"prompt": {"a": 1}}, "prompt"),
        ("/completion", {}, "prompt"),
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/v1/embeddings", {"input": "word " * 5000}, "exceeds the available context size"),
        ("/tokenize", {"content": {}}, "string"),
    ],
)
def test_b8_mistakes_of_a_client_are_no_failures_of_the_server(
    server: Server, path: str, body: object, words: str
) -> None:
    assert words in refusal(server, path, body)


def test_b8_a_text_that_is_too_long(server: Server) -> None:
    """Clients look for the code that OpenAI's API has for it, and llama.cpp's page for the numbers."""
    status, text = server.ask(CHAT, user("word " * 5000))
    error = json.loads(text)["error"]
    assert (status, error["code"]) == (400, "context_length_exceeded")
    assert error["n_prompt_tokens"] > error["n_ctx"] == 4096


@pytest.mark.parametrize("body", [b"{", b"", b"no json", b"\xff"])
@pytest.mark.parametrize(
    "path", [CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/completion"]
)
def test_b8_what_is_no_json(server: Server, path: str, body: bytes) -> None:
    status, headers, text = send(server, "POST", path, body)
    assert status == 400
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert "JSON" in json.loads(text)["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/models", "GET, HEAD, OPTIONS"),
        ("GET", CHAT, "OPTIONS, POST"),
        ("HEAD", "/completion", "OPTIONS, POST"),
        ("DELETE", "/v1/messages", "OPTIONS, POST"),
        ("PATCH", "/slots/0", "OPTIONS, POST"),
        ("PUT", "/props", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_b8_a_wrong_method(server: Server, method: str, path: str, allowed: str) -> None:
    status, headers, text = send(server, method, path)
    assert (status, headers["Allow"]) == (405, allowed)
    if method != "HEAD":
        assert json.loads(text)["error"]["message"] == f"'{path}' has no method {method}, but {allowed}"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_b8_a_path_that_does_not_exist(server: Server, method: str) -> None:
    status, headers, text = send(server, method, "/v1/nothing")
    assert (status, headers["Allow"]) == (404, None)
    assert json.loads(text)["error"]["message"] == "there is no '/v1/nothing' at this server"


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("", 200),
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/x-www-form-urlencoded", 200),
        ("application/vnd.api+json", 200),
        ("application/xml", 415),
        ("application/octet-stream", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_b8_media_types(server: Server, media_type: str, status: int) -> None:
    got, _, text = send(server, "POST", "/tokenize", b'{"content":"a"}', {"Content-Type": media_type})
    assert got == status
    if status == 415:
        name = media_type.partition(";")[0]
        expected = f"the body has the media type '{name}'; this path takes application/json"
        assert json.loads(text)["error"]["message"] == expected


def test_b8_a_compressed_body(server: Server) -> None:
    status, _, text = send(server, "POST", "/v1/messages", b"xx", {"Content-Encoding": "gzip"})
    assert (status, json.loads(text)["type"]) == (415, "error")


def test_b8_speech_is_a_form(server: Server) -> None:
    status, _, text = send(server, "POST", "/v1/audio/transcriptions", b"{}", {"Content-Type": "application/json"})
    assert status == 415
    assert "multipart/form-data" in json.loads(text)["error"]["message"]


def test_b8_an_api_key_that_is_wrong(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Each API has its form for that too."""
    with serving([program, "-m", tiny_model, "--nobrowser", "--api-key", "secret"], tmp_path / "log") as server:
        assert refusal(server, "/v1/messages", user("hi"), 401) == "Invalid API Key"
        assert refusal(server, CHAT, user("hi"), 401) == "Invalid API Key"


def test_b8_a_client_does_not_retry(server: Server) -> None:
    import openai  # a second and a half, which collecting does without

    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="any") as client:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="any", messages=[{"role": "user", "content": [IMAGE]}])  # type: ignore[list-item, misc]  # as JSON
        assert caught.value.type == "invalid_request_error"
