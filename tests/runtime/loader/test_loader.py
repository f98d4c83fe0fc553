"""The loader: its command line, the initial state of a program, and files refused before mapping."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import runtime.builder.loaders
from runtime.builder.loaders import LOADER_SIZE_MAX, loader_bytes
from runtime.image.elf import ElfHeader, Machine, ProgramHeader, SegmentFlag, SegmentType, read_elf
from runtime.image.embedding import LOADER_START
from runtime.platforms import platform_named
from tests.builders.ape import LINUX, compiled, foreign_ape, linked, loader, probe_output
from tests.builders.elf import AARCH64, exit_program, with_field, with_segment
from tests.conftest import tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USAGE = "usage: ape PROG"


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    return loader(tmp_path)


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PROBE": "handed on"}
    settings: dict[str, Any] = {"env": environment, **options}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, **settings)


def program(folder: Path, data: bytes, name: str = "program") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# How the same program may come: as the linker left it, and inside of files of two makers.
CONTAINERS: dict[str, Callable[[str], bytes]] = {
    "plain ELF": lambda platform: compiled("probe.cpp", platform).read_bytes(),
    "our APE": lambda _: linked(),
    "foreign APE": lambda platform: foreign_ape(compiled("probe.cpp", platform).read_bytes()),
}


@pytest.mark.needs_compiler
@pytest.mark.parametrize("make", [CONTAINERS["plain ELF"], CONTAINERS["our APE"]], ids=["plain ELF", "our APE"])
def test_a_program_finds_itself_as_after_execve(ape: Path, tmp_path: Path, make: Callable[[str], bytes]) -> None:
    path = program(tmp_path, make("linux-amd64"))

    result = run(ape, path, "one", "two words", "")

    expected = probe_output([str(path), "one", "two words", ""], str(path), probe="handed on")
    assert (result.stdout, result.stderr, result.returncode) == (expected, "", 7)


@pytest.mark.needs_compiler
def test_program_headers_outside_of_the_program_are_copied(ape: Path, tmp_path: Path) -> None:
    path = program(tmp_path, CONTAINERS["foreign APE"]("linux-amd64"))

    result = run(ape, path)

    expected = probe_output([str(path)], str(path), probe="handed on").replace("AT_PHDR good", "AT_PHDR BAD")
    assert (result.stdout, result.stderr, result.returncode) == (expected, "", 7)


@pytest.mark.needs_compiler
@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("page_size", ["4096", "16384", "65536"])
def test_the_same_on_arm64_with_each_page_size(tmp_path: Path, make: Callable[[str], bytes], page_size: str) -> None:
    qemu = tool("qemu-aarch64-static")
    path = program(tmp_path, make("linux-arm64"))

    result = run(qemu, "-p", page_size, loader(tmp_path, "linux-arm64"), path, "one")

    expected = probe_output([str(path), "one"], str(path), probe="handed on")
    assert result.stdout.replace("AT_PHDR BAD", "AT_PHDR good") == expected
    assert (result.stderr, result.returncode) == ("", 7)


@pytest.mark.needs_compiler
@pytest.mark.parametrize("platform", LINUX)
def test_registers_are_as_the_kernel_leaves_them(tmp_path: Path, platform: str) -> None:
    emulator = [tool("qemu-aarch64-static")] if platform == "linux-arm64" else []
    path = compiled("registers.c", platform, "-nostdlib", "-ffreestanding")

    for extra in range(3):  # the stack moves by one word or not at all
        assert run(*emulator, loader(tmp_path, platform), path, *["argument"] * extra).returncode == 0
        assert run(*emulator, loader(tmp_path, platform), "-", path, "name", *["x"] * extra).returncode == 0


class TestCommandLine:
    def test_a_name_without_slash_is_searched_in_path(self, ape: Path, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        found = program(tmp_path / "bin", exit_program(status=5), "some-tool")
        found.chmod(0o755)
        program(tmp_path, exit_program(status=6), "some-tool")

        result = run(ape, "some-tool", cwd=tmp_path, env={"PATH": f"/nowhere:{tmp_path}/bin"})

        assert result.returncode == 5

    def test_an_empty_entry_of_path_is_the_current_directory(self, ape: Path, tmp_path: Path) -> None:
        program(tmp_path, exit_program(status=6), "some-tool").chmod(0o755)

        assert run(ape, "some-tool", cwd=tmp_path, env={"PATH": "/nowhere:"}).returncode == 6

    def test_what_is_not_in_path_is_named(self, ape: Path) -> None:
        result = run(ape, "no-such-tool", env={})

        assert (result.returncode, result.stderr) == (127, "ape: no-such-tool: there is no such program in PATH\n")

    @pytest.mark.needs_compiler
    def test_after_a_dash_the_path_is_literal_and_argv0_given(self, ape: Path, tmp_path: Path) -> None:
        path = program(tmp_path, compiled("probe.cpp", "linux-amd64").read_bytes())

        result = run(ape, "-", path.name, "a name", "argument", cwd=tmp_path)

        assert result.stdout == probe_output(["a name", "argument"], "program", probe="handed on")

    @pytest.mark.needs_compiler
    def test_after_a_dash_argv0_may_be_missing(self, ape: Path, tmp_path: Path) -> None:
        path = program(tmp_path, compiled("probe.cpp", "linux-amd64").read_bytes())

        assert run(ape, "-", path).stdout.startswith(f"argv {path}\nAT_EXECFN")

    @pytest.mark.parametrize(
        ("arguments", "status", "stream"),
        [
            (["-h"], 0, "stdout"),
            (["--help"], 0, "stdout"),
            ([], 1, "stderr"),
            (["-"], 1, "stderr"),
            (["-x"], 1, "stderr"),
        ],
        ids=["-h", "--help", "nothing", "dash alone", "unknown option"],
    )
    def test_usage(self, ape: Path, arguments: list[str], status: int, stream: str) -> None:
        result = run(ape, *arguments)

        assert result.returncode == status
        assert getattr(result, stream).startswith(USAGE)


# What is wrong, how it is made from a sound program, words of the message.
MALFORMED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "neither an APE nor an ELF"),
    "text": (lambda _: b"#!/bin/sh\n", "neither an APE nor an ELF"),
    "cut off in the header": (lambda image: image[:63], "cut off"),
    "32-bit": (lambda image: with_field(image, "ei_class", 1), "another kind of machine"),
    "big-endian": (lambda image: with_field(image, "ei_data", 2), "another kind of machine"),
    "another machine": (lambda image: with_field(image, "e_machine", AARCH64), "another kind of machine"),
    "position-independent": (lambda image: with_field(image, "e_type", 3), "ET_EXEC"),
    "program header size": (lambda image: with_field(image, "e_phentsize", 32), "e_phentsize"),
    "no program headers": (lambda image: with_field(image, "e_phnum", 0), "e_phnum"),
    "too many program headers": (lambda image: with_field(image, "e_phnum", 33), "e_phnum"),
    "PN_XNUM": (lambda image: with_field(image, "e_phnum", 0xFFFF), "e_phnum"),
    "program headers past the end": (lambda image: with_field(image, "e_phoff", len(image) - 8), "outside of the file"),
    "program headers wrap around": (lambda image: with_field(image, "e_phoff", (1 << 64) - 8), "outside of the file"),
    "p_filesz above p_memsz": (lambda image: with_segment(image, 2, p_memsz=1), "p_filesz"),
    "segment past the end": (lambda image: with_segment(image, 4, p_filesz=0x11), "is the file complete"),
    "file range wraps around": (lambda image: with_segment(image, 4, p_offset=(1 << 64) - 0xD000), "outside of the"),
    "memory range wraps around": (lambda image: with_segment(image, 4, p_memsz=(1 << 64) - 1), "address space"),
    "address above everything": (lambda image: with_segment(image, 4, p_vaddr=(1 << 60) + 0x3000), "address space"),
    "address and offset incongruent": (lambda image: with_segment(image, 3, p_vaddr=0x1022008), "page size"),
    "overlap": (lambda image: with_segment(image, 4, p_vaddr=0x1022000, p_offset=0x2000), "share a page"),
    "entry outside": (lambda image: with_field(image, "e_entry", 0x1022000), "e_entry"),
    "entry behind the code": (lambda image: with_field(image, "e_entry", 0x1011100), "e_entry"),
    "nothing loaded": (lambda image: with_segment(image, 2, p_type=0), "e_entry"),
    "writable and executable": (lambda image: with_segment(image, 2, p_flags=7), "writable and executable"),
    "PT_INTERP": (lambda image: with_segment(image, 5, p_type=3), "dynamically linked"),
    "PT_DYNAMIC": (lambda image: with_segment(image, 5, p_type=2), "dynamically linked"),
    "on top of the loader": (lambda image: with_segment(image, 4, p_vaddr=LOADER_START + 0x3000), "already in use"),
}  # fmt: skip  # one row, one line


class TestRefusals:
    @pytest.mark.parametrize(("change", "word"), MALFORMED.values(), ids=MALFORMED)
    def test_a_bad_program_is_refused_in_one_sentence(
        self, ape: Path, tmp_path: Path, change: Callable[[bytes], bytes], word: str
    ) -> None:
        path = program(tmp_path, change(exit_program(status=3)))

        result = run(ape, path)

        assert result.returncode == 127
        assert result.stderr.startswith(f"ape: {path}: ")
        assert result.stderr.count("\n") == 1
        assert word in result.stderr

    def test_a_sound_program_runs(self, ape: Path, tmp_path: Path) -> None:
        assert run(ape, program(tmp_path, exit_program(status=3))).returncode == 3

    def test_every_prefix_is_refused(self, ape: Path, tmp_path: Path) -> None:
        image = exit_program()
        for size in range(0, len(image), 331):
            result = run(ape, program(tmp_path, image[:size]))
            assert (result.returncode, result.stderr[:4]) == (127, "ape:")

    def test_a_file_that_is_not_there(self, ape: Path) -> None:
        result = run(ape, "/no/such/file")

        assert result.stderr == "ape: /no/such/file: cannot be opened: no such file or directory\n"

    def test_a_directory(self, ape: Path, tmp_path: Path) -> None:
        result = run(ape, tmp_path)

        assert result.returncode == 127
        assert result.stderr.startswith(f"ape: {tmp_path}: cannot be read")


class TestPrologue:
    @pytest.mark.parametrize("magic", [b"MZqFpD='", b"jartsr='", b"APEDBG='"])
    def test_each_magic_is_known(self, ape: Path, tmp_path: Path, magic: bytes) -> None:
        assert run(ape, program(tmp_path, foreign_ape(exit_program(status=9), magic=magic))).returncode == 9

    @pytest.mark.parametrize(
        "before",
        [
            b"printf '\\177ELF\\002\\001\\001' >&7\n",
            b"printf '" + b"\\177ELF".ljust(300, b"x") + b"' >&7\n",
            b"printf 'hello %s\\n' world\n",
            b"printf '\n# printf '\n",
            b"\0\0\xff\xfeprintf '\0\0'\n",
            b"# a comment with printf '\\177ELF' in it\n",
        ],
        ids=["short", "not a header", "text", "unclosed", "binary", "comment"],
    )
    def test_other_statements_are_passed_over(self, ape: Path, tmp_path: Path, before: bytes) -> None:
        assert run(ape, program(tmp_path, foreign_ape(exit_program(status=9), before=before))).returncode == 9

    def test_the_first_header_for_this_machine_counts(self, ape: Path, tmp_path: Path) -> None:
        other = foreign_ape(exit_program(AARCH64))
        start = other.index(b"printf '")
        statement = other[start : other.index(b"'", start + 8) + 1] + b"\n"

        assert run(ape, program(tmp_path, foreign_ape(exit_program(status=9), before=statement))).returncode == 9

    @pytest.mark.parametrize(
        ("data", "word"),
        [
            (foreign_ape(exit_program(AARCH64)), "no program for this machine"),
            (foreign_ape(exit_program(), padding=8200), "no program for this machine"),
            (foreign_ape(exit_program(), magic=b"MZqFpD=\n"), "neither an APE"),
            (foreign_ape(exit_program())[:0x500], "no program for this machine"),
            (foreign_ape(exit_program())[:0xB50], "outside of the file"),
            (foreign_ape(exit_program())[:0x12000], "is the file complete"),
        ],
        ids=["another machine", "after 8192 bytes", "no quote", "no statement", "no program headers", "no image"],
    )
    def test_an_ape_without_a_program(self, ape: Path, tmp_path: Path, data: bytes, word: str) -> None:
        cut = data.replace(b"printf '", b"Printf '") if len(data) == 0x500 else data

        result = run(ape, program(tmp_path, cut))

        assert (result.returncode, word in result.stderr) == (127, True)


class TestProgramItself:
    @pytest.mark.parametrize("name", LINUX)
    def test_it_is_small_static_and_out_of_the_way(self, name: str) -> None:
        data = loader_bytes(platform_named(name))
        elf = read_elf(data)

        assert len(data) < LOADER_SIZE_MAX
        assert not elf.has(SegmentType.INTERP)
        assert not elf.has(SegmentType.DYNAMIC)
        for load in elf.loads:
            assert load.vaddr >= LOADER_START
            assert load.memory_end <= LOADER_START + 0x40000
            assert (load.vaddr - load.offset) % 65536 == 0
            assert not (load.flags & SegmentFlag.W and load.flags & SegmentFlag.X)
        pages = [(load.vaddr >> 16, (load.memory_end - 1) >> 16) for load in elf.loads]
        assert all(before[1] < after[0] for before, after in pairwise(pages))

    @pytest.mark.slow
    def test_the_bytes_do_not_depend_on_where_it_is_compiled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sources = tmp_path / "elsewhere" / "with a longer name"
        sources.mkdir(parents=True)
        for path in runtime.builder.loaders._SOURCES.iterdir():
            (sources / path.name).write_bytes(path.read_bytes())
        here = loader_bytes(platform_named("linux-amd64"))
        monkeypatch.setattr(runtime.builder.loaders, "_SOURCES", sources)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
        monkeypatch.chdir(tmp_path)

        assert loader_bytes(platform_named("linux-amd64")) == here
        assert str(tmp_path).encode() not in here

    def test_its_structures_are_those_of_the_codec(self) -> None:
        text = (runtime.builder.loaders._SOURCES / "elf.h").read_text()
        constants = {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)$", text, re.MULTILINE)}

        assert constants["EM_X86_64"] == Machine.X86_64
        assert constants["EM_AARCH64"] == Machine.AARCH64
        assert {name: constants[f"PT_{name}"] for name in ("NULL", "LOAD", "DYNAMIC", "INTERP", "PHDR")} == {
            name: SegmentType[name] for name in ("NULL", "LOAD", "DYNAMIC", "INTERP", "PHDR")
        }
        assert (constants["PF_X"], constants["PF_W"], constants["PF_R"]) == (
            SegmentFlag.X,
            SegmentFlag.W,
            SegmentFlag.R,
        )
        for structure, codec in (("Elf64_Ehdr", ElfHeader), ("Elf64_Phdr", ProgramHeader)):
            assert f"sizeof({structure}) == {codec.SIZE}" in text
