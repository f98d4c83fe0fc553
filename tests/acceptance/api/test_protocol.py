"""Row B9 of the promises: the versions of HTTP that clients speak."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.requests import events, exchange, send
from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.api.servers import Server

REQUEST = b"%s %s HTTP/%s\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n%s"


def request(method: str, path: str, version: str, body: object = None, *headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = "".join(f"{header}\r\n" for header in headers).encode()
    return REQUEST % (method.encode(), path.encode(), version.encode(), len(content), lines, content)


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [program, "-m", roomy_model, "--nobrowser", "--seed", "1"]
    with serving(command, tmp_path_factory.mktemp("protocol") / "log") as started:
        yield started


@pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/completion", "/v1/messages"])
def test_b9_a_stream_over_http_1_0(server: Server, path: str, headers: tuple[str, ...]) -> None:
    """There are no chunks in it; the end of the connection is its end."""
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    body = {
        **(chat if path.endswith(("chat/completions", "messages")) else {"prompt": "hi"}),
        "max_tokens": 4,
        "stream": True,
    }
    answer = exchange(server, request("POST", path, "1.0", body, *headers))
    head, _, text = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    names = [line.partition(":")[0].lower() for line in head.splitlines()[1:]]
    assert not {"transfer-encoding", "content-length", "keep-alive"} & set(names)
    assert "\r\nConnection: close" in head
    assert len(events(text)) > 2
    assert text.startswith(("data: ", "event: "))


def test_b9_the_same_stream_in_chunks(server: Server) -> None:
    body = {"prompt": "hi", "max_tokens": 4, "stream": True}
    answer = exchange(server, request("POST", "/completion", "1.1", body, "Connection: close"))
    assert b"\r\nTransfer-Encoding: chunked\r\n" in answer
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert answer.count(b"\r\nConnection: close\r\n") == 1


def test_b9_a_stream_does_not_end_the_connection(server: Server) -> None:
    stream = request("POST", "/completion", "1.1", {"prompt": "hi", "max_tokens": 4, "stream": True})
    answer = exchange(server, stream + stream + request("GET", "/health", "1.1", None, "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert answer.count(b"\r\n0\r\n\r\n") == 2
    assert answer.endswith(b'{"status":"ok"}')


def test_b9_an_answer_over_http_1_0(server: Server) -> None:
    head, _, text = exchange(server, request("GET", "/health", "1.0")).decode().partition("\r\n\r\n")
    assert json.loads(text) == {"status": "ok"}
    assert "\r\nConnection: close" in head
    assert "Keep-Alive" not in head


@pytest.mark.parametrize(("version", "headers"), [("1.0", ("Connection: keep-alive",)), ("1.1", ())])
def test_b9_a_connection_is_kept(server: Server, version: str, headers: tuple[str, ...]) -> None:
    """Two requests, of which the second asks for the end."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request("GET", "/health", version, None, *headers))
        first = connection.recv(65536)
        connection.sendall(request("GET", "/health", version, None, "Connection: close"))
        second = b"".join(iter(lambda: connection.recv(65536), b""))
    assert first.endswith(b'{"status":"ok"}')
    assert second.endswith(b'{"status":"ok"}')
    assert (b"\r\nConnection: keep-alive\r\n" in first) == (version == "1.0")
    assert b"\r\nConnection: close\r\n" in second


@pytest.mark.parametrize("between", [b"", b"\r\n"], ids=["", "empty line"])
def test_b9_requests_sent_before_the_answers(server: Server, between: bytes) -> None:
    """All at once, as some proxies and clients do (pipelining); the answers have the order of the requests."""
    tokens = request("POST", "/tokenize", "1.1", {"content": "a" * 5000})  # more than a stream reads ahead
    ask, end = (request("GET", "/health", "1.1", None, *headers) for headers in ((), ("Connection: close",)))

    answers = exchange(server, between.join([ask, tokens, ask, tokens, end])).split(b"HTTP/1.1 200 OK\r\n")[1:]

    assert [b'{"tokens":' in answer for answer in answers] == [False, True, False, True, False]
    assert [answer.endswith(b'{"status":"ok"}') for answer in answers] == [True, False, True, False, True]


@pytest.mark.parametrize(
    "first",
    [request("GET", "/nothing", "1.1"), b"nonsense\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"],
    ids=["no such path", "no request", "no header"],
)
def test_b9_an_error_ends_the_connection(server: Server, first: bytes) -> None:
    """At once: what follows is not taken for a request, because it may be part of the faulty one."""
    answer = exchange(server, first + request("GET", "/health", "1.1"))
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"\r\nConnection: close\r\n") == 1
    assert answer.startswith(b"HTTP/1.1 40")


def test_b9_a_head_has_no_body(server: Server) -> None:
    """It says how long the content would be."""
    length = len(server.ask("/v1/models")[1])
    answer = exchange(server, request("HEAD", "/v1/models", "1.1", None, "Connection: close"))
    assert answer.endswith(b"\r\n\r\n")
    assert f"\r\nContent-Length: {length}\r\n".encode() in answer


def test_b9_a_body_that_waits_for_a_word(server: Server) -> None:
    """Where the path does not exist, the client is spared sending it."""
    expecting = "Expect: 100-continue"
    answer = exchange(server, request("POST", "/tokenize", "1.1", {"content": "a"}, expecting, "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    answer = exchange(server, request("POST", "/nothing", "1.1", {"content": "a"}, expecting))
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")


@pytest.mark.parametrize("line", [b"GET /health HTTP/2.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"nonsense\r\n\r\n"])
def test_b9_what_is_no_http_1(server: Server, line: bytes) -> None:
    assert exchange(server, line).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert send(server, "GET", "/health")[0] == 200
