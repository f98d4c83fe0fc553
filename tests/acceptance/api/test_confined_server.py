"""Rows K2 and K3: what requests cannot make a server in its sandbox do, and what it goes on doing there."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.servers import ARE_CONFINED, ARE_FREE, confinement, serving
from tests.builders.gguf import TinyProjector

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture(scope="session")
def projector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a model needs to see images."""
    return TinyProjector().write(tmp_path_factory.mktemp("projector") / "mmproj.gguf")


def image(url: str) -> list[dict[str, object]]:
    return [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize("options", [(), ("--unsecure",)], ids=["confined", "unsecure"])
def test_k3_an_image_elsewhere_is_not_fetched(
    program: Path, tiny_model: Path, projector: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Without the sandbox it is: the request does get as far as that."""
    command = [program, "-m", tiny_model, "--mmproj", projector, "--nobrowser", *options]
    with socket.create_server(("127.0.0.1", 0)) as other, serving(command, tmp_path / "log") as server:
        url = f"http://127.0.0.1:{other.getsockname()[1]}/x.png"
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(server.chat, image(url))
            if options:
                other.accept()[0].close()
                assert answer.result()[0] >= 400
            else:
                assert answer.result()[0] >= 400
                other.settimeout(0)
                with pytest.raises(BlockingIOError):
                    other.accept()
        assert server.chat()[0] == 200


def test_k2_a_file_is_no_image(program: Path, tiny_model: Path, projector: Path, tmp_path: Path) -> None:
    """Not even one in the folder that stays readable, if it leads out of it."""
    media = tmp_path / "media"
    media.mkdir()
    (media / "link.png").symlink_to("/etc/passwd")
    (media / "text.png").write_text("not an image")
    for options in ((), ("--media-path", media)):
        command = [program, "-m", tiny_model, "--mmproj", projector, "--nobrowser", *options]
        with serving(command, tmp_path / "log") as server:
            for url in ("file:///etc/passwd", "file://../../etc/passwd", "file://link.png", "file://text.png"):
                status, answer = server.chat(image(url))
                assert status >= 400
                assert "root:" not in answer
                opened = "does not exist or cannot be opened" not in answer and "allowed" not in answer
                assert opened == bool(options and url == "file://text.png"), (url, answer)
            assert server.chat()[0] == 200
            assert confinement(server.threads()) == ARE_CONFINED


def test_k3_control_c_ends_it_during_an_answer(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    async def interrupt(port: int, process: subprocess.Popen[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("/completion", {"prompt": "a", "n_predict": -1, "ignore_eos": True, "stream": True}))
        assert b"200 OK" in await reader.readline()
        process.send_signal(signal.SIGINT)
        await reader.read()
        writer.close()

    with serving([program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        asyncio.run(interrupt(server.port, server.process))
        assert server.process.wait(timeout=20) == 0


def request(path: str, body: object) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def test_two_hundred_connections_at_once(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Each takes a thread, most of them made after the sandbox closed."""

    async def one(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("/completion", {"prompt": "a", "n_predict": 8, "stream": True}))
        answer = await reader.read()
        writer.close()
        return answer

    async def all_at_once(port: int) -> list[bytes]:
        return await asyncio.gather(*(one(port) for _ in range(200)))

    with serving([program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        answers = asyncio.run(all_at_once(server.port))
        assert all(answer.startswith(b"HTTP/1.1 200") and b'"stop":true' in answer for answer in answers)
        assert confinement(server.threads()) == ARE_CONFINED


def test_embeddings_tokens_templates_and_metrics(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    options = ["--embeddings", "--pooling", "mean", "--metrics", "--props"]
    with serving([program, "-m", tiny_model, "--nobrowser", *options], tmp_path / "log") as server:
        assert server.ask("/v1/embeddings", {"input": ["a", "b"], "model": "x"})[0] == 200
        assert server.ask("/tokenize", {"content": "abc"})[0] == 200
        assert server.ask("/metrics")[0] == 200
        template = {"messages": [{"role": "user", "content": "a"}]}
        assert server.ask("/apply-template", template)[0] == 200


def test_path_is_served_and_nothing_beside_it(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("mine")
    (pages / "link.html").symlink_to("/etc/passwd")
    with serving([program, "-m", tiny_model, "--nobrowser", "--path", pages], tmp_path / "log") as server:
        assert server.ask("/index.html") == (200, "mine")
        assert "root:" not in server.ask("/link.html")[1]
        assert confinement(server.threads()) == ARE_CONFINED
        assert server.remarks == [f"the sandbox leaves open: reading in --path '{pages}'"]


def test_slots_are_saved_where_the_user_said(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    slots = tmp_path / "slots"
    slots.mkdir()
    command = [program, "-m", tiny_model, "--nobrowser", "--slot-save-path", slots]
    with serving(command, tmp_path / "log") as server:
        assert server.ask("/completion", {"prompt": "abc", "n_predict": 2, "id_slot": 0})[0] == 200
        status, answer = server.ask("/slots/0?action=save", {"filename": "one"})
        assert status == 200, answer
        assert (slots / "one").stat().st_size > 0
        assert server.ask("/slots/0?action=restore", {"filename": "one"})[0] == 200
        assert confinement(server.threads()) == ARE_CONFINED
        assert server.remarks == [f"the sandbox leaves open: writing in --slot-save-path '{slots}/'"]


def test_a_server_that_slept_reads_its_weights_again(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    command = [program, "-m", tiny_model, "--nobrowser", "--sleep-idle-seconds", "1"]
    with serving(command, tmp_path / "log") as server:
        while not json.loads(server.ask("/props")[1])["is_sleeping"]:
            assert server.process.poll() is None
        assert server.chat()[0] == 200
        assert confinement(server.threads()) == ARE_CONFINED
        assert [line for line in server.remarks if "--sleep-idle-seconds" in line]


def test_a_host_by_name_and_a_socket_in_a_folder(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    hosts = ["--host", f"localhost,{tmp_path / 'here.sock'}"]
    with serving([program, "-m", tiny_model, "--nobrowser", *hosts], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        assert (tmp_path / "here.sock").is_socket()
        assert confinement(server.threads()) == ARE_CONFINED


def test_what_cannot_work_inside_turns_it_off(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    command = [program, "-m", tiny_model, "--nobrowser", "--tools", "get_info"]
    with serving(command, tmp_path / "log") as server:
        assert server.chat()[0] == 200
        assert confinement(server.threads()) == ARE_FREE
        assert server.remarks == ["the sandbox is off: --tools needs other programs or machines"]
