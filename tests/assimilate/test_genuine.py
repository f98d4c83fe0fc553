"""Files of the Cosmopolitan project, as its tools made them from 2020 on."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import HEAD_SIZE, SCAN_SIZE, Magic
from assimilate.check import Form, check
from assimilate.conversion import assimilate, restore
from assimilate.errors import ForeignFileError
from assimilate.identify import Kind
from assimilate.in_place import backup_path
from assimilate.native import to_native
from assimilate.undo_record import UndoRecord
from runtime.image.elf import read_elf_header
from runtime.platforms import platform_named
from tests.builders.elf import AARCH64, X86_64
from tests.builders.genuine import ERAS, MAGICS, genuine_ape, genuine_elf_header, genuine_macho_header
from tests.conftest import tool
from zipalign import Member, add_files, read_archive
from zipalign.marked_head import MARKER_SIZE

if TYPE_CHECKING:
    from pathlib import Path

LINUX = platform_named("linux-amd64")
LINUX_ARM64 = platform_named("linux-arm64")
MACOS = platform_named("macos-amd64")


@pytest.mark.parametrize("magic", MAGICS, ids=lambda magic: magic[:6].decode())
@pytest.mark.parametrize("machines", [(X86_64,), (X86_64, AARCH64)], ids=["single", "fat"])
@pytest.mark.parametrize("era", ERAS)
class TestEveryEra:
    def test_elf(self, era: str, machines: tuple[int, ...], magic: bytes) -> None:
        data = genuine_ape(era, machines, magic)

        for machine, target in ((X86_64, LINUX), (AARCH64, LINUX_ARM64)):
            if machine in machines:
                patch = to_native(data, target, keep_osabi=False)
                assert (patch.old, read_elf_header(patch.new).osabi) == (data[:HEAD_SIZE], 0)
                assert to_native(data, target, keep_osabi=True).new == genuine_elf_header(machine)
            else:
                with pytest.raises(ForeignFileError, match="no program for aarch64"):
                    to_native(data, target, keep_osabi=False)

    def test_macho(self, era: str, machines: tuple[int, ...], magic: bytes) -> None:
        data = genuine_ape(era, machines, magic)

        if ERAS[era].has_macho:
            assert to_native(data, MACOS, keep_osabi=False).new == genuine_macho_header()
        else:
            with pytest.raises(ForeignFileError, match="no program for macos-amd64"):
                to_native(data, MACOS, keep_osabi=False)
        with pytest.raises(ForeignFileError, match="no program for macos-arm64"):
            to_native(data, platform_named("macos-arm64"), keep_osabi=False)


@pytest.fixture(params=list(ERAS))
def ape(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "program.com"
    path.write_bytes(genuine_ape(request.param, (X86_64, AARCH64)))
    path.chmod(0o755)
    add_files(path, [Member("weights", b"weights" * 99)])
    return path


def test_the_elf_program_runs(ape: Path) -> None:
    assimilate(ape, LINUX)
    assert subprocess.run([ape], check=False).returncode == 5
    restore(ape)
    assimilate(ape, LINUX_ARM64)
    assert subprocess.run([tool("qemu-aarch64-static"), ape], check=False).returncode == 5


def test_only_the_prologue_changes_and_comes_back(ape: Path) -> None:
    before = ape.read_bytes()
    program = {program.platform for program in check(ape).programs}
    assert program >= {"linux-amd64", "linux-arm64"}
    for name in sorted(program):
        assimilate(ape, platform_named(name))
        assert ape.read_bytes()[SCAN_SIZE:] == before[SCAN_SIZE:]
        assert [entry.name for entry in read_archive(ape).entries] == ["weights"]
        assert backup_path(ape).exists()
        restore(ape)
        assert ape.read_bytes() == before
        assert not backup_path(ape).exists()


def test_a_macho_header_is_kept_with_its_sectors(tmp_path: Path) -> None:
    path = tmp_path / "program.com"
    path.write_bytes(genuine_ape("2023-10"))
    before = path.read_bytes()
    size = len(genuine_macho_header())

    assimilate(path, MACOS)

    kept = UndoRecord.unpack(backup_path(path).read_bytes())
    assert kept.data == before[: max(MARKER_SIZE, size)]
    assert path.read_bytes()[:size] == genuine_macho_header()
    assert check(path).kind == Kind.MACHO


@pytest.mark.parametrize("system", ["freebsd", "netbsd", "openbsd"])
def test_on_a_bsd_the_elf_header_serves_as_well(system: str, tmp_path: Path) -> None:
    path = tmp_path / "program.com"
    path.write_bytes(genuine_ape("2023-10"))

    assimilate(path, platform_named(f"{system}-amd64"))

    assert path.read_bytes()[7] == (9 if system == "freebsd" else 0)


@pytest.mark.parametrize("magic", [magic.value for magic in Magic], ids=lambda magic: magic[:6].decode())
def test_what_check_says(magic: bytes, tmp_path: Path) -> None:
    path = tmp_path / "program.com"
    path.write_bytes(genuine_ape("2024-02", (X86_64, AARCH64), magic))

    report = check(path, MACOS, verified=True)

    assert report.ok, report
    assert (report.kind, report.keeps_head, report.members) == (Kind.APE, False, None)
    assert [(program.platform, program.form) for program in report.programs] == [
        ("linux-amd64", Form.MAPPED),
        ("linux-arm64", Form.MAPPED),
        ("macos-amd64", Form.HEADER),
    ]
    assert (report.programs[2].offset, report.programs[2].size) == (0x1400, len(genuine_macho_header()))


def test_the_second_dd_statement_may_be_the_right_one() -> None:
    data = genuine_ape("2023-10")
    first = b"dd bs=1 skip=256 count=99;"
    at = data.index(b"if [ -d /App")
    # The moved bytes replace only NUL bytes, so that all other bytes stay.
    room = data.index(bytes(len(first)), at)
    twice = data[:at] + first + data[at:room] + data[room + len(first) :]

    assert to_native(twice, MACOS, keep_osabi=False).new == genuine_macho_header()
