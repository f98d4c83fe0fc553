"""A worker by itself: its options, and messages that a well-behaved client never sends."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import gguf
import pytest

from assimilate.conversion import assimilate
from runtime.platforms import host_platform
from tests.acceptance.hosts.worker import TENSOR_SIZE, Client, Command, Worker, hash_of, tensor, worker
from tests.acceptance.packaging.packing import packed
from tests.pipeline.conftest import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = 4096


@pytest.fixture
def program(llamafile: Path) -> Path:
    """The runtime under the name of the worker."""
    link = llamafile.with_name("llamafile-rpc-server")
    link.symlink_to(llamafile.name)
    return link


@pytest.fixture(scope="module")
def running(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker without weights, which many tests attack."""
    folder = tmp_path_factory.mktemp("worker")
    link = folder / "llamafile-rpc-server"
    link.symlink_to(runtime)
    with worker(link, folder, "--threads", "1", "--max-memory", "64M") as started:
        yield started


def test_its_help_says_that_there_is_no_protection(program: Path) -> None:
    result = run(program, "--help")
    assert result.returncode == 0
    assert "neither passwords nor encryption" in result.stdout
    assert all(f"--{name}" in result.stdout for name in ("host", "port", "allow", "insecure", "device", "cache-size"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "name those that may by --allow"),  # noqa: S104  # it is refused
        (["--host", "192.0.2.1", "--port", "50052"], "name those that may by --allow"),
        (["--host", "::"], "neither passwords nor encryption"),
        (["--port", "70000"], "--port takes a number from 0 to 65535"),
        (["--port", "x"], "--port takes a number"),
        (["--threads", "0"], "--threads takes a number from 1"),
        (["--allow", "10.0.0.0/33"], "--allow takes addresses and networks"),
        (["--allow", "10.0.0"], "not '10.0.0'"),
        (["--allow", "10.0.0.1,"], "not ''"),
        (["--allow", "fd00::/129"], "not 'fd00::/129'"),
        (["--max-memory", "12"], "takes a size such as 12G"),
        (["--cache-size", "0G"], "takes a size such as 12G"),
        (["--device", "none-such"], "there is no device 'none-such', but CPU"),
        (["--model", "absent.gguf"], "absent.gguf"),
        (["--frobnicate"], "has no option '--frobnicate'"),
        (["--host"], "--host needs a value"),
    ],
)
def test_wrong_options_get_one_sentence(program: Path, arguments: list[str], words: str) -> None:
    result = run(program, *arguments)
    assert result.returncode == 1
    *remarks, sentence = result.stderr.splitlines()
    assert words in sentence
    assert all("no such GPU" in remark for remark in remarks)  # a device may be one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rpc", "hostname"], "as HOST:PORT"),
        (["--rpc", "10.0.0.1:50052,"], "not ''"),
        (["--rpc", "10.0.0.1:0"], "as HOST:PORT"),
        (["--rpc", "fd00::1:50052"], "IPv6 in brackets"),
        (["--rpc", "127.0.0.1:9"], "cannot reach the worker 127.0.0.1:9: Connection refused"),
        (["--rpc", "[::1]:9"], "cannot reach the worker [::1]:9"),
        (["--rpc", "no-such-host.invalid:50052"], "the name 'no-such-host.invalid' is not known here"),
        (["--rpc", ",".join(["127.0.0.1:9"] * 17)], "names 17 workers, and the engine takes 16"),
    ],
)
def test_wrong_workers_get_one_sentence(llamafile: Path, tiny_model: Path, arguments: list[str], words: str) -> None:
    result = run(llamafile, "--cli", "-m", str(tiny_model), "-p", "a", *arguments)
    assert result.returncode == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (struct.pack("<Q4B24x", 28, 6, 0, 0, 0), "speaks version 6.0.0, and this program version 7.0.0"),
        (struct.pack("<Q4B24x", 28, 7, 0, 1, 0), "speaks version 7.0.1"),
        (struct.pack("<Q3B", 3, 2, 0, 0), "speaks another version"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks another version"),
        (b"", "it serves one program at a time"),
    ],
)
def test_a_worker_of_another_version_is_refused(llamafile: Path, tiny_model: Path, answer: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        result = run(llamafile, "--cli", "-m", str(tiny_model), "-p", "a", "--rpc", f"127.0.0.1:{port}")
        thread.join()
    assert result.returncode == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


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


def test_memory_is_limited_and_free_when_the_client_is_gone(running: Worker) -> None:
    for _ in range(3):
        with running.client() as client:
            free, total = struct.unpack("<QQ", client.ask(Command.GET_DEVICE_MEMORY, struct.pack("<I", 0)))
            assert (free, total) == (64 << 20, 64 << 20)
            assert client.allocate(48 << 20) != (0, 0)
            assert client.allocate(48 << 20) == (0, 0)
            assert client.allocate(2**63) == (0, 0)
    assert "--max-memory leaves 16 MiB" in running.messages()


def probe(client: Client, name: str, content: bytes) -> bool:
    """Whether the worker has CONTENT of the tensor NAME, and then sets it."""
    buffer, address = client.allocate(len(content))
    one = tensor(buffer, address, name=name, ne=len(content) // 4)
    known = client.ask(Command.SET_TENSOR_HASH, one + struct.pack("<QQ", 0, hash_of(content))) == b"\1"
    if known:
        assert client.ask(Command.GET_TENSOR, one + struct.pack("<QQ", 0, len(content))) == content
    else:
        client.send(Command.SET_TENSOR, one + struct.pack("<BQ", 1, 0) + content)
        assert client.ask(Command.GET_TENSOR, one + struct.pack("<QQ", 0, len(content))) == content
    return known


@pytest.mark.parametrize("is_plain", [False, True], ids=["llamafile", "assimilated"])
def test_it_has_the_tensors_of_its_own_file(
    llamafile: Path, program: Path, tiny_model: Path, *, is_plain: bool
) -> None:
    tensors = {one.name: one for one in gguf.GGUFReader(tiny_model).tensors}
    name, one = next((name, one) for name, one in tensors.items() if one.tensor_type.name == "F32")
    content = one.data.tobytes()
    packed(llamafile, tiny_model)
    if is_plain:
        assimilate(llamafile, host_platform())
    with worker(program, llamafile.parent) as started, started.client() as client:
        assert f"has {len(tensors)} tensors" in started.messages()
        assert probe(client, name, content)
        assert not probe(client, name, bytes(len(content)))
        assert not probe(client, "another", content)
        assert not probe(client, name, content[:-4])


def test_its_cache_is_private_bounded_and_checked(program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    contents = [bytes([number]) * (300 << 10) for number in range(5)]
    with worker(program, tmp_path, "--cache-dir", str(folder), "--cache-size", "1M") as started:
        with started.client() as client:
            assert [probe(client, "x", content) for content in contents] == [False] * 5
        assert folder.stat().st_mode & 0o777 == 0o700
        names = {f"{hash_of(content):016x}" for content in contents}
        kept = {file.name for file in folder.iterdir()}
        assert kept < names
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 1 << 20
        assert f"{hash_of(contents[4]):016x}" in kept
        damaged = folder / f"{hash_of(contents[4]):016x}"
        damaged.write_bytes(bytes(300 << 10))
        link = folder / f"{hash_of(contents[3]):016x}"
        link.unlink()
        link.symlink_to(damaged)
        with started.client() as client:
            assert probe(client, "x", contents[2])
            assert not probe(client, "x", contents[3])
            assert not probe(client, "x", contents[4])
        assert "is damaged and removed" in started.messages()


@pytest.mark.parametrize(("mode", "words"), [(0o755, "its mode must be 700"), (None, "it is not a folder")])
def test_a_folder_that_others_may_use_is_no_cache(program: Path, tmp_path: Path, mode: int | None, words: str) -> None:
    folder = tmp_path / "cache"
    if mode is None:
        folder.touch()
    else:
        folder.mkdir(mode)
        folder.chmod(mode)
    result = run(program, "--cache-dir", str(folder))
    assert result.returncode == 1
    assert words in result.stderr


def test_a_program_waits_for_its_workers(llamafile: Path, program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    options = ["--rpc", f"127.0.0.1:{port}", "--rpc-wait", "60"]
    command = ["/bin/sh", str(llamafile), "--cli", "-m", str(tiny_model), "-p", "a", "-n", "2", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        time.sleep(1)
        assert waiting.poll() is None
        with worker(program, tmp_path, "--port", str(port)):
            _, errors = waiting.communicate(timeout=60)
    assert (waiting.returncode, errors) == (0, b"")


def seccomp_modes(process: int) -> set[str]:
    """The modes of all threads of PROCESS: 2 is a filter, 0 is none."""
    modes = set()
    for status in Path(f"/proc/{process}/task").glob("*/status"):
        modes |= {line.split()[1] for line in status.read_text().splitlines() if line.startswith("Seccomp:")}
    return modes


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_the_process_that_serves_a_program_is_confined_before_the_first_message(running: Worker) -> None:
    with running.client() as client:
        assert client.allocate(SIZE) != (0, 0)
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        assert len(children) == 1
        assert seccomp_modes(int(children[0])) == {"2"}


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_the_threads_that_talk_with_workers_are_confined(
    llamafile: Path, program: Path, roomy_model: Path, tmp_path: Path
) -> None:
    with worker(program, tmp_path) as started:
        options = ["--rpc", f"127.0.0.1:{started.port}", "-n", "4000", "-c", "4096", "--ignore-eos"]
        command = ["/bin/sh", str(llamafile), "--cli", "-m", str(roomy_model), "-p", "a", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as computing:
            assert computing.stdout
            assert computing.stdout.read(2)  # the sandbox is closed before the first text
            assert seccomp_modes(computing.pid) == {"2"}
            computing.kill()


def test_it_ends_at_once_on_request(program: Path, tmp_path: Path) -> None:
    with worker(program, tmp_path, ends=True) as started, started.client() as client:
        started.process.terminate()
        assert started.process.wait(timeout=10) == 0
        assert client.is_ended()


def test_default_arguments_name_workers(llamafile: Path, tiny_model: Path, runtime: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "llamafile-rpc-server").symlink_to(runtime)
    with worker(other / "llamafile-rpc-server", other) as started:
        packed(llamafile, tiny_model, "-m", "tiny.gguf", "--temp", "0", "--rpc", f"127.0.0.1:{started.port}")
        result = run(llamafile, "--cli", "-p", "a", "-n", "4")
        assert (result.returncode, result.stderr) == (0, "")
        assert "serves 127.0.0.1" in started.messages()
