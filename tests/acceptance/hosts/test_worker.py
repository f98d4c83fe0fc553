"""A worker by itself: its options, its memory, its cache and its sandbox."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import gguf
import pytest

from assimilate.conversion import assimilate
from runtime.platforms import host_platform
from tests.acceptance.hosts.worker import Client, Command, Worker, hash_of, tensor, worker
from tests.acceptance.packaging.packing import packed
from tests.pipeline.conftest import run

SIZE = 4096


@pytest.fixture
def program(llamafile: Path) -> Path:
    """The runtime under the name of the worker."""
    link = llamafile.with_name("llamafile-rpc-server")
    link.symlink_to(llamafile.name)
    return link


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


def test_memory_is_limited_and_free_when_the_client_is_gone(running: Worker) -> None:
    for _ in range(3):
        with running.client() as client:
            free, total = struct.unpack("<QQ", client.ask(Command.GET_DEVICE_MEMORY, struct.pack("<I", 0)))
            assert (free, total) == (64 << 20, 64 << 20)
            assert client.allocate(48 << 20) != (0, 0)
            assert client.allocate(48 << 20) == (0, 0)
            assert client.allocate(2**63) == (0, 0)
    assert "--max-memory leaves 16 MiB" in running.messages()


def test_a_second_program_at_the_same_time_is_refused(running: Worker) -> None:
    with running.client(), Client(running.port) as second:
        with pytest.raises(EOFError):
            second.greet()
        assert "must wait: this worker serves one program at a time" in running.messages()


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
    folder.mkdir(mode=0o700)
    unfinished, killed = folder / "unfinished.1", folder / "unfinished.2"
    unfinished.touch()
    killed.touch()
    os.utime(killed, times=(0, 0))
    contents = [bytes([number]) * (300 << 10) for number in range(5)]
    with worker(program, tmp_path, "--cache-dir", str(folder), "--cache-size", "1M") as started:
        with started.client() as client:
            assert [probe(client, "x", content) for content in contents] == [False] * 5
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not killed.exists()
        unfinished.unlink()  # of another worker, which may go on with it
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


def test_users_without_a_home_name_the_folder_of_the_cache(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nonexistent"))
    result = run(program, "--cache")
    assert result.returncode == 1
    assert result.stderr.endswith("this user has no folder for caches; name one with --cache-dir\n")
    assert not (tmp_path / "nonexistent").exists()


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
