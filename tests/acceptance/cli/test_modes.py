"""A6, A12, C13, H5 and how a llamafile decides what it is: server, command line, or chat."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.acceptance.api.servers import free_port, serving, wait_until_healthy
from tests.acceptance.packaging.packing import added, packed
from tests.pipeline.conftest import run

MANUAL = Path(__file__).parents[3] / "man" / "man1" / "llamafile.1"

# An option that the engine has in this mode only: --help-engine lists those of the mode that would start.
ONLY = {"cli": "--prompt-cache-ro", "server": "--slot-save-path", "chat": "--server-base"}


def mode(program: Path, environment: dict[str, str], *arguments: str) -> str:
    """The mode that ARGUMENTS lead to."""
    result = run(program, *arguments, "--help-engine", env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    found = [name for name, option in ONLY.items() if re.search(rf"{option}\b", result.stdout)]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def tiny(llamafile: Path, tiny_model: Path) -> Path:
    return packed(llamafile, tiny_model)


def test_a6_without_arguments_it_serves(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    with serving(["/bin/sh", packed(llamafile, tiny_model, "--nobrowser")], tmp_path / "log", bare) as server:
        assert server.ask("/health")[0] == 200


def test_a12_a_file_is_a_server_or_a_command_by_its_args(
    llamafile: Path, tiny_model: Path, bare: dict[str, str]
) -> None:
    shutil.copy(llamafile, llamafile.with_name("command"))
    server = packed(llamafile, tiny_model, "-m", "tiny.gguf")
    command = packed(llamafile.with_name("command"), tiny_model, "-m", "tiny.gguf", "--cli")
    assert mode(server, bare) == "server"
    assert mode(command, bare) == "cli"
    assert mode(command, bare, "--server") == "server"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "server"),
        (["--server"], "server"),
        (["--v2"], "server"),
        (["--cli"], "cli"),
        (["--chat"], "chat"),
        (["--server", "--cli"], "cli"),
        (["--cli", "--server"], "server"),
        (["--cli", "--chat"], "chat"),
        (["--chat", "--v2"], "server"),
        (["-p", "x"], "cli"),
        (["--prompt", "x"], "cli"),
        (["-f", "x"], "cli"),
        (["--file", "x"], "cli"),
        (["--random-prompt"], "cli"),
        (["--server", "-p", "x"], "server"),
        (["-p", "x", "--chat"], "chat"),
        (["-p", "--chat"], "cli"),
        (["-r", "--cli"], "server"),
    ],
    ids=" ".join,
)
def test_the_last_mode_counts_and_a_prompt_without_one_means_the_command_line(
    tiny: Path, bare: dict[str, str], arguments: list[str], expected: str
) -> None:
    assert mode(tiny, bare, *arguments) == expected


def test_the_mode_in_args_is_one_on_the_command_line(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    program = packed(llamafile, tiny_model, "--cli", "...", "--server")
    assert mode(program, bare, "--chat") == "server"


def test_c13_llamafile_server_is_a_server(tiny: Path, bare: dict[str, str], tmp_path: Path) -> None:
    """By the name it is started as, whatever the name of the file."""
    link = tmp_path / "llamafile-server"
    link.symlink_to(tiny)
    assert mode(link, bare, "-p", "x") == "server"
    assert mode(link, bare, "-p", "x", "--cli") == "cli"
    link.unlink()
    tiny.rename(link)
    other = tmp_path / "other"
    other.symlink_to(link)
    assert mode(other, bare, "-p", "x") == "cli"


def test_what_follows_an_option_is_its_value(tiny: Path, bare: dict[str, str]) -> None:
    assert added(tiny, bare, "-n", "2", prompt="--version")
    assert added(tiny, bare, "-n", "2", prompt="--help")
    assert added(tiny, bare, "-n", "2", prompt="-m")


def test_a_file_without_a_model_explains_itself(llamafile: Path, bare: dict[str, str]) -> None:
    result = run(llamafile, env=bare)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "no model" in result.stderr.splitlines()[0]
    for hint in ("-m model.gguf", "Download", "zipalign -j0 model.llamafile model.gguf", "--help"):
        assert hint in result.stderr
    assert "http" not in result.stderr


@pytest.mark.parametrize("flag", ["--help", "-h", "-help"])
@pytest.mark.parametrize("before", [[], ["-m", "no such model", "--chat"], ["--no-such-option"]], ids=" ".join)
def test_h5_help_anywhere(llamafile: Path, bare: dict[str, str], flag: str, before: list[str]) -> None:
    result = run(llamafile, *before, flag, env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: llamafile")


def test_h5_help_and_manual_have_the_same_options(llamafile: Path, bare: dict[str, str]) -> None:
    text = run(llamafile, "--help", env=bare).stdout
    listed = re.findall(r"^  ((?:-[\w-]+(?:, )?)+)", text, re.MULTILINE)
    shown = {option for line in listed for option in line.split(", ")} | {"-help", "--usage"}
    manual = MANUAL.read_text(encoding="utf-8")
    items = re.findall(r"^\.It (Fl .*)$", manual, re.MULTILINE)
    documented = {f"-{option}" for item in items for option in re.findall(r"Fl (\S+)", item)}
    assert documented - shown == set()
    assert shown - documented == set()


def test_the_version_is_a_line_and_the_variant_another(llamafile: Path, bare: dict[str, str]) -> None:
    result = run(llamafile, "--version", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"llamafile v?\d.*\ncomputes with the variant for: \w+\n", result.stdout)


def chat(program: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["/bin/sh", program, "--chat", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
    )


def test_a_chat_has_the_server_beside_it(tiny: Path, bare: dict[str, str]) -> None:
    port = free_port()
    with chat(tiny, bare, "--port", str(port), "-n", "4") as process:
        wait_until_healthy(process, port)
        body = json.dumps({"prompt": "hello", "n_predict": 4}).encode()
        with urlopen(Request(f"http://127.0.0.1:{port}/completion", body), timeout=60) as answer:
            assert json.load(answer)["tokens_predicted"] == 4
        output, errors = process.communicate("good morning\n/exit\n", timeout=60)
    assert process.returncode == 0
    assert "good morning" in output
    assert "t/s" in output  # an answer ends with its speed
    assert "cannot" not in errors


def test_a_chat_ends_when_it_is_interrupted(tiny: Path, bare: dict[str, str]) -> None:
    port = free_port()
    with chat(tiny, bare, "--port", str(port)) as process:
        wait_until_healthy(process, port)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)  # the first one may come while there is something else to end
            time.sleep(0.5)
        assert process.poll() in {0, 1, 130}


def test_a_chat_without_its_model_is_one_sentence(llamafile: Path, bare: dict[str, str]) -> None:
    result = run(llamafile, "--chat", "-m", "absent.gguf", env=bare)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "absent.gguf" in result.stderr
