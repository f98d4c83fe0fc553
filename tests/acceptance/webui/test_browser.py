"""Row A7 of the promises: the browser that opens by itself."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.api.servers import free_port, serving
from zipalign import Member, add_files

RECORDER = """#!/bin/sh
echo "$$ $1" >>{record}
grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status >>{record}
{then}
"""


@pytest.fixture(scope="session")
def program(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime for this machine, with a page to look at."""
    path = tmp_path_factory.mktemp("program") / "llamafile"
    shutil.copy(program, path)
    add_files(path, [Member("www/index.html", b"<!doctype html><title>page</title>")])
    return path


@pytest.fixture
def desktop(bare: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a desktop user with programs of their own."""
    (tmp_path / "bin").mkdir()
    return {**bare, "DISPLAY": ":0", "PATH": f"{tmp_path / 'bin'}:{bare['PATH']}"}


def install_browser(tmp_path: Path, then: str = "") -> Path:
    """Put a fake xdg-open on the path; return the file where it writes what it was asked for."""
    record = tmp_path / "record"
    opener = tmp_path / "bin" / "xdg-open"
    opener.write_text(RECORDER.format(record=record, then=then))
    opener.chmod(0o755)
    return record


def wait_for(path: Path, lines: int) -> list[str]:
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline, "no browser was opened"
        time.sleep(0.02)
    return path.read_text().splitlines()


def is_there(pid: int) -> bool:
    """Whether the process exists, as a zombie or alive."""
    return Path(f"/proc/{pid}").exists()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while is_there(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "page"),
    [
        ((), "http://127.0.0.1:{port}/"),
        (("--host", "0.0.0.0"), "http://127.0.0.1:{port}/"),  # noqa: S104  # the example of the README
        (("--api-prefix", "/a"), "http://127.0.0.1:{port}/a/"),
    ],
    ids=["plain", "all interfaces", "prefix"],
)
def test_a7_browser_tab(
    program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path, options: tuple[str, ...], page: str
) -> None:
    record = install_browser(tmp_path)
    port = free_port()
    prefix = options[1] if "--api-prefix" in options else ""
    with serving([program, "-m", tiny_model, *options], tmp_path / "log", desktop, port, prefix) as server:
        opened, *freedom = wait_for(record, 3)
        pid, url = opened.split()
        assert url == page.format(port=port)
        # The browser is no part of the program, so it is not in its sandbox.
        assert [line.split() for line in freedom] == [["NoNewPrivs:", "0"], ["Seccomp:", "0"]]
        wait_until_gone(int(pid))
        assert children(server.process.pid) == []
        assert not any("nobrowser" in line for line in server.said)


def children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def test_a7_nobrowser(program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path) -> None:
    record = install_browser(tmp_path)
    with serving([program, "-m", tiny_model, "--nobrowser"], tmp_path / "log", desktop) as server:
        assert server.chat()[0] == 200
        time.sleep(0.2)
    assert not record.exists()


def test_a7_no_display(program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path) -> None:
    """xdg-open would start a browser for terminals, in the terminal of the server."""
    record = install_browser(tmp_path)
    del desktop["DISPLAY"]
    with serving([program, "-m", tiny_model], tmp_path / "log", desktop) as server:
        assert server.chat()[0] == 200
        time.sleep(0.2)
        assert not any("browser" in line for line in server.said)
    assert not record.exists()


def test_a7_a_browser_that_hangs_is_ended(
    program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path
) -> None:
    record = install_browser(tmp_path, then=f"echo >{tmp_path}/fifo")
    os.mkfifo(tmp_path / "fifo")
    with serving([program, "-m", tiny_model], tmp_path / "log", desktop) as server:
        pid = int(wait_for(record, 3)[0].split()[0])
        assert is_there(pid)
        assert os.getpgid(pid) != os.getpgid(server.process.pid)
        assert server.chat()[0] == 200
        wait_until_gone(pid)
        assert server.chat()[0] == 200
        assert [line for line in server.said if "3 seconds" in line and "--nobrowser" in line]


@pytest.mark.parametrize(
    ("then", "reason"), [("exit 3", "status 3"), ("kill -9 $$", "signal 9"), (None, "No such file")]
)
def test_a7_a_failure_is_only_said(
    program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path, then: str | None, reason: str
) -> None:
    if then is not None:
        install_browser(tmp_path, then=then)
    else:
        desktop["PATH"] = str(tmp_path / "bin")
    with serving([program, "-m", tiny_model], tmp_path / "log", desktop) as server:
        deadline = time.monotonic() + 60
        while not any(reason in line and "--nobrowser" in line for line in server.said):
            assert time.monotonic() < deadline, server.said
            time.sleep(0.05)
        assert server.chat()[0] == 200


def test_a7_a_server_that_ends_early_leaves_no_process(
    program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path
) -> None:
    """What opens the browser is started before there is anything to show."""
    record = install_browser(tmp_path)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[:4096])
    command = [str(program), "-m", str(broken), "--port", str(free_port())]
    pid = os.posix_spawn(program, command, desktop)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    deadline = time.monotonic() + 60
    while (left := processes_with(str(broken))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []
    assert not record.exists()


def processes_with(argument: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and argument.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended
    return found


def test_a7_control_c_is_not_for_the_browser(
    program: Path, tiny_model: Path, desktop: dict[str, str], tmp_path: Path
) -> None:
    record = install_browser(tmp_path, then=f"cat {tmp_path}/fifo >>{tmp_path}/record")
    os.mkfifo(tmp_path / "fifo")
    with serving([program, "-m", tiny_model], tmp_path / "log", desktop) as server:
        wait_for(record, 3)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(timeout=10) == 0
        (tmp_path / "fifo").write_text("still here\n")
        assert "still here" in wait_for(record, 4)
