"""What clients can send: a clear answer, no crash, bounded memory, and the next request is served."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.servers import free_port, send_together, serving, wait_until_healthy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.api.servers import Server

HELLO = [{"role": "user", "content": "hello"}]
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(program: Path, roomy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    with serving([program, "-m", roomy_model, "--nobrowser"], log) as started:
        yield started


@pytest.fixture(autouse=True)
def goes_on(server: Server) -> Iterator[None]:
    """After each test the server is the same process, and answers."""
    yield
    assert server.process.poll() is None, server.said
    assert server.ask("/completion", {"prompt": "a", "n_predict": 1})[0] == 200


def resident(server: Server, field: str = "VmRSS") -> int:
    """The bytes of memory that the server has, or had at most (VmHWM)."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """What comes back for PIECES until the server closes the connection or has nothing more to say."""
    with connected(server) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
        return received


def post(path: str, body: bytes, *headers: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


MALFORMED = {
    "empty": b"",
    "a brace": b"{",
    "a list": b"[]",
    "null": b"null",
    "no text": bytes(range(256)),
    "no messages": b"{}",
    "messages of another type": b'{"messages": "hello"}',
    "a message of another type": b'{"messages": [1]}',
    "content of another type": b'{"messages": [{"role": "user", "content": 1}]}',
    "a role of another type": b'{"messages": [{"role": 1, "content": "hello"}]}',
    "no role": b'{"messages": [{"content": "hello"}]}',
    "NaN": b'{"messages": [], "temperature": NaN}',
    "infinity": b'{"messages": [], "temperature": 1e999}',
    "tools of another type": b'{"messages": [{"role": "user", "content": "hello"}], "tools": "x"}',
    "a length of another type": b'{"messages": [{"role": "user", "content": "hello"}], "max_tokens": "x"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_an_invalid_body_is_answered_with_its_error(server: Server, body: bytes) -> None:
    head, _, text = exchange(server, post("/v1/chat/completions", body)).partition(b"\r\n\r\n")
    assert head.split(None, 2)[1] in {b"400", b"500"}
    assert json.loads(text)["error"]["message"]


EXTREMES = {
    "temperature": [1e38, -1e38],
    "top_p": [1e308, -1],
    "top_k": [2**31 - 1, -(2**31), 2**40],
    "min_p": [1e308, -1e308],
    "repeat_penalty": [0, -1e38],
    "n_predict": [-1, -2, -(2**31), 2**40],
    "n_keep": [-(2**31), 2**31 - 1],
    "n_probs": [-1, 2**31 - 1],
    "repeat_last_n": [-1, 2**40],
    "dry_allowed_length": [-(2**31), 2**31 - 1],
    "mirostat": [3, -1],
    "id_slot": [99, -2],
    "seed": [-1, 2**64 - 1, 1e30],
    "n": [0, 2**31 - 1],
    "logit_bias": [[[-5, 1], [10**9, 1], ["x", 1]], {"x": 1e308}],
    "stop": [["", ""], [1, None]],
    "samplers": [["no such"], [1]],
    "grammar": [
        "root ::= x",
        "root ::= root",
        'root ::= ("")*',
        'root ::= (((("a"{0,1000}){0,1000}){0,1000}){0,1000})',
    ],
    "json_schema": [
        5,
        {"$ref": "#"},
        {"$ref": "http://127.0.0.1:9/"},
        {"type": "array", "items": {}, "minItems": 10**9},
        {"type": "string", "pattern": "^(a$"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    ],
}


@pytest.mark.parametrize("field", EXTREMES)
def test_a_value_beyond_reason_is_refused_or_has_no_effect(server: Server, field: str) -> None:
    for value in EXTREMES[field]:  # type: ignore[attr-defined]  # lists of anything
        status, text = server.ask("/completion", {"prompt": "a", "n_predict": 3, field: value})
        assert status in {200, 400}, (value, text)
        assert json.loads(text)


@pytest.mark.parametrize("tokens", [[-1], [2**31 - 1], [2**40], ["a"]])
def test_tokens_that_do_not_exist(server: Server, tokens: list[object]) -> None:
    assert server.ask("/detokenize", {"tokens": tokens})[0] in {200, 400, 500}
    assert server.ask("/completion", {"prompt": tokens, "n_predict": 1})[0] in {200, 400}


def test_a_million_tokens(server: Server) -> None:
    body = json.dumps({"prompt": [5] * 1_000_000}).encode()
    answer = exchange(server, post("/completion", body, "Content-Type: application/json"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"exceeds the available context size" in answer


HEADS = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
    "no method": b" / HTTP/1.1\r\n\r\n",
    "a header of a megabyte": b"GET / HTTP/1.1\r\nX: " + b"a" * MEBIBYTE + b"\r\n\r\n",
    "a line of a megabyte": b"GET /" + b"a" * MEBIBYTE + b" HTTP/1.1\r\n\r\n",
    "ten thousand headers": b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 10_000 + b"\r\n",
    "a length below zero": b"POST /completion HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
    "a length beyond reason": b"POST /completion HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    "two lengths": b"POST /completion HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a chunk that is none": b"POST /completion HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond reason": b"POST /completion HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    "a request and garbage": post("/completion", b'{"prompt": "a", "n_predict": 1}') + b"\0\xff" * 5000,
}


@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS)
def test_what_is_hardly_http(server: Server, sent: bytes) -> None:
    try:
        received = exchange(server, sent)
    except (ConnectionResetError, BrokenPipeError):
        return  # closed before it was all sent: an answer too
    assert received == b"" or received.startswith(b"HTTP/1.1 ")


def test_a_body_in_chunks(server: Server) -> None:
    body = b'{"prompt": "a", "n_predict": 1}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"POST /completion HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(server, head, chunks).startswith(b"HTTP/1.1 200 ")


def test_a_body_beyond_the_limit(server: Server) -> None:
    """It is refused before it is read."""
    before = resident(server)
    head = b"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n"
    assert exchange(server, head, b"a").startswith(b"HTTP/1.1 4")
    assert resident(server) < before + 16 * MEBIBYTE


def test_clients_that_leave_while_their_answer_streams(server: Server) -> None:
    """Their places are free again at once."""
    body = json.dumps({"prompt": "a", "n_predict": -1, "ignore_eos": True, "stream": True}).encode()
    for _ in range(20):
        with connected(server) as connection:
            connection.sendall(post("/completion", body))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            # Closed with a reset, not with a goodbye.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    deadline = time.monotonic() + 30
    while any(slot["is_processing"] for slot in json.loads(server.ask("/slots")[1])):
        assert time.monotonic() < deadline, "an answer is still generated after its client has gone"
        time.sleep(0.1)


def test_many_requests_take_no_memory_for_good(server: Server) -> None:
    def fifty() -> None:
        for _ in range(50):
            server.ask("/completion", {"prompt": "a" * 2000, "n_predict": 1, "cache_prompt": False})

    fifty()
    before = resident(server)
    fifty()
    assert resident(server) < before + 16 * MEBIBYTE


def test_control_c_ends_it_while_it_streams(program: Path, roomy_model: Path, tmp_path: Path) -> None:
    body = json.dumps({"prompt": "a", "n_predict": -1, "ignore_eos": True, "stream": True}).encode()
    with (
        serving([program, "-m", roomy_model, "--nobrowser"], tmp_path / "log") as server,
        connected(server) as connection,
    ):
        connection.sendall(post("/completion", body))
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=20) == 0
        assert_free(server.port)


def test_a_second_control_c_ends_it_at_once(program: Path, roomy_model: Path, tmp_path: Path) -> None:
    with (
        serving([program, "-m", roomy_model, "--nobrowser"], tmp_path / "log") as server,
        connected(server) as connection,
    ):
        body = json.dumps({"prompt": "a", "n_predict": -1, "ignore_eos": True, "stream": True}).encode()
        connection.sendall(post("/completion", body))
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        send_together(server.process, signal.SIGINT, signal.SIGTERM)
        assert server.process.wait(timeout=20) == 1


def test_what_it_inherits_is_corrected(program: Path, tiny_model: Path) -> None:
    """Files do not get the descriptors of closed streams, and it can wait for its children."""
    port = free_port()
    closed = ["/bin/sh", "-c", "trap '' CHLD; exec \"$@\" <&- >&- 2>&-", "sh"]
    command = [*closed, str(program), "-m", str(tiny_model), "--nobrowser", "--port", str(port)]
    with subprocess.Popen(command, text=True) as process:
        try:
            wait_until_healthy(process, port)
            folder = Path(f"/proc/{process.pid}")
            assert {(folder / f"fd/{number}").readlink() for number in range(3)} == {Path("/")}
            ignored = re.search(r"^SigIgn:\s*(\w+)$", (folder / "status").read_text(), re.MULTILINE)
            assert ignored
            assert not int(ignored[1], 16) & 1 << (signal.SIGCHLD - 1)
            process.terminate()
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_while_it_loads(program: Path, tmp_path: Path, sign: signal.Signals) -> None:
    """The weights come from a pipe without a writer: loading never ends."""
    model = tmp_path / "slow.gguf"
    os.mkfifo(model)
    with subprocess.Popen([program, "-m", model, "--port", "0"], stderr=subprocess.DEVNULL) as process:
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(sign)
        assert process.wait(timeout=20) in {-sign, 0}


def assert_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()


def nested(depth: int) -> bytes:
    return b'{"messages": [{"role": "user", "content": "hello"}], "x": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


DOUBLING = "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1} | r{i + 1}\n" for i in range(40)) + 'r40 ::= "a"'
# What brought the engine down, or kept it busy for minutes, before there were limits: what it says now.
BEYOND_LIMITS = {
    "JSON": ("/v1/chat/completions", nested(1_000_000), b"nested too deep"),
    "lists": ("/embedding", b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"nested too deep"),
    "text": ("/completion", b'{"prompt": "' + b"a" * (9 * MEBIBYTE) + b'"}', b"the text has too many bytes"),
    "texts": ("/completion", json.dumps({"prompt": ["a"] * 100_000}).encode(), b"too many texts"),
    "texts to embed": ("/embedding", json.dumps({"content": ["a"] * 100_000}).encode(), b"too many texts"),
    "parentheses": (
        "/completion",
        json.dumps({"prompt": "a", "grammar": "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000}).encode(),
        b"failed to parse grammar",
    ),
    "grammar": (
        "/completion",
        json.dumps({"prompt": "a", "grammar": "root ::= " + " | ".join(f'"{i}"' for i in range(200_000))}).encode(),
        b"failed to parse grammar",
    ),
}


@pytest.mark.parametrize(("path", "body", "words"), BEYOND_LIMITS.values(), ids=BEYOND_LIMITS)
def test_what_is_beyond_a_limit_is_refused(server: Server, path: str, body: bytes, words: bytes) -> None:
    answer = exchange(server, post(path, body, "Content-Type: application/json"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert words in answer
    assert resident(server, "VmHWM") < 1024 * MEBIBYTE


def test_a_grammar_whose_rules_double_is_read_once(server: Server) -> None:
    status, text = server.ask("/completion", {"prompt": "a", "n_predict": 4, "grammar": DOUBLING})
    assert (status, json.loads(text)["content"]) == (200, "a")
