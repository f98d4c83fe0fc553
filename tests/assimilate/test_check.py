"""--check: the programs in a file for each platform, and each kind of damage that our codecs find."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import parse_prologue
from assimilate.check import Form, Program, check
from assimilate.conversion import assimilate
from assimilate.errors import AssimilateError, MissingLiefError, VerificationError
from assimilate.identify import Kind
from assimilate.in_place import backup_path
from assimilate.lief_oracle import load_lief, verify_with_lief
from assimilate.undo_record import UndoRecord
from runtime.image.elf import read_elf
from runtime.platforms import PLATFORMS, ImageFormat, Launch, platform_named
from tests.builders.ape import compiled, foreign_ape, linked, small_ape, small_program
from tests.builders.elf import exit_program, with_field, with_segment
from tests.builders.genuine import genuine_ape
from tests.builders.macho import macho_program, static_macho
from tests.builders.pe import pe_program
from zipalign import Member, add_files, read_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVERY = tuple(platform.name for platform in PLATFORMS)
MACOS = platform_named("macos-arm64")


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    path = tmp_path / "all"
    path.write_bytes(small_ape(*EVERY))
    return path


def program(path: Path, platform: str) -> Program:
    (found,) = (program for program in check(path).programs if program.platform == platform)
    return found


def test_every_platform_is_there_with_its_place(ape: Path) -> None:
    report = check(ape, verified=True)
    data = ape.read_bytes()

    assert (report.ok, report.kind, report.keeps_head, report.members) == (True, Kind.APE, True, 1)
    assert {program.platform for program in report.programs} == set(EVERY)
    for program in report.programs:
        platform = platform_named(program.platform)
        image = small_program(program.platform)
        at = data[program.offset : program.offset + program.size]
        if platform.launch == Launch.MAPPED:
            assert (program.form, program.size) == (Form.MAPPED, read_elf(image).file_end)
            assert at[:4] == b"\x7fELF"
        elif platform.launch == Launch.PE:
            assert program.form == Form.PE
            assert at[:200] == image[0x400:0x600][:200]
        else:
            assert (program.form, program.unpacked_size) == (Form.UNPACKED, len(image))
            assert at[:2] == b"\x1f\x8b"
    signatures = {program.platform: program.signature for program in report.programs}
    assert (signatures["macos-arm64"], signatures["macos-amd64"]) == ("ad-hoc", "none")
    assert signatures["linux-amd64"] is None


@pytest.mark.parametrize("name", [platform.name for platform in PLATFORMS if platform.launch != Launch.PE])
def test_a_native_file(ape: Path, name: str) -> None:
    target = platform_named(name)
    assimilate(ape, target)

    report = check(ape, target, verified=True)

    assert (report.ok, report.kind) == (True, Kind(target.image_format.value))
    (program,) = report.programs
    assert (program.platform, program.form, program.offset) == (target.name, Form.NATIVE, 0)
    assert program.signature == {"macos-arm64": "ad-hoc", "macos-amd64": "none"}.get(target.name)


@pytest.mark.needs_compiler
def test_a_wanted_platform_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "linux"
    path.write_bytes(linked())

    assert check(path).ok
    assert check(path, platform_named("linux-arm64")).ok
    (fault,) = check(path, MACOS).faults
    assert fault == "this APE holds no program for macos-arm64 (it has: linux-amd64, linux-arm64)"


def test_other_makers_programs_serve_more_than_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "genuine"
    path.write_bytes(genuine_ape("2024-02"))

    assert check(path, platform_named("netbsd-amd64")).ok
    assert not check(path, platform_named("linux-arm64")).ok


def damage_unpacked(data: bytearray, platform: str) -> None:
    (image,) = (image for image in parse_prologue(bytes(data)).unpacked if image.platform == platform)
    data[image.stored_end - 20] ^= 1


def changed_after_signing() -> bytes:
    program = bytearray(macho_program(signature=True))
    program[0x500] ^= 1
    return bytes(program)


FAULTS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "mapped, cut off": ("linux-amd64", lambda: linked()[:0x18000], "p_offset"),
    "mapped, no table": ("linux-amd64", lambda: linked()[:0x10020], "is it complete"),
    "unsigned": ("macos-arm64", macho_program, "no code signature"),
    "changed after it was signed": ("macos-arm64", changed_after_signing, "at offset"),
    "Windows, cut off": (
        "windows-amd64",
        lambda: small_ape("linux-amd64", "windows-amd64", notices=b"")[:-0x300],
        "PointerToRawData",
    ),
    "dd leads out of the file": (
        "macos-amd64",
        lambda: genuine_ape("2020-06").replace(b'skip="     640"', b'skip=" 9999999"'),
        "dd statement at",
    ),
    "a Mach-O header of something else": (
        "macos-amd64",
        lambda: genuine_ape("2020-06").replace(static_macho()[32:48], bytes(16)),
        "at offset",
    ),
}


@pytest.mark.needs_compiler
@pytest.mark.parametrize(("platform", "make", "word"), FAULTS.values(), ids=FAULTS)
def test_faults(platform: str, make: Callable[[], bytes], word: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(make())
    report = check(path)
    assert not report.ok
    (program,) = (program for program in report.programs if program.platform == platform)
    assert program.fault is not None
    assert word in program.fault


def test_a_damaged_native_program_is_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(exit_program()[:0x2800])

    with pytest.raises(AssimilateError) as caught:
        check(path)

    assert (caught.value.path, caught.value.field) == (path, "p_offset")


def test_one_damaged_program_leaves_the_others(ape: Path) -> None:
    data = bytearray(ape.read_bytes())
    damage_unpacked(data, "netbsd-amd64")
    ape.write_bytes(data)

    report = check(ape)

    assert [program.platform for program in report.programs if program.fault] == ["netbsd-amd64"]
    assert not report.ok
    assert program(ape, "netbsd-amd64").unpacked_size


def test_the_archive_counts(ape: Path) -> None:
    add_files(ape, [Member("weights", b"1234")])
    data = bytearray(ape.read_bytes())
    assert check(ape).members == 2
    data[read_archive(ape).directory_offset] ^= 1
    ape.write_bytes(data)

    report = check(ape)

    assert (report.ok, report.members) == (False, None)
    assert report.faults[0].startswith("its archive is damaged")


def test_an_interrupted_file(ape: Path) -> None:
    assimilate(ape, MACOS)
    marker = UndoRecord.unpack(backup_path(ape).read_bytes()).marker
    ape.write_bytes(marker + ape.read_bytes()[len(marker) :])

    report = check(ape)

    assert (report.ok, report.kind, report.programs) == (False, Kind.INTERRUPTED, ())
    assert re.search("for macos-arm64 was interrupted.*--restore", report.faults[0])


class TestLief:
    @pytest.mark.parametrize(
        ("image_format", "data"),
        [
            (ImageFormat.ELF, exit_program()),
            (ImageFormat.ELF, small_program("openbsd-amd64")),
            (ImageFormat.PE, pe_program()),
            (ImageFormat.MACHO, macho_program(signature=True)),
            (ImageFormat.MACHO, static_macho()),
        ],
        ids=["ELF", "BSD", "PE", "Mach-O", "static Mach-O"],
    )
    def test_it_agrees(self, image_format: ImageFormat, data: bytes) -> None:
        verify_with_lief(data, image_format)

    @pytest.mark.needs_compiler
    def test_on_compiled_programs(self, tmp_path: Path) -> None:
        path = tmp_path / "probe"
        path.write_bytes(linked())

        assert check(path, verified=True).ok

    @pytest.mark.needs_compiler
    def test_on_other_makers_files(self, tmp_path: Path) -> None:
        path = tmp_path / "probe"
        path.write_bytes(foreign_ape(compiled("probe.cpp", "linux-amd64").read_bytes()))

        assert check(path, verified=True).ok

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            (with_field(exit_program(), "e_entry", 0x1011004), "e_entry"),
            (with_segment(exit_program(), 3, p_filesz=8), "p_filesz of PT_LOAD 2"),
            (with_segment(exit_program(), 2, p_flags=7), "p_flags of PT_LOAD 1"),
            (with_segment(exit_program(), 4, p_type=0), "PT_LOAD 3"),
        ],
        ids=["entry", "size", "flags", "fewer segments"],
    )
    def test_a_difference_names_the_field(self, changed: bytes, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
        lief = load_lief()
        parse = lief.ELF.parse
        monkeypatch.setattr(lief.ELF, "parse", lambda _: parse(changed))

        with pytest.raises(VerificationError) as caught:
            verify_with_lief(exit_program(), ImageFormat.ELF)

        assert caught.value.field is not None
        assert field in caught.value.field
        assert caught.value.got != caught.value.expected

    def test_what_it_takes_for_no_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, data, image_format in (
            ("ELF", exit_program(), ImageFormat.ELF),
            ("PE", pe_program(), ImageFormat.PE),
            ("MachO", static_macho(), ImageFormat.MACHO),
        ):
            monkeypatch.setattr(getattr(load_lief(), name), "parse", lambda _: None)
            with pytest.raises(VerificationError, match="got no program"):
                verify_with_lief(data, image_format)

    def test_what_is_no_program_for_us(self) -> None:
        with pytest.raises(AssimilateError, match="e_phoff"):
            verify_with_lief(exit_program()[:100], ImageFormat.ELF)

    def test_without_it(self, ape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "lief", None)
        with pytest.raises(MissingLiefError, match="pip install lief"):
            check(ape, verified=True)
        assert check(ape).ok
