"""Rows K1 to K5 of the promises: what a llamafile cannot do, attacked from inside, and what it goes on doing."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import signal
import socket
import subprocess
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runtime.build import build
from runtime.cache import cached, digest_of
from runtime.compilation import run_tool
from runtime.platforms import host_platform
from runtime.toolchain import compiler_flags, find_toolchain
from tests.builders.gguf import TinyProjector
from tests.builders.hosts import under_wine
from tests.conftest import tool
from tests.promises.servers import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

SHIM: Final = Path(__file__).parents[2] / "runtime" / "shim"
ATTACK: Final = Path(__file__).with_name("programs") / "attack.cpp"

# Of the calls that the attack tries: what only administrators may, and what machines may forbid to everybody.
PRIVILEGED: Final = {"bpf", "chroot", "clone:namespace", "io_uring_setup", "mount", "perf_event_open", "setns"}
PRIVILEGED_TOO: Final = {"ptrace", "process_vm_readv", "socket:packet", "userfaultfd"}

# What an answering server does not do any more, but one that loads does.
AFTER_START: Final = {"faccessat", "newfstatat", "open", "openat", "openat:kept", "openat:passwd", "readlinkat", "stat"}
NETWORK_AFTER_START: Final = {
    "bind", "listen", "seccomp", "setsockopt:reuse", "socket", "socket:netlink", "socket:unix",
}  # fmt: skip
ALLOWED: Final = {"getrandom", "mmap", "read", "recvfrom", "sendto", "setsockopt:nodelay", "thread"}

ARE_CONFINED: Final = {("2", "1")}
ARE_FREE: Final = {("0", "0")}


@pytest.fixture(scope="session")
def program() -> Path:
    """The runtime for this machine, not yet in an APE."""
    return build(host_platform()).path


@pytest.fixture(scope="session")
def attack() -> Path:
    """The program that tries everything, linked with the sandbox alone."""
    tools = find_toolchain()
    sources = [ATTACK, *sorted(SHIM.glob("sandbox_*.cpp"))]
    options = [*compiler_flags(host_platform(), []), "-std=c++17", "-O1", "-s", f"-I{SHIM}"]

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            run_tool(
                [str(tools.zig), "c++", *options, "-o", str(folder / "attack"), *map(str, sources)],
                tools.environment(Path(scratch)),
                "compiling attack.cpp",
            )

    headers = sorted(SHIM.glob("sandbox_*.h"))
    return cached("test-program", digest_of([tools.identity, *options, *sources, *headers]), fill) / "attack"


def results(attack: Path, mode: str, folder: Path) -> dict[str, dict[str, str]]:
    """What came of each call in each thread: 0, or the name of the error."""
    for name in ("readable", "writable", "kept"):
        (folder / name).write_text(name)
    output = subprocess.run([attack, mode, folder], capture_output=True, text=True, check=True, timeout=60).stdout
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for thread, call, error in (line.split() for line in output.splitlines()):
        found[thread][call] = errno.errorcode.get(int(error), error)
    return found


def confinement(threads: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(status["Seccomp"], status["NoNewPrivs"]) for status in threads}


# The sandbox alone


def test_the_attack_is_real(attack: Path, tmp_path: Path) -> None:
    """Without a sandbox, none of the calls fails the way it does inside."""
    tries = results(attack, "free", tmp_path)["free"]
    assert len(tries) > 60
    assert {call for call, error in tries.items() if error == "EPERM"} <= PRIVILEGED | PRIVILEGED_TOO


def test_k1_every_thread_is_refused_everything(attack: Path, tmp_path: Path) -> None:
    """Those that ran before the sandbox closed too."""
    tries = set(results(attack, "free", tmp_path)["free"])
    threads = results(attack, "serving", tmp_path)
    assert set(threads) == {"main", "older", "younger"}
    for errors in threads.values():
        assert {call for call, error in errors.items() if error == "0"} == ALLOWED
        assert {call for call, error in errors.items() if error == "EPERM"} == tries - {"clone3"}
        assert errors["clone3"] == "ENOSYS"  # makes a C library use clone


def test_k4_while_loading_only_what_was_named_is_read(attack: Path, tmp_path: Path) -> None:
    tries = set(results(attack, "free", tmp_path)["free"])
    errors = results(attack, "loading", tmp_path)["main"]
    for call in tries - AFTER_START - NETWORK_AFTER_START - {"clone3"}:
        assert errors[call] == "EPERM", call
    assert errors["openat"] == errors["openat:kept"] == "0"
    assert errors["openat:passwd"] == "EACCES"


def test_k5_the_right_to_write_one_file_is_no_right_to_another(attack: Path, tmp_path: Path) -> None:
    errors = results(attack, "caching", tmp_path)["main"]
    assert errors["openat:write"] == "0"
    assert errors["openat:create"] == errors["openat:temporary"] == errors["mkdirat"] == "EACCES"
    assert errors["connect"] == errors["execve"] == errors["truncate"] == "EPERM"


def test_k2_a_folder_that_stays_readable_is_all_that_stays(attack: Path, tmp_path: Path) -> None:
    for errors in results(attack, "reading", tmp_path).values():
        assert errors["openat:kept"] == "0"
        assert errors["openat:passwd"] == "EACCES"
        assert errors["openat:write"] == errors["openat:create"] == errors["socket"] == errors["bind"] == "EPERM"


# The server


def test_k1_every_thread_of_a_server_is_confined_while_it_answers(
    program: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        threads = server.threads()
        assert len(threads) > 3
        assert confinement(threads) == ARE_CONFINED
        assert server.remarks == []


def test_k1_in_an_ape_too(runtime: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path) -> None:
    with serving(["/bin/sh", runtime, "-m", tiny_model, "--nobrowser"], tmp_path / "log", bare) as server:
        assert server.chat()[0] == 200
        assert confinement(server.threads()) == ARE_CONFINED


def test_k1_unsecure_turns_it_off(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser", "--unsecure"], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        assert confinement(server.threads()) == ARE_FREE
        assert server.remarks == []


def test_k1_other_systems_say_it_once(runtime: Path, tiny_model: Path, tmp_path: Path) -> None:
    exe = tmp_path / "x.exe"
    exe.write_bytes(runtime.read_bytes())
    for option, times in (("--cli", 1), ("--unsecure", 0)):
        result = under_wine(exe, option, "-m", f"Z:{tiny_model}", "-p", "hi", "--grammar", 'root ::= "yes"')
        assert result.returncode == 0, result.stderr
        assert result.stderr.count("there is no sandbox: ") == times, result.stderr


OLD_KERNELS: Final = [
    # what the kernel has not, what is said, the state of the threads
    ("landlock_create_ruleset", "has no Landlock", ARE_CONFINED),
    ("seccomp", "not covered", {("2", "1"), ("0", "1")}),
    ("seccomp,prctl", "there is no sandbox", ARE_FREE),
]


@pytest.mark.parametrize(("missing", "words", "states"), OLD_KERNELS, ids=lambda value: str(value)[:23])
def test_k1_older_kernels_confine_less_and_it_is_said(
    program: Path, tiny_model: Path, tmp_path: Path, missing: str, words: str, states: set[tuple[str, str]]
) -> None:
    trace = [tool("strace"), "-D", "-f", "-o", "/dev/null", "-e", f"inject={missing}:error=ENOSYS"]
    with serving([*trace, program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        assert confinement(server.threads()) <= states
        assert [line for line in server.remarks if words in line and "--unsecure" in line]
        assert len(server.remarks) <= 2


CALL: Final = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)")


def calls_after(trace: Path, call: str, times: int) -> list[str]:
    """The lines that strace wrote after a call was made for the nth time."""
    lines = trace.read_text(errors="replace").splitlines()
    places = [index for index, line in enumerate(lines) if f"{call}(" in line]
    assert len(places) == times, places
    return lines[places[-1] + 1 :]


def names_in(lines: Sequence[str]) -> set[str]:
    return {found[1] for found in map(CALL.match, lines) if found}


def traced(trace: Path) -> list[str]:
    return [
        tool("strace"),
        "-D",
        "-f",
        "-o",
        str(trace),
        "-e",
        "trace=%file,%network,%process,seccomp,landlock_restrict_self",
    ]


def test_k2_k3_after_start_no_file_and_no_network_but_accepting(
    program: Path, tiny_model: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with serving([*traced(trace), program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        assert server.ask("/nonexistent")[0] == 404
        assert server.ask("/%2e%2e/%2e%2e/etc/passwd")[0] == 404
        assert server.ask("/v1/models")[0] == 200
        assert server.ask("/slots")[0] == 200
        assert server.chat(stream=True)[0] == 200
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=20) == 0
    lines = calls_after(trace, "seccomp", 2)
    expected = {"accept", "accept4", "recvfrom", "sendto", "shutdown", "setsockopt", "getpeername", "getsockname"}
    assert names_in(lines) <= expected | {"clone", "exit", "exit_group"}
    assert "accept4" in names_in(lines)
    assert not [line for line in lines if "EPERM" in line]  # nothing that it tried was refused either


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


def test_k3_control_c_ends_it_while_somebody_listens(program: Path, tiny_model: Path, tmp_path: Path) -> None:
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


# Options that keep something open


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


# The command line


def complete(*command: object) -> subprocess.CompletedProcess[bytes]:
    result = subprocess.run([*map(str, command)], capture_output=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return result


def test_k4_the_command_line_has_no_network_and_writes_no_file(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    complete(*traced(trace), program, "-m", tiny_model, "-p", "hi", "-n", "3")
    lines = calls_after(trace, "seccomp", 1)
    opened = [line for line in lines if re.search(r" open(at)?\(", line)]
    assert [line for line in opened if tiny_model.name in line]  # it is opened after the sandbox closed
    assert not [line for line in opened if "O_RDONLY" not in line]
    assert names_in(lines) <= {"open", "openat", "stat", "newfstatat", "clone", "exit", "exit_group", "readlink"}


def test_k4_the_model_is_opened_from_an_archive_too(smollm2: Path, bare: dict[str, str]) -> None:
    command = ["/bin/sh", str(smollm2), "-p", "The capital of France is", "-n", "4", "--temp", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=bare)
    assert "Paris" in result.stdout
    assert "sandbox" not in result.stderr


def test_k5_a_prompt_cache_is_made_unless_it_is_read_only(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command = [program, "-m", tiny_model, "-p", "hi", "-n", "3", "--temp", "0", "--prompt-cache", cache]
    complete(*command, "--prompt-cache-ro")
    assert not cache.exists()
    first = complete(*command).stdout
    assert cache.exists()
    before = cache.stat()
    bytes_before = cache.read_bytes()
    assert complete(*command, "--prompt-cache-ro").stdout == first
    assert cache.stat().st_mtime_ns == before.st_mtime_ns
    assert cache.read_bytes() == bytes_before
