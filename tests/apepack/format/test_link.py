"""Linking: the whole file, and what cannot be linked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from apepack.errors import InputError, OutputError
from apepack.format.first_member import FirstMember
from apepack.format.link import link, plan_link
from apepack.format.prologue import PROLOGUE_SIZE, Magic, parse_prologue
from apepack.format.unpacked import decompress_image
from runtime.image.elf import Machine, read_elf
from runtime.image.stream import compress_image
from runtime.platforms import platform_named
from tests.builders.ape import LINUX, compiled
from tests.builders.elf import AARCH64, X86_64, exit_program, with_segment
from tests.builders.programs import UNPACKED, everywhere
from zipalign import Member
from zipalign.reader import read_archive
from zipalign.update import add_files


def loader_of(_: object) -> bytes:
    return b"loader" * 100


def dynamic_program() -> bytes:
    image, path = exit_program(), b"/lib64/ld-linux-x86-64.so.2\0"
    return with_segment(image, 5, p_type=3, p_offset=len(image), p_filesz=len(path), p_memsz=len(path)) + path


@pytest.fixture
def programs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "amd64", tmp_path / "arm64"]
    for path, machine in zip(paths, (X86_64, AARCH64), strict=True):
        path.write_bytes(exit_program(machine) + b"symbols and such")
    return paths


def test_everything_is_where_the_plan_says(programs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    linked = link(programs, output, loader_for=loader_of)
    data = output.read_bytes()

    assert linked == plan_link(programs, loader_for=loader_of)
    assert linked.size == len(data) == linked.images[-1].span.end + (-linked.images[-1].span.end) % 64
    assert [image.platform.name for image in linked.images] == list(LINUX)
    for image, program in zip(linked.images, programs, strict=True):
        assert image.path == program
        assert data[image.loader.offset : image.loader.end] == (b"loader" * 100).ljust(640, b"\0")
        assert image.header is not None
        table_end = read_elf(program.read_bytes()).phdrs_end
        assert data[image.span.offset + table_end : image.span.end] == program.read_bytes()[table_end:0x3010]
        assert parse_prologue(data).program(Machine(image.header.machine)).header == image.header
        # Whatever reads the header finds a sound program in the whole file.
        assert read_elf(image.header.pack() + data[64:]).header.entry == 0x1011000


def test_either_machine_may_be_missing(programs: list[Path], tmp_path: Path) -> None:
    for program, machine in zip(programs, ("x86_64", "aarch64"), strict=True):
        link([program], tmp_path / "out", loader_for=loader_of)

        data = (tmp_path / "out").read_bytes()
        assert parse_prologue(data).machines == (machine,)
        assert f"is for Linux {machine}, not for".encode() in data[:PROLOGUE_SIZE]


def test_the_same_inputs_give_the_same_bytes(programs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link(programs, tmp_path / "one", loader_for=loader_of)
    link(programs, tmp_path / "elsewhere" / "two", loader_for=loader_of)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "elsewhere" / "two").read_bytes()


def test_an_archive_can_follow(programs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    linked = link(programs, output, loader_for=loader_of)
    before = output.read_bytes()

    add_files(output, [Member("weights", b"w" * 100000)])

    assert output.read_bytes()[: linked.size] == before
    assert [entry.name for entry in read_archive(output).entries] == ["weights"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_that_of_a_new_executable(programs: list[Path], tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        link(programs, tmp_path / "out", loader_for=loader_of)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~umask


@pytest.mark.needs_compiler
def test_overheads_fit_before_the_first_image() -> None:
    linked = plan_link([compiled("probe.cpp", name) for name in LINUX], magic=Magic.MZ)

    assert linked.images[0].span.offset == 0x10000


class TestRefusals:
    def test_two_programs_for_one_platform(self, programs: list[Path], tmp_path: Path) -> None:
        twin = tmp_path / "twin"
        twin.write_bytes(exit_program(X86_64))

        with pytest.raises(InputError, match="a second program for linux-amd64") as caught:
            link([*programs, twin], tmp_path / "out", loader_for=loader_of)

        assert caught.value.path == twin
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("data", "word"),
        [
            (b"", "not a native program"),
            (b"GGUF" + bytes(100), "not a native program"),
            (exit_program()[:100], "e_phoff"),
            (with_segment(exit_program(), 5, p_type=3), "PT_INTERP"),
            (dynamic_program(), "dynamically linked"),
            (with_segment(exit_program(), 2, p_flags=7), "writable and executable"),
        ],
        ids=["empty", "model", "cut off", "interpreter", "dynamic", "W+X"],
    )
    def test_what_cannot_be_linked(self, programs: list[Path], tmp_path: Path, data: bytes, word: str) -> None:
        bad = tmp_path / "bad"
        bad.write_bytes(data)
        (tmp_path / "out").write_bytes(b"old")

        with pytest.raises(InputError, match=word) as caught:
            link([programs[1], bad], tmp_path / "out", loader_for=loader_of)

        assert caught.value.path == bad
        assert (tmp_path / "out").read_bytes() == b"old"

    def test_a_program_whose_addresses_are_too_low_for_its_offset(self, programs: list[Path], tmp_path: Path) -> None:
        programs[0].write_bytes(with_segment(exit_program(), 4, p_offset=0x3000, p_filesz=1 << 24, p_memsz=1 << 24))
        with programs[0].open("r+b") as file:
            file.truncate(0x3000 + (1 << 24))

        with pytest.raises(InputError, match=r"arm64: .* offset 0x1020000 of the file") as caught:
            link(programs, tmp_path / "out", loader_for=loader_of)
        assert caught.value.path == programs[1]
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", ["/dev/zero", "/"])
    def test_what_is_not_a_file(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match="not a regular file"):
            link([Path(name)], tmp_path / "out", loader_for=loader_of)

    def test_the_output_is_no_input(self, programs: list[Path]) -> None:
        before = programs[0].read_bytes()

        with pytest.raises(OutputError, match="would replace"):
            link(programs, programs[0], loader_for=loader_of)

        assert programs[0].read_bytes() == before

    def test_a_failure_leaves_nothing(
        self, programs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> bytes:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("apepack.format.link.embed_elf", fail)
        before = sorted(tmp_path.iterdir())

        with pytest.raises(OSError, match="No space"):
            link(programs, tmp_path / "out", loader_for=loader_of)

        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.needs_compiler
class TestUnpacked:
    @pytest.mark.parametrize("name", [platform.name for platform in UNPACKED])
    def test_what_the_script_unpacks_is_the_program(self, name: str, programs: list[Path], tmp_path: Path) -> None:
        program = everywhere(platform_named(name))
        linked = link([program, *programs], tmp_path / "out", loader_for=loader_of)
        data = (tmp_path / "out").read_bytes()

        (image,) = parse_prologue(data).unpacked
        assert image == linked.images[-1].unpacked
        assert (image.platform, image.offset) == (name, linked.images[-1].span.offset)
        assert decompress_image(data[image.offset : image.stored_end], image) == program.read_bytes()

    def test_a_program_may_be_compressed_before(self, programs: list[Path], tmp_path: Path) -> None:
        program, stream = everywhere(platform_named("macos-arm64")), tmp_path / "macos-arm64"
        stream.write_bytes(compress_image(program.read_bytes()))
        for name, given in (("one", program), ("two", stream)):
            link([given, *programs], tmp_path / name, loader_for=loader_of)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()

        stream.write_bytes(stream.read_bytes()[:-1])
        with pytest.raises(InputError, match="it is cut off") as caught:
            link([stream], tmp_path / "out", loader_for=loader_of)
        assert caught.value.path == stream

    def test_everything_behind_begins_behind_the_largest_program(self, programs: list[Path], tmp_path: Path) -> None:
        program = everywhere(platform_named("netbsd-amd64"))
        larger = tmp_path / "larger"
        larger.write_bytes(program.read_bytes() + bytes(1 << 20))
        first_member = FirstMember.of("NOTICES", b"texts")

        linked = link([programs[0], larger], tmp_path / "out", first_member=first_member, loader_for=loader_of)
        add_files(tmp_path / "out", [Member("weights", b"w" * 100000)])

        assert linked.images[-1].span.end < larger.stat().st_size
        entries = {entry.name: entry for entry in read_archive(tmp_path / "out").entries}
        assert entries["NOTICES"].header_offset < linked.images[0].span.offset
        assert entries["weights"].header_offset >= larger.stat().st_size

    def test_a_mac_of_either_kind_runs_the_program_for_the_other(self, programs: list[Path], tmp_path: Path) -> None:
        intel, apple = (everywhere(platform_named(f"macos-{machine}")) for machine in ("amd64", "arm64"))

        link([intel, programs[0]], tmp_path / "out", loader_for=loader_of)
        alone = (tmp_path / "out").read_bytes()[:PROLOGUE_SIZE]
        link([intel, apple, programs[0]], tmp_path / "out", loader_for=loader_of)
        both = (tmp_path / "out").read_bytes()[:PROLOGUE_SIZE]

        assert b'"Darwin x86_64"|"Darwin arm64") h=' in alone
        assert b"proc_translated" not in alone
        assert b'"Darwin x86_64") h=' in both
        assert b'"Darwin arm64") h=' in both
        assert b"proc_translated" in both

    def test_other_tools_find_no_raw_program(self, programs: list[Path], tmp_path: Path) -> None:
        everywheres = [everywhere(platform) for platform in UNPACKED]
        link([*everywheres, *programs], tmp_path / "out", loader_for=loader_of)

        assert b"bs=" not in (tmp_path / "out").read_bytes()[:PROLOGUE_SIZE].split(b"skip=")[0]
