"""Rows A1 to A12 (A2: test_systems.py) and C12 of the promises: one file that runs."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from apepack.format.prologue import Magic
from apepack.packing.pack import link_runtime
from tests.acceptance.api.servers import serving
from tests.builders.gguf import TinyProjector
from tests.builders.hosts import under_wine
from tests.builders.network import SECOND_ADDRESS, in_private_network
from tests.conftest import tool
from tests.pipeline.conftest import run
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = "The capital of France is"
ANSWER = "The capital of France is Paris."


def test_a1_it_answers_where_there_is_nothing_else(smollm2: Path, bare: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copy(smollm2, folder)
    command = ["/usr/bin/env", "-i", f"PATH={bare['PATH']}", f"HOME={bare['HOME']}", f"./{smollm2.name}"]
    command += ["-p", PROMPT, "-n", "8", "--temp", "0"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(ANSWER)
    assert [path.name for path in folder.iterdir()] == [smollm2.name]


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "busybox", "mksh", "posh"])
def test_a4_every_shell_starts_it(smollm2: Path, bare: dict[str, str], shell: str) -> None:
    command = [tool(shell)] + ["sh"] * (shell == "busybox")
    command += ["-c", f'"$0" -p "{PROMPT}" -n 2 --temp 0', str(smollm2)]
    if shell == "mksh":  # refuses to start a file that begins with MZ, but not to read it
        command = [tool(shell), str(smollm2), "-p", PROMPT, "-n", "2", "--temp", "0"]
    result = subprocess.run(command, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr


@pytest.mark.parametrize("shell", ["ksh", "mksh", "yash"])
def test_a4_shells_that_refuse_windows_start_one_without(
    program: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str], shell: str
) -> None:
    link_runtime([program], tmp_path / "x.llamafile", magic=Magic.NO_WINDOWS)
    add_files(tmp_path / "x.llamafile", [Member("tiny.gguf", tiny_model)])
    command = [tool(shell), "-c", '"$0" -p hello -n 2 --temp 0', str(tmp_path / "x.llamafile")]
    result = subprocess.run(command, env=bare, capture_output=True, check=False, timeout=60)
    assert result.stdout.startswith(b"hello"), result.stderr


def test_a4_sh_c_starts_it(smollm2: Path, bare: dict[str, str]) -> None:
    line = f"./{smollm2.name} -p '{PROMPT}' -n 2 --temp 0"
    result = subprocess.run(
        ["/bin/sh", "-c", line], cwd=smollm2.parent, env=bare, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr


def test_a5_it_answers_on_windows(smollm2: Path, tmp_path: Path) -> None:
    """The same file, by the name that Windows wants; its arguments and its .args are text of any script."""
    program = tmp_path / "smollm2.exe"
    program.hardlink_to(smollm2)
    result = under_wine(program, "-p", PROMPT, "-n", "8", "--temp", "0")
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr

    result = under_wine(program, "-p", "Grüße, 世界", "-n", "1", "--temp", "0")
    assert result.stdout.startswith("Grüße, 世界"), result.stderr


def test_a1_nothing_is_written_but_the_loader(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    log = tmp_path / "strace"
    command = [tool("strace"), "-f", "-qq", "-e", "trace=file", "-o", log, "/bin/sh", llamafile, "-p", "a", "-n", "1"]
    subprocess.run([str(part) for part in command], env=bare, check=True, capture_output=True, timeout=120)
    opened = re.findall(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)", [^)]*O_(?:WRONLY|RDWR)', log.read_text())
    written = [path for path in opened if not path.startswith("/dev/")]
    assert all(path.startswith(bare["HOME"]) for path in written), written


@pytest.mark.parametrize("mode", ["command line", "server"])
def test_a3_everything_happens_here(program: Path, tiny_model: Path, tmp_path: Path, mode: str) -> None:
    """No connection to anywhere: what strace sees of connect(2), in a machine without a network."""
    traced = f'{tool("strace")} -f -qq -e trace=connect -o "$3" "$1" -m "$2"'
    script = f"{traced} -p hello -n 4"
    if mode == "server":
        script = f"""{traced} --nobrowser 2>"$3.log" &
        until curl -sf http://127.0.0.1:8080/health; do sleep 0.1; done
        curl -sf http://127.0.0.1:8080/completion -d '{{"prompt": "hello", "n_predict": 4}}'"""
    result = in_private_network(script, program, tiny_model, tmp_path / "strace")
    assert result.returncode == 0, result.stderr
    assert "connect(" not in (tmp_path / "strace").read_text()


