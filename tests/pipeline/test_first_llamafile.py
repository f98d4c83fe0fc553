"""From a GGUF to a file that runs: what the README shows, done as its reader would."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from apepack.pack import link_runtime
from apepack.prologue import Magic
from runtime.build import build
from runtime.loaders import loader_bytes
from runtime.platforms import platform_named
from tests.builders.hosts import under_wine
from tests.conftest import tool
from tests.pipeline.conftest import QEMU, run
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = "The capital of France is"
ANSWER = "The capital of France is Paris."


def test_it_answers_where_there_is_nothing_else(smollm2: Path, bare: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copy(smollm2, folder)
    command = ["/usr/bin/env", "-i", f"PATH={bare['PATH']}", f"HOME={bare['HOME']}", f"./{smollm2.name}"]
    command += ["-p", PROMPT, "-n", "8", "--temp", "0"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(ANSWER)
    assert [path.name for path in folder.iterdir()] == [smollm2.name]


def test_the_same_answer_every_time(smollm2: Path, bare: dict[str, str]) -> None:
    results = [run(smollm2, "-p", PROMPT, "-n", "16", "--temp", "0", env=bare).stdout for _ in range(2)]
    assert results[0] == results[1]


@pytest.mark.parametrize("shell", ["ksh", "mksh", "yash"])
def test_shells_that_refuse_windows_start_one_without(
    tiny_model: Path, tmp_path: Path, bare: dict[str, str], shell: str
) -> None:
    link_runtime([build(platform_named("host")).path], tmp_path / "x.llamafile", magic=Magic.NO_WINDOWS)
    add_files(tmp_path / "x.llamafile", [Member("tiny.gguf", tiny_model)])
    command = [tool(shell), "-c", '"$0" -p hello -n 2 --temp 0', str(tmp_path / "x.llamafile")]
    result = subprocess.run(command, env=bare, capture_output=True, check=False, timeout=60)
    assert result.stdout.startswith(b"hello"), result.stderr


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "busybox", "mksh", "posh"])
def test_every_shell_starts_it(smollm2: Path, bare: dict[str, str], shell: str) -> None:
    command = [tool(shell)] + ["sh"] * (shell == "busybox")
    command += ["-c", f'"$0" -p "{PROMPT}" -n 2 --temp 0', str(smollm2)]
    if shell == "mksh":  # refuses to start a file that begins with MZ, but not to read it
        command = [tool(shell), str(smollm2), "-p", PROMPT, "-n", "2", "--temp", "0"]
    result = subprocess.run(command, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr


def test_sh_c_starts_it(smollm2: Path, bare: dict[str, str]) -> None:
    line = f"./{smollm2.name} -p '{PROMPT}' -n 2 --temp 0"
    result = subprocess.run(
        ["/bin/sh", "-c", line], cwd=smollm2.parent, env=bare, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr


def test_it_answers_on_arm64(smollm2: Path, tmp_path: Path) -> None:
    """The same file, by the loader that its script picks on arm64 (tests/apepack shows that it does)."""
    qemu = tool(QEMU)
    loader = tmp_path / "ape"
    loader.write_bytes(loader_bytes(platform_named("linux-arm64")))
    loader.chmod(0o755)
    result = subprocess.run(
        [qemu, str(loader), str(smollm2), "-p", PROMPT, "-n", "3", "--temp", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr


def test_it_answers_on_windows(smollm2: Path, tmp_path: Path) -> None:
    """The same file, by the name that Windows wants; its arguments and its .args are text of any script."""
    program = tmp_path / "smollm2.exe"
    program.hardlink_to(smollm2)
    result = under_wine(program, "-p", PROMPT, "-n", "8", "--temp", "0")
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr

    result = under_wine(program, "-p", "Grüße, 世界", "-n", "1", "--temp", "0")
    assert result.stdout.startswith("Grüße, 世界"), result.stderr


def test_zip_tools_accept_it(smollm2: Path) -> None:
    """7-Zip takes what holds a Windows program for one, unless it is told."""
    for command in ([tool("unzip"), "-tqq"], [tool("7z"), "t", "-tzip"]):
        result = subprocess.run([*command, str(smollm2)], capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(smollm2) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"NOTICES", "SmolLM2-135M-Instruct.Q4_1.gguf", ".args"}


def test_zipalign_makes_one_too(llamafile: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    """`zipalign -j0 x.llamafile other.gguf .args`, as every llamafile was made since the first."""
    (tmp_path / ".args").write_text("-m\ntiny.gguf\n-n\n4\n...\n")
    command = ["zipalign", "-j0", llamafile.name, str(tiny_model), ".args"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    result = run(llamafile, "-p", "hello", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")


def test_an_only_model_needs_no_name(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    result = run(llamafile, "-p", "hello", "-n", "4", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")


def test_a_model_beside_it_works_too(runtime: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    result = run(runtime, "-m", str(tiny_model), "-p", "hello", "-n", "4", "--temp", "0", env=bare)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("defaults", "user", "expected"),
    [
        (["--no-display-prompt", "-n", "0"], ["-p", "a"], "\n"),
        (["-p", "a b", "...", "-n", "0"], [], "a b\n"),
        (["-n", "0", "-p", "mine", "..."], ["-p", "yours"], "yours\n"),
        (["-n", "0", "...", "-p", "mine"], ["-p", "yours"], "mine\n"),
        (["-p", "two\\nlines", "-n", "0"], [], "two\nlines\n"),
    ],
    ids=["appended", "spaces", "placed last", "placed first", "newline"],
)
def test_default_arguments(
    llamafile: Path, tiny_model: Path, bare: dict[str, str], defaults: list[str], user: list[str], expected: str
) -> None:
    lines = "".join(f"{argument}\n" for argument in ["--cli", *defaults])
    add_files(llamafile, [Member("tiny.gguf", tiny_model), Member(".args", lines.encode())])
    result = run(llamafile, *user, env=bare)
    assert result.returncode == 0
    # The newline that ends the text is not doubled after an empty one.
    assert result.stdout == (expected if expected != "\n" else "")


def test_assimilated_it_is_a_plain_program(smollm2: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    native = tmp_path / "native"
    subprocess.run(["assimilate", "-o", str(native), str(smollm2)], check=True, timeout=60)
    assert native.read_bytes()[:4] == b"\x7fELF"
    command = ["./native", "-p", PROMPT, "-n", "2", "--temp", "0"]
    result = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.startswith("The capital of France is Paris"), result.stderr
    assert read_archive(native).entry("SmolLM2-135M-Instruct.Q4_1.gguf") is not None


def test_two_packs_are_the_same_bytes(runtime: Path, tiny_model: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = ["apepack", "-o", str(tmp_path / name), "--runtime", str(runtime), str(tiny_model), "--", "-n", "4"]
        subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    entry = read_archive(tmp_path / "one").entry("tiny.gguf")
    assert entry is not None
    assert entry.data_offset % 65536 == 0


def test_a_member_can_be_meant_in_any_case(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    """`/zip/NAME` is the member; the same name alone is the file that lies here, which is none."""
    add_files(llamafile, [Member("tiny.gguf", tiny_model)])
    (llamafile.parent / "tiny.gguf").write_text("not a model")
    answer = run(llamafile, "-m", "/zip/tiny.gguf", "-p", "hello", "-n", "2", env=bare, cwd=llamafile.parent)
    assert (answer.returncode, answer.stderr) == (0, "")
    refusal = run(llamafile, "-m", "tiny.gguf", "-p", "hello", "-n", "2", env=bare, cwd=llamafile.parent)
    assert "is not a GGUF file" in refusal.stderr


def test_the_last_mode_counts(llamafile: Path, tiny_model: Path, bare: dict[str, str]) -> None:
    add_files(llamafile, [Member("tiny.gguf", tiny_model), Member(".args", b"--server\n")])
    result = run(llamafile, "--cli", "-p", "hello", "-n", "2", env=bare)
    assert (result.returncode, result.stderr) == (0, "")


def test_one_command_from_a_model_to_a_llamafile(
    runtime: Path, tiny_model: Path, tmp_path: Path, bare: dict[str, str]
) -> None:
    """Without --runtime: of what llamafile-build made, all that can be linked."""
    command = ["apepack", "-o", "my.llamafile", str(tiny_model), "--", "-n", "4", "--temp", "0"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    result = run(tmp_path / "my.llamafile", "-p", "hello", env=bare)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello")
    assert {entry.name for entry in read_archive(tmp_path / "my.llamafile").entries} == {
        "NOTICES",
        "tiny.gguf",
        ".args",
    }
