"""The HTTP server of a local hub, which can be told to fail."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from tools.local_hub.protocol import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.local_hub.protocol import Hub

__all__ = ["Fault", "HubServer", "serving"]

_CHUNK_SIZE: Final = 1 << 16


@dataclass(slots=True)
class Fault:
    """A failure of the server or of the network between it and the client.

    Attributes:
        request: which requests fail: a pattern for METHOD /path.
        answer: what is answered instead.
        cut: where the connection ends: within the request, before the answer is sent, or within the answer.
        times: how many requests fail.
    """

    request: str
    answer: Answer | None = None
    cut: Literal["request", "before answer", "answer"] | None = None
    times: int = 1_000_000


@dataclass(slots=True)
class _Log:
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class HubServer(ThreadingHTTPServer):
    """A server for a hub, at an address of this machine.

    Args:
        hub: the repositories.
        port: where it listens; 0 for any free port.
    """

    daemon_threads = True

    def __init__(self, hub: Hub, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.hub = hub
        self._log = _Log()

    @property
    def address(self) -> str:
        """The address, for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def requests(self) -> list[str]:
        """METHOD /path of all requests, in their order."""
        return [name for name, _ in self._log.requests]

    @property
    def headers(self) -> list[Mapping[str, str]]:
        """The headers of all requests."""
        return [headers for _, headers in self._log.requests]

    def fail(self, *faults: Fault) -> None:
        """Let requests fail from now on, with these faults only."""
        self._log.faults = list(faults)

    def receive(self, name: str, headers: Mapping[str, str]) -> Fault | None:
        """Take note of a request, and return the fault that it meets."""
        with self._log.lock:
            self._log.requests.append((name, headers))
            for fault in self._log.faults:
                if fault.times and re.search(fault.request, name):
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show faults of the hub, and say nothing of clients that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(hub: Hub, port: int = 0) -> Iterator[HubServer]:
    """Serve HUB in a thread while the block runs."""
    with HubServer(hub, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Print nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        address = urlsplit(self.path)
        fault = self.server.receive(f"{self.command} {address.path}", dict(self.headers.items()))
        size = int(self.headers.get("Content-Length", 0))
        if fault and fault.cut == "request":
            self.rfile.read(size // 2)
            self._hang_up()
            return
        if fault and fault.answer:
            while size > 0:
                size -= len(self.rfile.read(min(size, _CHUNK_SIZE)))
            answer = fault.answer
        else:
            answer = self.server.hub.answer(self._request(address.path, dict(parse_qsl(address.query)), size))
        if fault and fault.cut == "before answer":
            self._hang_up()
            return
        self._send(answer, cut=bool(fault and fault.cut == "answer"))

    def _request(self, path: str, query: Mapping[str, str], size: int) -> Request:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        given = token if scheme == "Bearer" else None
        return Request(self.command, path, query, given, self.rfile, size, self.server.address)

    def _send(self, answer: Answer, *, cut: bool) -> None:
        text = b"" if answer.content is None else json.dumps(answer.content).encode()
        total = answer.file.stat().st_size if answer.file else len(text)
        start = self._range_start() if answer.file else 0
        self.send_response(206 if start else answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.content is not None:
            self.send_header("Content-Type", "application/json")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", answer.headers.get("X-Linked-Size") or str(total - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        end = start + (total - start) // 2 if cut else total
        if answer.file:
            with answer.file.open("rb") as file:
                file.seek(start)
                while chunk := file.read(min(_CHUNK_SIZE, end - file.tell())):
                    self.wfile.write(chunk)
        else:
            self.wfile.write(text[:end])
        if cut:
            self._hang_up()

    def _range_start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
