"""Rows K1 to K5 of the promises: what a llamafile cannot do, attacked from inside and traced from outside."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runtime.builder.program import Program, shim_sources
from runtime.platforms import host_platform
from tests.acceptance.api.servers import ARE_CONFINED, ARE_FREE, confinement, serving
from tests.builders.compiled import compiled_program
from tests.builders.hosts import under_wine
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Sequence

SHIM: Final = Path(__file__).parents[3] / "runtime" / "shim"
ATTACK: Final = Path(__file__).with_name("programs") / "attack.cpp"

# Of the calls that the attack tries: what only administrators may, and what machines may forbid to all users.
PRIVILEGED: Final = {"bpf", "chroot", "clone:namespace", "io_uring_setup", "mount", "perf_event_open", "setns"}
PRIVILEGED_TOO: Final = {"ptrace", "process_vm_readv", "socket:packet", "userfaultfd"}

# What an answering server does not do any more, but one that loads does.
AFTER_START: Final = {"faccessat", "newfstatat", "open", "openat", "openat:kept", "openat:passwd", "readlinkat", "stat"}
NETWORK_AFTER_START: Final = {
    "bind", "listen", "seccomp", "setsockopt:reuse", "socket", "socket:netlink", "socket:unix",
}  # fmt: skip
ALLOWED: Final = {"getrandom", "mmap", "read", "recvfrom", "sendto", "setsockopt:nodelay", "thread"}


@pytest.fixture(scope="session")
def attack() -> Path:
    """The program that tries everything, linked with the sandbox alone."""
    confinement = {"allowed_calls", "landlock", "no_confinement", "pledge", "seccomp"}
    parts = shim_sources(Program(host_platform()))
    sources = [ATTACK, *(path for path in parts if path.stem.rsplit("_", 1)[0] in confinement)]
    headers = sorted((SHIM / "sandbox").glob("*.h"))
    return compiled_program(host_platform(), sources, ["-std=c++20", f"-I{SHIM}"], headers)


def results(attack: Path, mode: str, folder: Path) -> dict[str, dict[str, str]]:
    """What came of each call in each thread: 0, or the name of the error."""
    for name in ("readable", "writable", "kept"):
        (folder / name).write_text(name)
    output = subprocess.run([attack, mode, folder], capture_output=True, text=True, check=True, timeout=60).stdout
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for thread, call, error in (line.split() for line in output.splitlines()):
        found[thread][call] = errno.errorcode.get(int(error), error)
    return found


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


def test_k4_loading_reads_only_named_files(attack: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("missing", "words", "states"), OLD_KERNELS, ids=[calls for calls, *_ in OLD_KERNELS])
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
