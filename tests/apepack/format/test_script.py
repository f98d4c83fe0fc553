"""The script in every shell: the right program, its arguments, its exit status; and what it says where it cannot."""

from __future__ import annotations

import os
import random
import re
import subprocess
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest

from apepack.format.prologue import HEAD_SIZE, Magic, parse_prologue, render_prologue
from apepack.format.script import MappedProgram, UnpackedProgram, cache_name, render_script
from apepack.format.unpacked import UnpackedImage
from runtime.image.elf import Machine
from tests.builders.ape import SHELLS, in_private_mounts, linked, probe_output
from tests.builders.home import new_name
from tests.builders.programs import UNPACKED
from tests.conftest import tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs_compiler

MAGICS = [Magic.MZ, Magic.NO_WINDOWS]
ARGUMENTS = ["one", "two  words", "", "*", "$HOME", "it's", '"', "\\n", "new\nline", "-n", "--", "ä"]
NOT_UTF8 = "\udcff"
USER = new_name()
PE_HEADERS_SIZE = 544  # with seven sections, as zig links them


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("home", "temporary", "here"):
        (tmp_path / name).mkdir()
    return tmp_path


def with_uname(data: bytes) -> bytes:
    """The APE with its script made to ask uname, as on any system but a recent Linux."""
    return data.replace(b"/proc/sys/kernel/arch", b"/none/sys/kernel/arch")


def ape(home: Path, magic: Magic = Magic.MZ, name: str = "here/probe", data: bytes | None = None) -> Path:
    path = home / name
    path.write_bytes(linked(magic) if data is None else data)
    path.chmod(0o755)
    return path


def run(home: Path, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": f"{home}/home", "TMPDIR": f"{home}/temporary", "LOGNAME": USER}
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
        cwd=options.pop("cwd", home),
        env=environment | options.pop("env", {}),
    )


