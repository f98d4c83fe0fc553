"""Rows A13, E1 to E7, F5, I5, K6 and K8 of the promises: common problems, and the solutions in the documentation.

Each solution is tried here where this machine permits it; E4, E6 and E8 are tested with their subjects.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import apepack.cli
import assimilate.cli
import runtime.cli
import zipalign.cli
from apepack.commands.group import COMMANDS as SUB_COMMANDS
from apepack.format.prologue import Magic
from runtime.image.code_signature import check_code_signature
from runtime.image.macho import read_macho
from runtime.platforms import platform_named
from tests.acceptance.docs.readme import COMMANDS, PAGES, commands, page, problem, section
from tests.acceptance.packaging.packing import packed
from tests.builders.ape import in_private_mounts
from tests.builders.home import new_name
from tests.builders.hosts import Host, stand_in_output
from tests.builders.programs import everywhere, everywhere_ape
from tests.conftest import tool
from tests.pipeline.conftest import run
from zipalign import read_archive

if TYPE_CHECKING:
    import click

MANUALS: Final = Path(__file__).parents[3] / "man" / "man1"
# What compiles, or fetches what compiles; a Mac runs the last two when a command line tool is missing.
COMPILERS: Final = ("cc", "c++", "gcc", "g++", "clang", "clang++", "ld", "make", "xcrun", "xcode-select")
USER: Final = new_name()
EXECVE: Final = "import os, sys; os.execve(sys.argv[1], sys.argv[1:], dict(os.environ))"


@pytest.fixture
def tiny(llamafile: Path, tiny_model: Path) -> Path:
    return packed(llamafile, tiny_model)


def options_of(name: str, first_word: str = "") -> set[str]:
    """The options that a command has, with their dashes; those of apepack's sub-command if the first word names one."""
    if name in {"llamafile", "./llamafile-rpc-server"}:
        manual = (MANUALS / f"{name.removeprefix('./')}.1").read_text(encoding="utf-8")
        return {f"-{option}" for option in re.findall(r"\bFl (\S+)", manual)}
    group: dict[str, click.Command] = {
        "apepack": apepack.cli.command,
        **{word: import_module(f"apepack.commands.{word}").command for word in SUB_COMMANDS},
        "assimilate": assimilate.cli.command,
        "llamafile-build": runtime.cli.command,
        "zipalign": zipalign.cli.command,
    }
    name = first_word if name == "apepack" and first_word in SUB_COMMANDS else name
    return {option for parameter in group[name].params for option in [*parameter.opts, *parameter.secondary_opts]}


def unbundled(program: str, argument: str) -> list[str]:
    """The options in an argument; zipalign takes several short ones in one."""
    is_bundle = program == "zipalign" and re.fullmatch(r"-\w{2,}", argument)
    return [f"-{letter}" for letter in argument[1:]] if is_bundle else [argument]


@pytest.mark.parametrize("name", PAGES)
def test_a13_commands_in_the_documentation_exist(name: str) -> None:
    for program, *arguments in commands(page(name)):
        assert program in COMMANDS
        if COMMANDS[program] == "this project":
            own = arguments[: arguments.index("--")] if "--" in arguments else arguments
            given = {option for argument in own if argument.startswith("-") for option in unbundled(program, argument)}
            assert given <= options_of(program, *arguments[:1]), f"{program} {arguments}"


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("README.md", "apepack"),
        ("SECURITY.md", "zipalign"),
        ("docs/making-llamafiles.md", "zipalign"),
        ("docs/publishing.md", "llamafile"),
        ("docs/running.md", "assimilate"),
        ("docs/troubleshooting.md", "systemctl"),
    ],
)
def test_a13_commands_in_the_documentation_are_found(name: str, program: str) -> None:
    assert program in [words[0] for words in commands(page(name))]


def test_a13_the_readme_refers_to_common_problems() -> None:
    assert "[Troubleshooting](docs/troubleshooting.md)" in section("README.md", "Pack and run")


def test_a13_options_that_it_names_alone_exist() -> None:
    named = {code.split()[0] for code in re.findall(r"`(-[^`]+)`", page("docs/troubleshooting.md"))}
    assert {"-ngl", "--gpu", "--nobrowser", "--api-key", "-c"} <= named
    assert named <= options_of("llamafile")


