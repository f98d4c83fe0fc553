"""How a server ends when it is told to: it finishes the answers that are running, and refuses the others."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.servers import free_port, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.acceptance.api.servers import Server

    Serve = Callable[..., AbstractContextManager[Server]]

CLIENTS = 16
SLOTS = 4
TOKENS = 1000  # of each answer: three rounds of answers are waiting while the first one is written
LONG = 4000  # tokens
PATIENCE = 120  # seconds; a busy machine takes longer than the default allows
JSON = {"Content-Type": "application/json"}


class UnixConnection(http.client.HTTPConnection):
    """One to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self.path))


@pytest.fixture
def serve(program: Path, roomy_model: Path, tmp_path: Path) -> Serve:
    @contextmanager
    def start(*arguments: object) -> Iterator[Server]:
        command = [program, "-m", roomy_model, "--nobrowser", "--metrics", "--parallel", SLOTS, "-c", 4096 * SLOTS]
        limit = ["--shutdown-seconds", PATIENCE]  # the last one counts
        with serving([*command, *limit, *arguments], tmp_path / "log") as server:
            yield server

    return start


def connected(server: Server) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60))


def ask(connection: http.client.HTTPConnection, tokens: int, **fields: object) -> http.client.HTTPResponse:
    body = {"prompt": "a", "n_predict": tokens, "ignore_eos": True, "stream": True, **fields}
    connection.request("POST", "/completion", json.dumps(body), JSON)
    return connection.getresponse()


