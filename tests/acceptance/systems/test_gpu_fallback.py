"""Rows G1 to G7 of the promises, which hold without a GPU: asked for one, it says so, and the CPU computes.

Early llamafiles compiled their GPU code on the machine that ran them, with any compiler there. Ours compiles
nothing anywhere; what could have been found lies first in PATH here, and writes down that it was called.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.acceptance.api.servers import serving
from tests.acceptance.docs.readme import problem, section
from tests.acceptance.packaging.packing import added, packed, words
from tests.builders.hosts import under_wine
from tests.conftest import tool
from tests.pipeline.conftest import run
from zipalign import read_archive

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS: Final = (
    "nvcc", "nvidia-smi", "hipcc", "hipInfo", "rocminfo", "amdclang++", "clang++", "clang", "cc", "gcc", "g++", "ld",
    "xcode-select", "xcrun", "vulkaninfo",
)  # fmt: skip  # a list
NO_DEVICE: Final = "/dev has no device of one"
NO_GPU: Final = f"there is no GPU that this program can use: {NO_DEVICE}; the CPU computes everything"
# What the script of an APE runs when it unpacks its loader, and the loader.
STARTERS: Final = {
    "cat", "chmod", "cksum", "dd", "env", "find", "id", "mkdir", "mktemp", "mv", "rm", "rmdir", "sh", "uname",
}  # fmt: skip  # a list


@pytest.fixture
def tiny(llamafile: Path, tiny_model: Path) -> Path:
    return packed(llamafile, tiny_model)


@pytest.fixture
def equipped(bare: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a user with compilers for every GPU, none of which works."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"{tmp_path}/called"\nexit 1\n')
        (folder / name).chmod(0o755)
    sdk = {"CUDA_PATH": str(tmp_path), "HIP_PATH": str(tmp_path)}
    return {**bare, **sdk, "PATH": f"{folder}:{bare['PATH']}"}


def called(tmp_path: Path) -> list[str]:
    record = tmp_path / "called"
    return record.read_text().splitlines() if record.exists() else []


def remark(option: str) -> str:
    return f"llamafile: '{option}' has no effect: {NO_GPU}\n"


@pytest.mark.parametrize("brand", ["apple", "nvidia", "amd", "intel"])
def test_g1_each_brand_is_known_and_none_is_there(
    tiny: Path, equipped: dict[str, str], tmp_path: Path, brand: str
) -> None:
    sentence = words(run(tiny, "--gpu", brand, "-ngl", "999", "-p", "hello", env=equipped))
    assert sentence.startswith(f"llamafile: --gpu {brand} was asked for, but there is no such GPU")
    assert called(tmp_path) == []
    assert sentence.endswith(f": {NO_DEVICE}")
    assert f"--gpu {brand}" in problem("GPUs")


@pytest.mark.parametrize("options", [("-ngl", "0"), ("--gpu", "disable"), ("--gpu", "DISABLED")])
def test_g2_the_cpu_by_choice_is_not_worth_a_word(
    tiny: Path, equipped: dict[str, str], tmp_path: Path, options: tuple[str, str]
) -> None:
    """And nothing is kept for a GPU: the home has the loader's directory, and no .llamafile."""
    assert added(tiny, equipped, *options, "-n", "4") == added(tiny, equipped, "-n", "4")
    kept = [path.name for path in Path(equipped["HOME"]).rglob("*") if path.is_dir()]
    assert all(name == ".cache" or name.startswith(".ape-") for name in kept), kept
    assert called(tmp_path) == []


@pytest.mark.parametrize(
    "options",
    [("-ngl", "999"), ("--n-gpu-layers", "35"), ("--gpu-layers", "all"), ("-ts", "3,1"), ("-sm", "row"), ("-mg", "1")],
    ids=" ".join,
)
def test_g3_layers_and_how_to_split_them_are_accepted(
    tiny: Path, equipped: dict[str, str], options: tuple[str, str]
) -> None:
    plain = run(tiny, "-p", "hello", "-n", "4", env=equipped)
    result = run(tiny, "-p", "hello", "-n", "4", *options, env=equipped)
    assert (result.returncode, result.stdout, result.stderr) == (0, plain.stdout, remark(options[0]))


@pytest.mark.parametrize("options", [("-ngl", "999"), ("--gpu", "auto", "-ngl", "999"), ("-ngl", "999", "--recompile")])
def test_g4_compilers_that_are_there_are_not_run(
    tiny: Path, equipped: dict[str, str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    result = run(tiny, "-p", "hello", "-n", "4", *options, env=equipped)
    assert result.returncode == 0
    assert remark("-ngl") in result.stderr
    assert called(tmp_path) == []
    assert "A llamafile compiles nothing, and looks for no SDK or compiler." in problem("GPUs")


def test_g5_so_it_is_on_windows(tiny: Path) -> None:
    program = tiny.rename(tiny.with_suffix(".exe"))
    command: list[str | Path] = [program, "--unsecure", "-p", "hello", "-n", "4", "--grammar", 'root ::= "a"+']
    plain, result = under_wine(*command), under_wine(*command, "-ngl", "999")
    assert (plain.returncode, plain.stdout.startswith("helloa")) == (0, True), plain.stderr
    assert (result.returncode, result.stdout) == (0, plain.stdout)
    said = result.stderr.replace("\r", "")
    assert re.match(r"llamafile: '-ngl' has no effect: there is no GPU that this program can use: .*; the CPU", said)
    libraries = [entry.name for entry in read_archive(program).entries if entry.name.endswith(".dll")]
    assert libraries == []


def test_g6_where_no_gpu_can_be_had_the_server_serves(tiny: Path, equipped: Mapping[str, str], tmp_path: Path) -> None:
    """By compilers that fail, in particular."""
    with serving(["/bin/sh", tiny, "--nobrowser", "-ngl", "999"], tmp_path / "log", equipped) as server:
        assert server.ask("/completion", {"prompt": "hello", "n_predict": 2})[0] == 200
        assert [line for line in server.said if "GPU" in line] == [remark("-ngl").strip().removeprefix("llamafile: ")]
    assert called(tmp_path) == []


def test_g7_nothing_is_compiled_on_the_user_s_machine(tiny: Path, equipped: dict[str, str], tmp_path: Path) -> None:
    """No source in the archive; and of all that is executed, only what starts an APE."""
    names = [entry.name for entry in read_archive(tiny).entries]
    assert [name for name in names if re.search(r"\.(c|cpp|cu|cuh|h|hip|m|metal|so|dylib|dll|spv)$", name)] == []
    log = tmp_path / "strace"
    command = [
        tool("strace"),
        "-f",
        "-qq",
        "-e",
        "trace=execve",
        "-o",
        log,
        "sh",
        tiny,
        "-p",
        "a",
        "-n",
        "1",
        "-ngl",
        "9",
    ]
    subprocess.run([str(part) for part in command], env=equipped, check=True, capture_output=True, timeout=120)
    executed = re.findall(r'execve\("([^"]+)".* = 0$', log.read_text(), re.MULTILINE)
    assert executed
    home = Path(equipped["HOME"])
    foreign = [path for path in executed if Path(path).name not in STARTERS and home not in Path(path).parents]
    assert foreign == []
    assert "Nothing is compiled on the machine that runs a llamafile" in section("SECURITY.md", "Starting")
