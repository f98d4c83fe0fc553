"""Requests whose every byte a test decides."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPMessage

    from tests.acceptance.api.servers import Server

__all__ = ["events", "exchange", "refusal", "send"]


def send(
    server: Server, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, HTTPMessage, str]:
    """The status, headers and text of the answer to a request with these headers and no others but Host and length.

    A header without a value is left out, and `{port}` in one is the server's port.
    """
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    sent = {"Host": "127.0.0.1:{port}", "Content-Length": str(len(body)), **(headers or {})}
    for name, value in sent.items():
        if value:
            connection.putheader(name, value.format(port=server.port))
    connection.endheaders(body)
    answer = connection.getresponse()
    result = answer.status, answer.headers, answer.read().decode()
    connection.close()
    return result


def exchange(server: Server, request: bytes) -> bytes:
    """All that the server sends after REQUEST until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def refusal(server: Server, path: str, body: object, status: int = 400) -> str:
    """The message of an error of STATUS, in the form of the API that PATH belongs to."""
    got, text = server.ask(path, body)
    assert got == status, text
    answer = json.loads(text)
    if path.startswith("/v1/messages"):
        assert answer["type"] == "error"
        assert set(answer["error"]) == {"type", "message"}
    else:
        assert {"message", "type", "param", "code"} <= set(answer["error"])
    message: str = answer["error"]["message"]
    return message


def events(text: str) -> list[Any]:
    """The data of the events in the TEXT of a stream, without the end marker."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