def ask_for_much(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """An answer of 65 MB. Sockets do not hold that much: it ends only when it is read."""
    return ask(connection, LONG, n_probs=1000)


def complete(response: http.client.HTTPResponse) -> int:
    """The number of tokens of an answer, which must have its end."""
    assert response.status == 200
    last = json.loads(response.read().rstrip().rpartition(b"data: ")[2])  # fails if chunks are missing
    assert last["stop"] is True
    return int(last["tokens_predicted"])


def answered(connecting: closing[http.client.HTTPConnection]) -> int:
    with connecting as connection:
        return complete(ask(connection, TOKENS))


def wait_until_asked(server: Server, count: int) -> None:
    """Return when COUNT requests are answered or wait for their turn."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = server.ask("/metrics")[1]
        gauges = dict(line.split() for line in text.splitlines() if line.startswith("llamacpp:requests_"))
        if int(gauges["llamacpp:requests_processing"]) + int(gauges["llamacpp:requests_deferred"]) == count:
            return
        time.sleep(0.01)
    pytest.fail(f"the server did not get {count} requests within a minute")


def wait_until_draining(server: Server) -> None:
    deadline = time.monotonic() + 10
    while server.ask("/health")[0] != 503:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def limit_said(server: Server) -> int:
    """The seconds that the server gives its running answers, as it says; one to /metrics may be among them."""
    (line,) = [line for line in server.said if line.startswith("ending after")]
    return int(line.split(", in ")[1].removesuffix(" s at the latest"))


def is_closed(connection: http.client.HTTPConnection) -> bool:
    connection.sock.settimeout(10)
    return connection.sock.recv(1) == b""


def test_running_and_waiting_answers_are_finished(serve: Serve) -> None:
    with serve() as server, ThreadPoolExecutor(CLIENTS) as pool, connected(server) as idle:
        idle.request("GET", "/health")
        assert idle.getresponse().read()
        answers = [pool.submit(answered, connected(server)) for _ in range(CLIENTS)]
        wait_until_asked(server, CLIENTS)
        server.process.send_signal(signal.SIGTERM)
        wait_until_draining(server)
        assert is_closed(idle)
        assert server.process.poll() is None
        assert [answer.result() for answer in answers] == [TOKENS] * CLIENTS
        assert server.process.wait(timeout=10) == 0
        assert limit_said(server) == PATIENCE


@pytest.mark.parametrize("path", ["/health", "/v1/health", "/", "/v1/models", "/completion"])
def test_new_requests_are_refused_meanwhile(serve: Serve, path: str) -> None:
    with serve() as server, connected(server) as first:
        answer = ask_for_much(first)
        server.process.send_signal(signal.SIGTERM)
        wait_until_draining(server)
        with connected(server) as connection:
            connection.request("POST", path, json.dumps({"prompt": "a"}), JSON)
            response = connection.getresponse()
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert response.headers["Connection"] == "close"
            assert "shutting down" in json.loads(response.read())["error"]["message"]
        assert server.ask("/metrics")[0] == 200  # how many requests are running is still shown
        assert complete(answer) == LONG
        assert server.process.wait(timeout=10) == 0


def test_the_page_of_another_site_sees_the_refusal(serve: Serve) -> None:
    """A browser hides an answer from a page that it does not allow."""
    origin = "https://app.example"
    with serve("--allow-origin", origin) as server, connected(server) as first:
        answer = ask_for_much(first)
        server.process.send_signal(signal.SIGTERM)
        wait_until_draining(server)
        with connected(server) as connection:
            connection.request("GET", "/v1/models", headers={"Origin": origin})
            response = connection.getresponse()
            response.read()
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (503, origin)
        assert complete(answer) == LONG


def test_an_idle_server_ends_at_once(serve: Serve) -> None:
    with serve() as server, ExitStack() as stack:
        idle = [stack.enter_context(connected(server)) for _ in range(8)]
        for connection in idle:
            connection.connect()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=10) == 0
        assert all(is_closed(connection) for connection in idle)
        assert not any("ending" in line for line in server.said)


@pytest.mark.parametrize(("seconds", "remarks"), [("0", 0), ("1", 1)])
def test_what_takes_longer_is_cut_off(serve: Serve, seconds: str, remarks: int) -> None:
    with serve("--shutdown-seconds", seconds) as server, connected(server) as connection:
        response = ask_for_much(connection)
        assert response.read(1)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=20) == 0
        with pytest.raises(http.client.IncompleteRead):  # the client can tell
            response.read()
        assert sum("in 1 s at the latest" in line for line in server.said) == remarks
        assert "ended before the end of 1 answer" in server.said


def test_the_default_fits_the_30_seconds_of_kubernetes(program: Path, roomy_model: Path, tmp_path: Path) -> None:
    with (
        serving([program, "-m", roomy_model, "--nobrowser"], tmp_path / "log") as server,
        connected(server) as connection,
    ):
        assert ask_for_much(connection).read(1)
        server.process.send_signal(signal.SIGTERM)
        wait_until_draining(server)
        assert limit_said(server) == 25


def test_any_thread_may_be_given_the_signal(serve: Serve) -> None:
    """The kernel gives it to another one than the main thread if that is stopped, for instance."""
    with serve() as server:
        tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
        (waiting,) = [int(task.name) for task in tasks if "pipe_read" in (task / "wchan").read_text()]
        ctypes.CDLL(None).tgkill(server.process.pid, waiting, signal.SIGTERM)
        assert server.process.wait(timeout=10) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(serve: Serve, second: signal.Signals) -> None:
    with serve() as server, connected(server) as connection:
        assert ask_for_much(connection).read(1)
        server.process.send_signal(signal.SIGTERM)
        wait_until_draining(server)
        server.process.send_signal(second)
        assert server.process.wait(timeout=10) == 1


def test_a_unix_socket(serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(CLIENTS) as pool:
        path = Path(folder) / "l.sock"
        with serve("--host", f"{path},127.0.0.1") as server:
            answers = [pool.submit(answered, closing(UnixConnection(path))) for _ in range(CLIENTS)]
            wait_until_asked(server, CLIENTS)
            server.process.send_signal(signal.SIGTERM)
            wait_until_draining(server)
            with closing(UnixConnection(path)) as late:
                late.request("GET", "/health")
                assert late.getresponse().status == 503
            assert [answer.result() for answer in answers] == [TOKENS] * CLIENTS
            assert server.process.wait(timeout=10) == 0
            assert list(Path(folder).iterdir()) == []


def test_it_is_an_option_of_the_server_only(program: Path, tiny_model: Path) -> None:
    command = [str(program), "-m", str(tiny_model), "--shutdown-seconds", "5", "-p", "a", "-n", "1"]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert result.returncode == 0
    assert "'--shutdown-seconds' has no effect: the command line has no server" in result.stderr


def test_the_first_process_of_a_container_ends_while_it_loads(program: Path, tmp_path: Path) -> None:
    """To such a process, the kernel delivers only signals with a handler. Loading from a pipe never ends."""
    model = tmp_path / "slow.gguf"
    os.mkfifo(model)
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    contained = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*contained, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs namespaces")
    command = [*contained, "sh", "-c", 'exec "$0" "$@"', str(program), "-m", str(model)]
    command += ["--port", str(free_port())]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            (child,) = wait_for_child(process.pid)
            time.sleep(0.5)
            os.kill(child, signal.SIGTERM)
            assert process.wait(timeout=10) == 128 + signal.SIGTERM
        finally:
            process.kill()


def wait_for_child(process: int) -> list[int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if children:
            return [int(child) for child in children]
        time.sleep(0.01)
    return []


def test_the_chat_keeps_its_own_ways(program: Path, roomy_model: Path) -> None:
    """A signal ends the chat, and its server with it."""
    command = [str(program), "-m", str(roomy_model), "--chat", "--port", str(free_port())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            said = b""
            while not said.endswith(b"> "):  # it waits for what the user says
                said += process.stdout.read(1)
                assert process.poll() is None
            time.sleep(1)  # it prints that before it reads
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