def fake_uname(home: Path, answer: str) -> str:
    """A PATH on which uname gives this answer; for programs with_uname()."""
    (home / "fake").mkdir(exist_ok=True)
    (home / "fake" / "uname").write_text(f"#!/bin/sh\necho {quote(answer)}\n")
    (home / "fake" / "uname").chmod(0o755)
    return f"{home}/fake:{os.environ['PATH']}"


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
class TestEveryShell:
    def test_given_the_file(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        path = ape(home, magic)
        # yash knows characters only, and which are valid depends on the locale.
        arguments = ARGUMENTS[:-1] if shell == ("yash",) else [*ARGUMENTS, NOT_UTF8]
        for _ in ("extracting the loader", "finding it"):
            result = run(home, tool(shell[0]), *shell[1:], path, *arguments)

            assert result.stdout == probe_output([str(path), *arguments], str(path))
            assert (result.stderr, result.returncode) == ("", 7)

    def test_given_a_name_in_the_current_directory(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        ape(home, magic)

        result = run(home, tool(shell[0]), *shell[1:], "probe", "x", cwd=home / "here")

        assert result.stdout == probe_output(["./probe", "x"], "./probe")

    def test_typed(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        ape(home, magic)

        result = run(home, tool(shell[0]), *shell[1:], "-c", "here/probe one 'two words'; exit $?")

        if (shell, magic) == (("mksh",), Magic.MZ):
            assert "magic 4D5A" in result.stderr  # it refuses every MZ file, whatever follows
            return
        assert result.stdout == probe_output(["here/probe", "one", "two words"], "here/probe")
        assert (result.stderr, result.returncode) == ("", 7)

    def test_assimilate(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        path = ape(home, magic)

        result = run(home, tool(shell[0]), *shell[1:], path, "--assimilate")

        assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
        statement = parse_prologue(linked(magic)).program(Machine.X86_64)
        assert path.read_bytes() == statement.raw + linked(magic)[HEAD_SIZE:]
        assert run(home, path, "x").stdout == probe_output([str(path), "x"], str(path))

    def test_assimilate_on_arm64(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        data = with_uname(linked(magic))
        path = ape(home, magic, data=data)

        result = run(
            home, tool(shell[0]), *shell[1:], path, "--assimilate", env={"PATH": fake_uname(home, "Linux aarch64")}
        )

        assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)
        statement = parse_prologue(data).program(Machine.AARCH64)
        assert path.read_bytes() == statement.raw + data[HEAD_SIZE:]
        qemu = tool("qemu-aarch64-static")
        assert run(home, qemu, path, "x").stdout == probe_output(
            [str(path), "x"], str(path), name="qemu-aarch64-static"
        )

    def test_with_uname(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        path = ape(home, magic, data=with_uname(linked(magic)))

        assert run(home, tool(shell[0]), *shell[1:], path).stdout == probe_output([str(path)], str(path))

    def test_elsewhere(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        path = ape(home, magic, data=with_uname(linked(magic)))
        for system in ("Darwin arm64", "Linux riscv64", ""):
            result = run(home, tool(shell[0]), *shell[1:], path, env={"PATH": fake_uname(home, system)})

            sentence = f"{path}: this program is for Linux x86_64 and Linux aarch64, not for {system}\n"
            assert (result.stdout, result.stderr, result.returncode) == ("", sentence, 127)
        assert not list((home / "temporary").iterdir())

    def test_no_shell_reads_on_into_the_images(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        noise = random.Random(5).randbytes(1 << 20)
        path = ape(home, magic, data=linked(magic) + noise + b"\necho read on\n" * 10000)

        result = run(home, tool(shell[0]), *shell[1:], path)

        assert (result.stderr, result.returncode) == ("", 7)
        assert "read on" not in result.stdout

    def test_the_script_alone_has_no_syntax_error(self, home: Path, shell: tuple[str, ...], magic: Magic) -> None:
        data = linked(magic)
        (home / "script").write_bytes(data[: data.index(b"\0")])

        result = run(home, tool(shell[0]), *shell[1:], "-n", "script")

        # ksh remarks on `1<>`, which it then reads as the other shells do.
        assert (re.sub(r"ksh: .*warning.*\n|script: warning.*\n", "", result.stderr), result.returncode) == ("", 0)


@pytest.mark.parametrize("launcher", [["env"], ["nice"], ["timeout", "60"], ["xargs"], ["sh"]], ids=" ".join)
def test_other_launchers(home: Path, launcher: list[str]) -> None:
    path = ape(home)

    result = run(home, *launcher, path)

    assert result.stdout == probe_output([str(path)], str(path))


@pytest.mark.parametrize("answer", ["Linux x86_64", "Linux amd64"])
def test_both_names_of_x86_64(home: Path, answer: str) -> None:
    path = ape(home, data=with_uname(linked()))

    assert run(home, "sh", path, env={"PATH": fake_uname(home, answer)}).returncode == 7


class TestNames:
    @pytest.mark.parametrize("name", ["a b", "it's", 'say "hi"', "$(touch x)", "new\nline", "-n", "ä", "*"])
    def test_any_file_name_works(self, home: Path, name: str) -> None:
        path = ape(home, name=f"here/{name}")
        for command in ([path], ["sh", path], ["sh", f"./{name}"]):
            result = run(home, "env", *command, "x", cwd=home / "here")

            assert (result.stdout.splitlines()[-1], result.stderr, result.returncode) == ("atexit ran", "", 7)

    def test_a_name_is_searched_in_path_when_it_is_not_here(self, home: Path) -> None:
        path = ape(home)

        result = run(home, "bash", "probe", env={"PATH": f"{home}/here:{os.environ['PATH']}"})

        assert result.stdout == probe_output([str(path)], str(path))

    def test_through_a_symbolic_link_the_links_name_is_kept(self, home: Path) -> None:
        ape(home)
        (home / "llamafile-server").symlink_to("here/probe")

        result = run(home, "sh", "./llamafile-server")

        assert result.stdout == probe_output(["./llamafile-server"], "./llamafile-server")

    def test_assimilate_counts_as_the_first_argument_only(self, home: Path) -> None:
        path = ape(home)

        result = run(home, "sh", path, "x", "--assimilate")

        assert (result.returncode, path.read_bytes()) == (7, linked())


def test_assimilate_on_a_file_that_cannot_be_written(home: Path) -> None:
    path = ape(home)

    result = in_private_mounts(
        'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; exec sh "$1/probe" --assimilate', path.parent
    )

    assert result.returncode not in {0, 7}
    assert result.stderr.count("\n") == 1
    assert path.read_bytes() == linked()


@pytest.mark.parametrize("missing", ["cksum", "dd"])
def test_what_it_needs_is_named(home: Path, missing: str) -> None:
    path = ape(home)
    tools = home / "tools"
    tools.mkdir()
    for name in {"cksum", "dd", "env", "find", "id", "mkdir", "mktemp", "mv", "chmod", "rm", "rmdir"} - {missing}:
        (tools / name).symlink_to(tool(name))

    result = run(home, tool("dash"), path, env={"PATH": str(tools)})

    sentence = f"{path}: needs the command {missing} to start\n"
    assert (result.stdout, result.stderr, result.returncode) == ("", sentence, 126)


def test_it_has_room_for_the_programs_of_all_platforms() -> None:
    """With the largest numbers: programs of hundreds of megabytes, up to the 4 GiB of Windows."""
    header = parse_prologue(linked()).program(Machine.X86_64).header
    mapped = [
        MappedProgram((f"Linux {machine}", f"Linux {other}"), replace(header, phoff=0xFFFF0040), bytes(8192), 0x4000)
        for machine, other in (("x86_64", "amd64"), ("aarch64", "arm64"))
    ]
    unpacked = [
        UnpackedProgram(
            (f"{platform.system} {platform.processor}",),
            UnpackedImage(platform.name, 0xFFFF0000, 0xFFFF000, 0xFFFFFFFF, 0x1FFFFFFF),
            cache_name(b""),
        )
        for platform in UNPACKED
    ]

    script = render_script(mapped, unpacked, ["Windows"], 0x8000)

    assert render_prologue(Magic.MZ, script, bytes(PE_HEADERS_SIZE))