@pytest.mark.needs_compiler
def test_e1_a_mac_needs_nothing_installed(tmp_path: Path) -> None:
    """No compiler is run, by the script that is led to the program for Apple silicon; that is signed already."""
    host = Host(tmp_path, platform_named("macos-arm64"))
    program = tmp_path / "everywhere"
    program.write_bytes(everywhere_ape(Magic.MZ))
    for folder in ("temporary", "compilers"):
        (tmp_path / folder).mkdir()
    for name in COMPILERS:
        host.put(tmp_path / "compilers" / name, f'#!/bin/sh\necho {name} >>"{tmp_path}/called"\nexit 1\n')
    path = f"{tmp_path}/compilers:{os.environ['PATH']}"
    result = host.run("sh", program, "one", PATH=path, TMPDIR=f"{tmp_path}/temporary", LOGNAME=USER)
    (kept,) = (tmp_path / "temporary" / f".ape-{USER}").iterdir()
    assert (result.stdout, result.stderr) == (stand_in_output(kept, ["one"], str(program)), "")
    assert not (tmp_path / "called").exists()
    data = everywhere(platform_named("macos-arm64")).read_bytes()
    assert kept.read_bytes() == data
    assert check_code_signature(data, read_macho(data)).is_adhoc
    assert "neither Xcode" in problem("macOS")


@pytest.mark.parametrize("way", ["sh FILE", "sh -c ./FILE", "subprocess with a shell", "execve when assimilated"])
def test_e2_shells_without_the_format_have_other_ways(tiny: Path, bare: dict[str, str], way: str) -> None:
    """Old shells and programs that call execve themselves."""
    options = ["-p", "hello", "-n", "2"]
    line = f"./{tiny.name} {' '.join(options)}"
    command: list[str] = {
        "sh FILE": ["sh", f"./{tiny.name}", *options],
        "sh -c ./FILE": ["sh", "-c", line],
        "subprocess with a shell": [
            sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1], shell=True, check=True)", line,
        ],
        "execve when assimilated": [sys.executable, "-c", EXECVE, f"./{tiny.name}", *options],
    }[way]  # fmt: skip  # a way, then its command
    if "assimilated" in way:
        subprocess.run(["assimilate", tiny], check=True, timeout=60)
    result = subprocess.run(command, cwd=tiny.parent, env=bare, capture_output=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"hello")
    assert {"sh ./my.llamafile", "assimilate -o my my.llamafile"} <= {
        code.strip() for code in problem("Exec format error").splitlines()
    }


def test_e3_registered_it_is_no_program_for_wine(tiny: Path, tmp_path: Path) -> None:
    """With the registration in the documentation, behind one that gives all of MZ to another program."""
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho other\n")
    other.chmod(0o755)
    host = Host(tmp_path, platform_named("linux-amd64"))
    subprocess.run(["apepack", "--loader", "host", "-o", "ape"], cwd=tmp_path, check=True, timeout=60)
    printed = subprocess.run(["apepack", "--print-binfmt"], check=True, capture_output=True, text=True, timeout=60)
    ours = [line for line in printed.stdout.splitlines() if line.startswith(":")]
    assert [line.split(":")[4] for line in ours] == ["MZqFpD", "jartsr"]
    assert tiny.read_bytes()[:6] == b"MZqFpD"
    ours = [line.replace("/usr/bin/ape", str(tmp_path / "ape")) for line in ours]
    foreign = f":other:M::MZ::{other}:"
    command = [sys.executable, "-c", EXECVE, str(tiny), "--version"]
    taken = host.run(*command, registrations=[foreign])
    assert taken.stdout == "other\n"
    result = host.run(*command, registrations=[foreign, *ours])
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("llamafile ")
    by_shell = host.run("sh", *command[3:], registrations=[foreign], TMPDIR=str(tmp_path), LOGNAME=USER)
    assert by_shell.stdout == result.stdout
    said = problem("run-detectors")
    assert "apepack --print-binfmt | sudo tee /etc/binfmt.d/" in said
    assert "apepack --loader host" in said


def test_e5_the_windows_subsystem_for_linux() -> None:
    said = problem("WSL")
    for word in ("sh ./my.llamafile", "/proc/sys/fs/binfmt_misc/WSLInterop", "/etc/wsl.conf", "enabled=false"):
        assert word in said
    assert "[interop]" in said


def test_e7_endpoint_protection() -> None:
    said = problem("Killed immediately")
    assert "CrowdStrike" in said
    assert "sha256sum my.llamafile" in said