def test_a4_programs_start_it_through_a_shell(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    """Python's subprocess with shell=True, and without one what the README says instead."""
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    line = f"'{llamafile}' -p hello -n 1"
    by_shell = subprocess.run(line, shell=True, env=bare, capture_output=True, check=False, timeout=60)  # noqa: S602
    assert by_shell.stdout.startswith(b"hello"), by_shell.stderr
    assert run(llamafile, "-p", "hello", "-n", "1", env=bare).stdout.startswith("hello")


def test_a6_without_arguments_it_serves(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    script = """
    /bin/sh "$1" 2>"$2" &
    until curl -sf http://127.0.0.1:8080/health; do kill -0 $! || { cat "$2" >&2; exit 1; }; sleep 0.1; done
    """
    result = in_private_network(script, llamafile, tmp_path / "log", environment=bare)
    assert (result.returncode, result.stdout) == (0, '{"status":"ok"}'), result.stderr


def test_a8_there_is_no_https(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The README of 0.2 said https where it meant http: that fails without further effect."""
    with serving([program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        with pytest.raises(URLError):
            urlopen(f"https://127.0.0.1:{server.port}/", timeout=10)
        assert server.chat()[0] == 200


def test_a9_control_c_ends_it_and_frees_the_port(smollm2: Path, bare: dict[str, str], tmp_path: Path) -> None:
    with serving(["/bin/sh", smollm2, "--nobrowser"], tmp_path / "log", bare) as server:
        assert any("listening on" in line for line in server.said)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=20) == 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", server.port))


def test_a10_gpu_layers_without_a_gpu(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    with serving([program, "-m", tiny_model, "--nobrowser", "-ngl", "9999"], tmp_path / "log") as server:
        assert server.chat()[0] == 200


@pytest.mark.parametrize(("defaults", "serves"), [(b"", True), (b"--cli\n-n\n1\n", False)], ids=["server", "cli"])
def test_a12_two_flavours(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path, defaults: bytes, *, serves: bool
) -> None:
    """What a llamafile does by itself is in its .args: serve, or work like a command, which then needs a prompt."""
    add_files(llamafile, [Member("tiny.gguf", tiny_model), Member(".args", b"-m\ntiny.gguf\n" + defaults)])
    if serves:
        with serving(["/bin/sh", llamafile, "--nobrowser"], tmp_path / "log", bare) as server:
            assert server.chat()[0] == 200
    else:
        result = run(llamafile, "-p", "hello", env=bare)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("hello")


@pytest.mark.parametrize("name", ["llamafile", "llamafile-server"])
def test_c12_a_server_for_others_opens_a_page_here(
    runtime: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path, name: str
) -> None:
    """It listens on all addresses, names those that can be opened, and opens the one of this machine."""
    projector = TinyProjector().write(tmp_path / "projector.gguf")
    (tmp_path / name).symlink_to(runtime)
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$1" >"{tmp_path}/opened"\n')
    opener.chmod(0o755)
    desktop = {**bare, "DISPLAY": ":0", "PATH": f"{tmp_path}:{bare['PATH']}"}
    script = f"""
    sh "$1" -m "$2" --mmproj "$3" --host 0.0.0.0 2>"$4" &
    until curl -sf http://{SECOND_ADDRESS}:8080/health && [ -s "$5" ]; do kill -0 $! || exit 1; sleep 0.1; done >&2
    cat "$5"
    """
    files = (tmp_path / name, tiny_model, projector, tmp_path / "log", tmp_path / "opened")
    result = in_private_network(script, *files, environment=desktop)
    assert result.stdout == "http://127.0.0.1:8080/\n", result.stderr
    urls = re.findall(r"llamafile: listening on (\S+)", (tmp_path / "log").read_text())
    assert urls == ["http://127.0.0.1:8080", f"http://{SECOND_ADDRESS}:8080"]
