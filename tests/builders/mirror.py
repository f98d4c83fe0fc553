"""A mirror on this machine: a folder served over HTTP, with requests that fail as those to a real mirror do."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Mirror", "mirroring"]


@dataclass
class Mirror:
    """What it does: each request whose path matches one of the patterns fails in that way."""

    folder: Path
    port: int = 0
    lost: set[str] = field(default_factory=set)  # 404
    broken: set[str] = field(default_factory=set)  # 500
    stalled: set[str] = field(default_factory=set)  # no answer
    requests: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def failure(self, path: str) -> HTTPStatus | None:
        """Return the status that a request for PATH ends with, if not that of the file."""
        for patterns, status in ((self.lost, HTTPStatus.NOT_FOUND), (self.broken, HTTPStatus.INTERNAL_SERVER_ERROR)):
            if any(fnmatch(path, pattern) for pattern in patterns):
                return status
        return None


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, mirror: Mirror, *arguments: Any) -> None:
        self.mirror = mirror
        super().__init__(*arguments, directory=str(mirror.folder))

    def do_GET(self) -> None:
        self.mirror.requests.append(self.path)
        if any(fnmatch(self.path, pattern) for pattern in self.mirror.stalled):
            self.mirror.closing.wait()
        elif status := self.mirror.failure(self.path):
            self.send_error(status)
        else:
            super().do_GET()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing on standard error."""


@contextmanager
def mirroring(folder: Path) -> Iterator[Mirror]:
    """Serve FOLDER until the end of the block."""
    mirror = Mirror(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, mirror)) as server:
        server.daemon_threads = True
        mirror.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield mirror
        finally:
            mirror.closing.set()
            server.shutdown()
            thread.join()
