"""Several models in one file: each is served by its name, by a child of the server, however the file is started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apepack.format.binfmt import BINFMT_CONFIGURATION, INTERPRETER
from assimilate.conversion import assimilate
from runtime.platforms import host_platform
from tests.acceptance.api.servers import ARE_CONFINED, Server, confinement, free_port, serving
from tests.builders.ape import loader, private_mounts
from tests.builders.hosts import windows_command
from tests.pipeline.conftest import run
from tests.pipeline.routers import NAMES, children, complete, is_running, states, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@pytest.fixture
def server(several: Path, bare: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    with serving(["/bin/sh", several, "--nobrowser"], tmp_path / "log", bare) as started:
        yield started


def check_all(server: Server) -> None:
    assert states(server) == dict.fromkeys(NAMES, "unloaded")
    for name in NAMES[1:]:
        status, answer = complete(server, name)
        assert (status, answer["model"]) == (200, name)
    assert complete(server)[1]["model"] == NAMES[0]
    assert set(states(server).values()) == {"loaded"}


# Runs a command where the kernel starts llamafiles by a loader.
BINFMT = """
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s\\n' "$1" >/proc/sys/fs/binfmt_misc/register
shift
exec "$@"
"""


def with_binfmt(interpreter: Path) -> list[str]:
    """Return what to write before a command; skip where the system forbids it."""
    line = next(line for line in BINFMT_CONFIGURATION.splitlines() if line.startswith(":APE:"))
    before = [*private_mounts(), "sh", "-euc", BINFMT, "sh", line.replace(INTERPRETER, str(interpreter))]
    if subprocess.run([*before, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs a binfmt_misc of its own for each namespace (Linux 6.7)")
    return before


@pytest.mark.parametrize("way", ["shell", "loader", "binfmt_misc", "assimilated"])
def test_each_way_of_starting(way: str, several: Path, bare: dict[str, str], tmp_path: Path) -> None:
    command: Sequence[object] = ["/bin/sh", several]
    if way == "loader":
        command = [loader(tmp_path), several]
    elif way == "binfmt_misc":
        command = [*with_binfmt(loader(tmp_path)), several]
    elif way == "assimilated":
        plain = tmp_path / "plain"
        plain.write_bytes(several.read_bytes())
        plain.chmod(0o755)
        assimilate(plain, host_platform())
        command = [plain]
    with serving([*command, "--nobrowser"], tmp_path / "log", bare) as server:
        check_all(server)


def test_under_wine(several: Path, windows: Path, tmp_path: Path) -> None:
    assert windows.exists()
    program = tmp_path / "several.exe"
    program.symlink_to(several)
    command, environment = windows_command(program, "--nobrowser")
    with serving(command, tmp_path / "log", environment) as server:
        check_all(server)


def test_answers_about_models(server: Server) -> None:
    status, answer = complete(server, "none")
    assert status == 404
    assert answer["error"]["message"] == f"there is no model 'none' at this server; its models are {', '.join(NAMES)}"
    assert server.ask("/metrics?model=chat")[0] == 400  # which loads nothing
    assert states(server)["chat"] == "unloaded"
    status, text = server.ask("/props?model=draft")
    assert (status, states(server)["draft"]) == (200, "loaded"), text
    assert server.ask("/metrics?model=draft")[0] == server.ask("/slots?model=draft")[0] == 200
    assert json.loads(server.ask("/props")[1])["role"] == "router"
    assert "args" not in json.loads(server.ask("/v1/models")[1])["data"][0]["status"]  # with paths of this machine
    status, text = server.ask("/models", {"model": "org/name"})
    assert status == 501
    assert "has no HTTPS" in text
    assert server.ask("/v1/completions", {"model": "draft", "prompt": "x", "max_tokens": "many"})[0] == 400


def test_streams_pass(server: Server) -> None:
    status, text = server.ask(
        "/v1/chat/completions",
        {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "stream": True},
    )
    assert (status, text.endswith("data: [DONE]\n\n")) == (200, True)


def test_children_are_confined_and_answer_their_router_only(server: Server) -> None:
    assert complete(server, "chat")[0] == 200
    assert confinement(server.threads()) == ARE_CONFINED
    child = children(server)["chat"]
    words = (Path("/proc") / str(child) / "cmdline").read_bytes().decode().split("\0")
    assert "--models-preset" not in words
    port = int(words[words.index("--port") + 1])
    stranger = Server(server.process, port, server.log)
    assert stranger.ask("/v1/completions", {"prompt": "hi"})[0] == 401
    statuses = [task / "status" for task in (Path("/proc") / str(child) / "task").iterdir()]
    lines = [dict(line.split(":\t", 1) for line in path.read_text().splitlines()) for path in statuses]
    assert confinement(lines) == ARE_CONFINED
    assert any(line.startswith("the sandbox leaves open: starting this program") for line in server.said)


def test_a_child_that_is_killed_is_started_again(server: Server) -> None:
    assert complete(server, "chat")[0] == 200
    child = children(server)["chat"]
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: states(server)["chat"] == "unloaded")
    assert complete(server, "chat")[0] == 200
    assert children(server)["chat"] != child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_their_router(number: int, server: Server) -> None:
    assert complete(server, "chat")[0] == complete(server, "draft")[0] == 200
    processes = children(server).values()
    assert len(processes) == 2
    server.process.send_signal(number)
    wait_for(lambda: not any(map(is_running, processes)))


@pytest.mark.parametrize(
    ("options", "state"),
    [(("--models-max", "2"), "unloaded"), (("--models-memory", "2"), "unloaded"), (("--models-max", "0"), "loaded")],
)
def test_the_model_unused_for_longest_is_unloaded(
    options: Sequence[str], state: str, several: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    with serving(["/bin/sh", several, "--nobrowser", *options], tmp_path / "log", bare) as server:
        for name in (*NAMES, NAMES[2]):
            assert complete(server, name)[0] == 200
        assert states(server) == {NAMES[0]: state, NAMES[1]: "loaded", NAMES[2]: "loaded"}
        assert complete(server, NAMES[0])[0] == 200


def test_an_idle_model_sleeps(several: Path, bare: dict[str, str], tmp_path: Path) -> None:
    command = ["/bin/sh", several, "--nobrowser", "--sleep-idle-seconds", "1"]
    with serving(command, tmp_path / "log", bare) as server:
        assert complete(server, "chat")[0] == 200
        wait_for(lambda: states(server)["chat"] == "sleeping")
        assert complete(server, "chat")[0] == 200


def test_keys_and_pages_are_the_routers_affair(several: Path, bare: dict[str, str], tmp_path: Path) -> None:
    command = ["/bin/sh", several, "--nobrowser", "--api-key", "secret", "--allow-origin", "https://app.example"]
    with serving(command, tmp_path / "log", bare) as server:
        assert complete(server, "chat")[0] == 401
        answer = subprocess.run(
            ["curl", "-si", f"http://127.0.0.1:{server.port}/v1/completions", "-H", "Authorization: Bearer secret",
             "-H", "Origin: https://app.example", "-d", '{"model": "chat", "prompt": "hi", "max_tokens": 1}'],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip  # an option and its value each
        assert answer.startswith("HTTP/1.1 200")
        assert answer.count("Access-Control-Allow-Origin: https://app.example") == answer.count("Vary: Origin") == 1


def test_models_of_a_folder(runtime: Path, models: list[Path], bare: dict[str, str], tmp_path: Path) -> None:
    command = ["/bin/sh", runtime, "--nobrowser", "--models-dir", models[0].parent]
    with serving(command, tmp_path / "log", bare) as server:
        check_all(server)


def test_models_of_a_list(runtime: Path, models: list[Path], bare: dict[str, str], tmp_path: Path) -> None:
    listed = tmp_path / "list.ini"
    listed.write_text(f"[*]\nctx-size = 256\n\n[b] # last\nmodel = {models[1]}\n[a]\nmodel = {models[0]}\nalias = x\n")
    with serving(["/bin/sh", runtime, "--nobrowser", "--models-preset", listed], tmp_path / "log", bare) as server:
        assert complete(server)[1]["model"] == "b"  # the first of the list
        assert complete(server, "x")[1]["model"] == "a"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[a]\nmodel = none.gguf\n", "'list.ini', [a]: there is no file 'none.gguf'"),
        ("[a]\nmodel = chat.gguf\nfoo = 1\n", "'list.ini', line 3: the server has no option 'foo'"),
        ("[a]\nmodel = chat.gguf\nport = x\n", "'list.ini', line 3: '--port' is a whole number"),
        ("[a]\nmodel = chat.gguf\n[a]\n", "'list.ini', line 3: there are two models 'a'"),
        ("[a]\nctx-size = 8\n", "'list.ini', [a]: no option names its weights"),
        ("ctx-size = 8\n", "'list.ini', line 1: 'ctx-size' belongs to no model"),
        ("[a]\nhf-repo = a/b\n", "'list.ini', line 2: 'hf-repo' downloads by HTTPS, which this program has not"),
        ("hello\n", "'list.ini', line 1 is 'hello'"),
        ("# nothing\n", "'list.ini', it has no section"),
    ],
)
def test_bad_lists(
    text: str, sentence: str, runtime: Path, models: list[Path], bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "chat.gguf").symlink_to(models[0])
    (tmp_path / "list.ini").write_text(text)
    result = run(runtime, "--nobrowser", "--models-preset", "list.ini", env=bare, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"llamafile: {sentence}"), result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-hf", "a/b"), "'-hf' downloads by HTTPS, which this program has not: fetch the file with 'hf download a/b"),
        (("-mu", "https://x.example/a.gguf"), "'-mu' downloads by HTTPS"),
        (("-dr", "a/b"), "'-dr' downloads by HTTPS"),
        (("-m", "chat.gguf", "--ssl-key-file", "k"), "'--ssl-key-file' needs TLS, which this program has not"),
        (("--models-dir", "none"), "there is no folder 'none' with models"),
    ],
)
def test_what_this_program_has_not(
    options: Sequence[str], words: str, runtime: Path, models: list[Path], bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "chat.gguf").symlink_to(models[0])
    result = run(runtime, "--nobrowser", *options, env=bare, cwd=tmp_path)
    assert (result.returncode, words in result.stderr) == (1, True), result.stderr


def test_a_packed_file_serves_its_own_list_only(several: Path, bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "list.ini").write_text("[a]\nmodel = /zip/chat.gguf\n")
    result = run(several, "--nobrowser", "--models-preset", "list.ini", env=bare, cwd=tmp_path)
    assert "'--models-preset' names a model elsewhere" in result.stderr


@pytest.mark.parametrize("options", [(), ("-m", "draft"), ("-m", "draft.gguf")])
def test_one_model_in_other_modes(options: Sequence[str], several: Path, bare: Mapping[str, str]) -> None:
    arguments = ("--cli", "-p", "hi", "-n", "1", "--temp", "0")
    result = run(several, *arguments, *options, env=bare)
    name = options[1].removesuffix(".gguf") if options else NAMES[0]
    named = run(several, *arguments, "-m", f"/zip/{name}.gguf", env=bare)
    assert (result.returncode, result.stdout) == (0, named.stdout)


def test_one_model_alone(several: Path, bare: dict[str, str], tmp_path: Path) -> None:
    with serving(["/bin/sh", several, "--nobrowser", "-m", "embed"], tmp_path / "log", bare, free_port()) as server:
        assert complete(server)[0] == 200
        assert "role" not in json.loads(server.ask("/props")[1])
        assert children(server) == {}
