"""A worker on this host, and the messages of its protocol (the engine's ggml-rpc.cpp, version 7)."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TENSOR_SIZE", "Client", "Command", "Worker", "hash_of", "tensor", "worker"]

VERSION: Final = (7, 0, 0)
_HELLO_SIZE: Final = 24
_TENSOR: Final = "<QIQ4I4II16ii10QQQQ64si"
TENSOR_SIZE: Final = struct.calcsize(_TENSOR)


class Command(IntEnum):
    """The first byte of a message."""

    ALLOC_BUFFER = 0
    GET_ALIGNMENT = 1
    BUFFER_GET_BASE = 3
    FREE_BUFFER = 4
    BUFFER_CLEAR = 5
    SET_TENSOR = 6
    SET_TENSOR_HASH = 7
    GET_TENSOR = 8
    COPY_TENSOR = 9
    GRAPH_COMPUTE = 10
    GET_DEVICE_MEMORY = 11
    INIT_TENSOR = 12
    GET_ALLOC_SIZE = 13
    HELLO = 14
    DEVICE_COUNT = 15
    GRAPH_RECOMPUTE = 16
    MEMSET_TENSOR = 17


def tensor(
    buffer: int, data: int, *, name: str = "x", type_: int = 0, ne: int = 64, op: int = 0, id_: int = 1, source: int = 0
) -> bytes:
    """Return a tensor of one dimension in the form of the wire; type 0 is F32."""
    sizes = (ne, 1, 1, 1, 4, 4 * ne, 4 * ne, 4 * ne)
    return struct.pack(
        _TENSOR, id_, type_, buffer, *(size & 0xFFFFFFFF for size in sizes), op, *[0] * 16, 0,
        source, *[0] * 9, 0, 0, data, name.encode(), 0,
    )  # fmt: skip  # the fields of the protocol


def hash_of(data: bytes) -> int:
    """Return the FNV-1a hash that stands for the bytes of a tensor."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


class Client:
    """A connection to a worker."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, command: int, content: bytes = b"") -> None:
        """Send a message."""
        self.socket.sendall(struct.pack("<BQ", command, len(content)) + content)

    def receive(self) -> bytes:
        """Return the content of an answer; EOFError if the worker ends the connection."""
        return self._exactly(struct.unpack("<Q", self._exactly(8))[0])

    def ask(self, command: int, content: bytes = b"") -> bytes:
        """Send a message, and return the content of its answer."""
        self.send(command, content)
        return self.receive()

    def greet(self) -> tuple[int, ...]:
        """Begin, and return the version of the worker's protocol."""
        return tuple(self.ask(Command.HELLO, bytes(_HELLO_SIZE))[:3])

    def allocate(self, size: int) -> tuple[int, int]:
        """Return the buffer of so many bytes, and its address; zeros if there is none."""
        buffer, _ = struct.unpack("<QQ", self.ask(Command.ALLOC_BUFFER, struct.pack("<IQ", 0, size)))
        if not buffer:
            return 0, 0
        return buffer, struct.unpack("<Q", self.ask(Command.BUFFER_GET_BASE, struct.pack("<Q", buffer)))[0]

    def is_ended(self) -> bool:
        """Wait for what the worker does now; whether it ends the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            try:
                part = self.socket.recv(size - len(parts))
            except ConnectionResetError:
                part = b""
            if not part:
                raise EOFError
            parts += part
        return parts


@dataclass
class Worker:
    """A running worker."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def client(self) -> Client:
        """Connect; the worker serves the connection as soon as it has ended the previous one."""
        client = Client(self.port)
        assert client.greet() == VERSION, self.log.read_text()
        return client

    def messages(self) -> str:
        """What it has said."""
        return self.log.read_text()


@contextmanager
def worker(program: Path, folder: Path, *options: str, ends: bool = False) -> Iterator[Worker]:
    """Run PROGRAM, which is named llamafile-rpc-server, on a free port; it must not end before the test ENDS it."""
    log = folder / "worker.log"
    with log.open("wb") as output:
        shell = [] if program.read_bytes()[:4] == b"\x7fELF" else ["/bin/sh"]
        process = subprocess.Popen([*shell, program, "--port", "0", *options], stdout=output, stderr=output)
    try:
        port = None
        while port is None and process.poll() is None:
            port = re.search(r"listening on \S+ port (\d+)", log.read_text())
        assert port, log.read_text()
        yield Worker(int(port[1]), log, process)
        assert ends or process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait()
