"""Messages that a well-behaved client never sends to a worker."""

from __future__ import annotations

import random
import socket
import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from tests.acceptance.hosts.worker import TENSOR_SIZE, Client, Command, Worker, tensor

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 4096

Message: TypeAlias = "Callable[[int, int], tuple[int, bytes]]"

# Messages after a valid beginning: what they are, given the buffer and its address, and the words in the log.
HOSTILE: Final[dict[str, tuple[Message, str]]] = {
    "a command that there is not": (lambda _b, _a: (99, b""), "unknown command 99"),
    "a second greeting": (lambda _b, _a: (Command.HELLO, bytes(24)), "unknown command 14"),
    "a short message": (lambda _b, _a: (Command.ALLOC_BUFFER, b"x"), "wrong size"),
    "a tensor beyond its buffer": (
        lambda b, a: (Command.GET_TENSOR, tensor(b, a + SIZE) + struct.pack("<QQ", 0, 16)),
        "GGML_ASSERT",
    ),
    "an address that overflows": (
        lambda b, _a: (Command.GET_TENSOR, tensor(b, 2**64 - 8) + struct.pack("<QQ", 0, 16)),
        "GGML_ASSERT",
    ),
    "an offset beyond the tensor": (
        lambda b, a: (Command.GET_TENSOR, tensor(b, a) + struct.pack("<QQ", 250, 16)),
        "beyond the end of a tensor",
    ),
    "a size that overflows": (
        lambda b, a: (Command.GET_TENSOR, tensor(b, a) + struct.pack("<QQ", 16, 2**64 - 8)),
        "beyond the end of a tensor",
    ),
    "a type that there is not": (
        lambda b, a: (Command.GET_TENSOR, tensor(b, a, type_=4000) + struct.pack("<QQ", 0, 4)),
        "unknown type",
    ),
    "a buffer that there is not": (
        lambda _b, a: (Command.GET_TENSOR, tensor(0xDEAD0000, a) + struct.pack("<QQ", 0, 4)),
        "error deserializing tensor",
    ),
    "more bytes than a tensor has": (
        lambda b, a: (Command.SET_TENSOR, tensor(b, a) + struct.pack("<BQ", 0, 0) + bytes(260)),
        "beyond the end of a tensor",
    ),
    "more bytes than all buffers": (
        lambda b, a: (Command.SET_TENSOR, tensor(b, a) + struct.pack("<BQ", 0, 0) + bytes(SIZE + 1)),
        "wrong size",
    ),
    "a buffer freed twice": (lambda _b, a: (Command.FREE_BUFFER, struct.pack("<Q", a)), "buffer not found"),
    "a graph that is cut short": (
        lambda _b, _a: (Command.GRAPH_COMPUTE, struct.pack("<III", 0, 5, 0)),
        "cut short",
    ),
    "a graph of billions": (
        lambda _b, _a: (Command.GRAPH_COMPUTE, struct.pack("<III", 0, 2**32 - 1, 0)),
        "cut short",
    ),
    "a graph for a device that there is not": (
        lambda b, a: (Command.GRAPH_COMPUTE, struct.pack("<IIQI", 9, 1, 1, 1) + tensor(b, a)),
        "not valid",
    ),
    "a graph without its node": (
        lambda b, a: (Command.GRAPH_COMPUTE, struct.pack("<IIQI", 0, 1, 77, 1) + tensor(b, a)),
        "no tensor of it",
    ),
    "a graph with an unknown operation": (
        lambda b, a: (Command.GRAPH_COMPUTE, struct.pack("<IIQI", 0, 1, 1, 1) + tensor(b, a, op=5000)),
        "unknown operation",
    ),
    "an operation without its operands": (
        lambda b, a: (Command.GRAPH_COMPUTE, struct.pack("<IIQI", 0, 1, 1, 1) + tensor(b, a, op=29)),
        "ended by signal",
    ),
    "a graph repeated before the first": (lambda _b, _a: (Command.GRAPH_RECOMPUTE, struct.pack("<I", 0)), "not valid"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_ends_its_connection_and_nothing_else(running: Worker, name: str) -> None:
    message, words = HOSTILE[name]
    before = len(running.messages())
    with running.client() as client:
        client.send(*message(*client.allocate(SIZE)))
        assert client.is_ended()
    with running.client() as next_client:
        assert next_client.allocate(SIZE) != (0, 0)
    assert words in running.messages()[before:]


@pytest.mark.parametrize("message", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\x0e" + bytes(8), b"\x0e" + b"\xff" * 8])
def test_what_is_no_client_of_this_version_is_told_apart(running: Worker, message: bytes) -> None:
    running.client().socket.close()
    before = len(running.messages())
    while True:
        with Client(running.port) as client:
            client.socket.sendall(message)
            assert client.is_ended()
        if "speaks another version of the protocol than 7.0.0" in running.messages()[before:]:
            break
    running.client().socket.close()


def test_random_messages_never_end_the_worker(running: Worker) -> None:
    chance = random.Random(18)
    for _ in range(60):
        with running.client() as client:
            buffer, address = client.allocate(SIZE)
            valid = tensor(buffer, address + chance.randrange(SIZE), ne=chance.choice([1, 64, 2**31]))
            noise = bytearray(valid + chance.randbytes(chance.choice([0, 1, 8, 16, 17, TENSOR_SIZE])))
            for _ in range(chance.randrange(6)):
                noise[chance.randrange(len(noise))] = chance.randrange(256)
            try:
                client.send(chance.randrange(20), bytes(noise))
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(1 << 16):
                    pass
            except OSError:
                pass
    with running.client() as client:
        assert client.allocate(SIZE) != (0, 0)
