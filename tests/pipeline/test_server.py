"""The server mode: the engine's API, started, asked and stopped."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import openai
import pytest

from tests.pipeline.conftest import run
from zipalign import read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(program: Path, environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[str]]:
    """Run PROGRAM as a server until it answers, and end it after the block at the latest."""
    command = ["/bin/sh", str(program), "--server", "--port", str(port)]
    with subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE) as server:
        try:
            wait_until_healthy(server, port)
            yield server
        finally:
            server.kill()


def wait_until_healthy(server: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:  # our own address
                if answer.status == 200:
                    return
        except OSError:
            assert server.poll() is None, server.stderr.read() if server.stderr else ""
            time.sleep(0.05)
    pytest.fail("the server did not become healthy within a minute")


def test_the_openai_client_gets_an_answer(smollm2: Path, bare: dict[str, str]) -> None:
    port = free_port()
    with serving(smollm2, bare, port):
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-no-key-required")
        completion = client.chat.completions.create(
            model="LLaMA_CPP",
            messages=[{"role": "user", "content": "Name the capital of France."}],
            max_tokens=24,
            temperature=0,
        )
        client.close()
    assert "Paris" in (completion.choices[0].message.content or "")
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_control_c_ends_it_and_frees_the_port(smollm2: Path, bare: dict[str, str]) -> None:
    port = free_port()
    with serving(smollm2, bare, port) as server:
        # The engine says that it is healthy before it can be interrupted, and this line after.
        assert any("listening on" in line for line in server.stderr or ())
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=2) == 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_the_weights_are_mapped_where_they_lie(smollm2: Path, bare: dict[str, str]) -> None:
    """The member, and of the rest of the file only the program itself: nothing is copied, nothing else is read."""
    entry = read_archive(smollm2).entry("SmolLM2-135M-Instruct.Q4_1.gguf")
    assert entry is not None
    port = free_port()
    with serving(smollm2, bare, port) as server:
        text = Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")
        shared = re.findall(rf"^(\w+)-(\w+) r--s (\w+) .* {re.escape(str(smollm2))}$", text, re.MULTILINE)
        ranges = [(int(offset, 16), int(offset, 16) + int(end, 16) - int(start, 16)) for start, end, offset in shared]
    assert len(ranges) == 1
    start, end = ranges[0]
    page = 4096
    assert entry.data_offset <= start < end <= -(-entry.data_end // page) * page
    # The engine lets go of the header with the vocabulary; the tensors are all there.
    assert end - start > 0.95 * entry.size


def test_a_port_in_use_is_one_sentence(smollm2: Path, bare: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = run(smollm2, "--server", "--port", str(port), env=bare)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"llamafile: cannot listen on 127.0.0.1:{port}: the port is in use; choose another one with --port"
    )
