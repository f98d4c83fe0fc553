"""The file of a Unix socket, from one start of a server to the next: created, removed, replaced, and never stolen."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.servers import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Serve = Callable[[Path], AbstractContextManager[Server]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """One with a short name: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def serve(program: Path, tiny_model: Path, tmp_path: Path) -> Serve:
    @contextmanager
    def start(path: Path) -> Iterator[Server]:
        command = [program, "-m", tiny_model, "--nobrowser", "--host", f"{path},127.0.0.1"]
        with serving(command, tmp_path / "log") as server:
            assert is_answered(path)
            yield server

    return start


def is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return client.recv(15) == b"HTTP/1.1 200 OK"


def wait_until_gone(path: Path) -> None:
    deadline = time.monotonic() + 10
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not path.exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_removes_it(serve: Serve, folder: Path, ending: signal.Signals) -> None:
    path = folder / "l.sock"
    for _ in range(2):
        with serve(path) as server:
            assert stat.S_ISSOCK(path.stat().st_mode)
            server.process.send_signal(ending)
            assert server.process.wait(timeout=10) == 0
            assert list(folder.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP])
def test_any_other_end_removes_it_too(serve: Serve, folder: Path, ending: signal.Signals) -> None:
    """The helper process does, which Control-C in the terminal does not reach."""
    path = folder / "l.sock"
    with serve(path) as server:
        server.process.send_signal(ending)
        assert server.process.wait(timeout=10) == -ending
        wait_until_gone(path)


def test_the_socket_of_an_ended_server_is_replaced(serve: Serve, folder: Path) -> None:
    """As after the end of the machine."""
    path = folder / "l.sock"
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(path))
    with serve(path):
        pass


def refusal(program: Path, model: Path, *arguments: str) -> str:
    command = [str(program), "-m", str(model), "--nobrowser", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("llamafile: cannot")]
    return line


def test_the_socket_of_a_living_server_stays(serve: Serve, folder: Path, program: Path, tiny_model: Path) -> None:
    path = folder / "l.sock"
    with serve(path):
        before = path.stat().st_ino
        assert "another server listens there" in refusal(program, tiny_model, "--host", str(path))
        assert path.stat().st_ino == before
        assert is_answered(path)


def test_the_socket_of_a_server_that_hangs_stays(folder: Path, program: Path, tiny_model: Path) -> None:
    """Nothing accepts the connections, and there is no room for another."""
    path = folder / "l.sock"
    with socket.socket(socket.AF_UNIX) as hanging, socket.socket(socket.AF_UNIX) as client:
        hanging.bind(str(path))
        hanging.listen(0)
        client.connect(str(path))
        assert "another server listens there" in refusal(program, tiny_model, "--host", str(path))
        assert path.exists()


def test_a_file_stays(folder: Path, program: Path, tiny_model: Path) -> None:
    path = folder / "l.sock"
    path.write_text("precious")
    (folder / "link.sock").symlink_to(path)
    for name in (path, folder / "link.sock"):
        assert "which is no socket" in refusal(program, tiny_model, "--host", str(name))
    assert path.read_text() == "precious"


def test_the_cause_is_named(folder: Path, program: Path, tiny_model: Path) -> None:
    (folder / "file").touch()
    for name, cause in (
        ("absent/l.sock", "No such file or directory"),
        ("file/l.sock", "Not a directory"),
        (f"{'l' * 120}.sock", "at most 107 bytes"),
    ):
        assert cause in refusal(program, tiny_model, "--host", str(folder / name))
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_the_chat_needs_a_port(folder: Path, program: Path, tiny_model: Path) -> None:
    command = [str(program), "-m", str(tiny_model), "--chat", "--host", f"{folder}/l.sock"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "the chat talks to its server at a port" in result.stderr