# What is mounted before the start, and under which folder the loader is afterwards.
PLACES: Final = {
    "all is well": (":", "temporary"),
    "no programs in TMPDIR": ('mount -t tmpfs -o noexec tmpfs "$TMPDIR"', "home/.cache"),
    "no writing in TMPDIR": ('mount -t tmpfs -o ro tmpfs "$TMPDIR"', "home/.cache"),
    "no TMPDIR": ("unset TMPDIR", "home/.cache"),
    "no HOME": ("unset HOME", "temporary"),
}


@pytest.mark.parametrize("place", PLACES)
def test_f5_a_small_loader_is_kept_for_its_user_alone(tiny: Path, tmp_path: Path, place: str) -> None:
    prepare, base = PLACES[place]
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir(exist_ok=True)
    environment = {"HOME": f"{tmp_path}/home", "TMPDIR": f"{tmp_path}/temporary", "LOGNAME": USER}
    result = in_private_mounts(f'{prepare}; exec sh "$1" --version', tiny, **environment)
    assert result.stdout.startswith("llamafile "), result.stderr
    (loader,) = (tmp_path / base / f".ape-{USER}").iterdir()
    assert stat.S_IMODE(loader.stat().st_mode) == stat.S_IMODE(loader.parent.stat().st_mode) == 0o700
    assert loader.stat().st_size <= 8192
    said = problem("no directory to run a program from")
    assert ".ape-$USER" in said
    assert said.index("$TMPDIR") < said.index("~/.cache") < said.index("/tmp`")  # noqa: S108  # a text about it


def test_f5_where_no_directory_permits_programs_it_runs_from_memory(tiny: Path) -> None:
    tool("perl")  # or python3, but that in PATH may be a script for another Python
    result = in_private_mounts(
        """
        mount --bind "$1" /mnt
        mount -o remount,bind,ro /mnt
        for place in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o noexec,mode=1777 tmpfs $place; done
        exec sh /mnt/"$2" --version""",
        tiny.parent,
        tiny.name,
    )
    assert result.stdout.startswith("llamafile "), result.stderr
    assert "from memory" in problem("no directory to run a program from")


def test_i5_contents_of_a_file_can_be_stated_and_checked(tiny: Path, tmp_path: Path, bare: dict[str, str]) -> None:
    """Which is what makes a note beside a published file worth something."""
    version = run(tiny, "--version", env=bare).stdout.splitlines()[0]
    assert re.fullmatch(r"llamafile \d+\.\d+\.\d+ \(llama\.cpp of llama-cpp-python \d+\.\d+\.\d+, \S+\)", version)
    check = [tool("zipalign"), "--check", str(tiny)]
    assert subprocess.run(check, capture_output=True, check=False, timeout=60).returncode == 0
    entry = read_archive(tiny).entry("tiny.gguf")
    assert entry is not None
    with tiny.open("r+b") as file:
        file.seek(entry.data_end - 1)
        byte = file.read(1)[0]
        file.seek(entry.data_end - 1)
        file.write(bytes([byte ^ 1]))
    damaged = subprocess.run(check, capture_output=True, text=True, check=False, timeout=60)
    assert damaged.returncode == 1
    assert "tiny.gguf" in damaged.stdout + damaged.stderr
    for word in ("Hugging Face", "commit message", "revision", "--version", "zipalign --check"):
        assert word in section("docs/publishing.md", "What is inside, and who made it")


def test_k6_it_confines_itself_and_files_that_are_not_trusted_need_more() -> None:
    said = section("SECURITY.md", "The sandbox")
    assert "a llamafile confines itself" in said
    assert "for files that you do not trust, use a virtual machine" in said


def test_k8_that_a_model_is_named_is_no_recommendation() -> None:
    assert "Naming a model here is not a recommendation" in section("SECURITY.md", "Models")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("Windows does not start a large file", ("4 GiB", "my.exe", "llamafile.exe -m model.gguf")),
        ("the antivirus quarantines the file", ("Get-FileHash", "Run anyway", "--no-windows")),
        ("Raspberry Pi", ("39 bits", "uname -m", "aarch64")),
        ("GPUs", ("-ngl 999", "--gpu nvidia", "--gpu-info")),
        ("No browser opens", ("ssh -L 8080:127.0.0.1:8080", "--nobrowser", "--host 0.0.0.0")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a13_the_other_entries_say_what_to_do(entry: str, words: tuple[str, ...]) -> None:
    said = problem(entry)
    assert [word for word in words if word not in said] == []
