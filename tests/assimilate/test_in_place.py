"""Complete programs written over the start of a file: the backup, the unchanged bytes, and the restoration."""

from __future__ import annotations

import errno
import os
import random
import stat
from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import parse_prologue
from assimilate.conversion import assimilate, restore
from assimilate.errors import (
    AlreadyError,
    BackupError,
    ForeignFileError,
    NoBackupError,
)
from assimilate.in_place import backup_path
from assimilate.plan import Options
from runtime.platforms import PLATFORMS, Launch, platform_named
from tests.builders.ape import small_ape, small_program
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.errors import ZipFormatError
from zipalign.inflate import entry_chunks
from zipalign.input_file import open_input
from zipalign.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.platforms import Platform

EVERY = tuple(platform.name for platform in PLATFORMS)
UNPACKED = [platform for platform in PLATFORMS if platform.launch == Launch.UNPACKED]
CONVERTED = [platform for platform in PLATFORMS if platform.launch != Launch.PE]
MACOS = platform_named("macos-arm64")
FREEBSD = platform_named("freebsd-amd64")
WEIGHTS = random.Random(1).randbytes(200_000)


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    """An APE with programs for all platforms, a member before the images, and weights behind them."""
    path = tmp_path / "all"
    path.write_bytes(small_ape(*EVERY))
    path.chmod(0o751)
    add_files(path, [Member("weights", WEIGHTS)])
    return path


def contents(path: Path) -> dict[str, bytes]:
    with open_input(path) as fd:
        return {entry.name: b"".join(entry_chunks(fd, entry)) for entry in read_archive(path).entries}


def moved_to_the_front(platform_name: str) -> bytes:
    """An APE of one program, without an archive, that ends where the program would not yet, were it unpacked."""
    data = small_ape(platform_name, notices=b"")
    (image,) = parse_prologue(data).unpacked
    head = data.replace(f" k={image.offset // 4096} ".encode(), b" k=2 ")[:0x2000]
    moved = head + data[image.offset : image.stored_end]
    assert len(moved) < image.size
    return moved


@pytest.mark.parametrize("target", UNPACKED, ids=lambda target: target.name)
def test_the_file_begins_with_the_program_and_holds_what_it_held(ape: Path, target: Platform) -> None:
    before, members = ape.read_bytes(), contents(ape)
    program = small_program(target.name)
    weights = read_archive(ape).entry("weights")

    outcome = assimilate(ape, target)

    assert (outcome.changed, outcome.backup) == (True, backup_path(ape))
    after = ape.read_bytes()
    assert after[: len(program)] == program
    assert after[len(program) : len(before)] == before[len(program) :]
    assert contents(ape) == members
    assert read_archive(ape).entry("weights") == weights
    assert check_archive(ape).ok
    assert stat.S_IMODE(ape.stat().st_mode) == 0o751
    assert stat.S_IMODE(backup_path(ape).stat().st_mode) & 0o111 == 0

    assert restore(ape).changed
    assert ape.read_bytes() == before
    assert not backup_path(ape).exists()


def test_only_members_in_the_way_are_appended_again(ape: Path) -> None:
    size = ape.stat().st_size
    notices = read_archive(ape).entry("NOTICES")
    assert notices is not None
    assert notices.header_offset < len(small_program(MACOS.name))

    assimilate(ape, MACOS)

    moved = read_archive(ape).entry("NOTICES")
    assert moved is not None
    assert moved.header_offset >= size
    assert (moved.crc, moved.method, moved.record.external_attributes, moved.record.date) == (
        notices.crc, notices.method, notices.record.external_attributes, notices.record.date,
    )  # fmt: skip  # as above
    assert ape.stat().st_size - size < 2000


def test_i_o_does_not_depend_on_the_size_of_the_file(ape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ape.write_bytes(small_ape(*EVERY, notices=b""))
    with ape.open("r+b") as file:
        file.truncate(8 << 30)  # sparse
    add_files(ape, [Member("weights", WEIGHTS)])
    written: list[int] = []
    write = OutputFile.write

    def counted(output_file: OutputFile, data: bytes | memoryview, offset: int) -> None:
        written.append(len(data))
        write(output_file, data, offset)

    monkeypatch.setattr(OutputFile, "write", counted)
    assimilate(ape, MACOS)
    restore(ape)

    assert sum(written) < 3 * len(small_program(MACOS.name))
    assert contents(ape)["weights"] == WEIGHTS


@pytest.mark.slow
def test_a_hundred_alternations_leave_every_byte(ape: Path) -> None:
    before = ape.read_bytes()
    for turn in range(100):
        target = CONVERTED[turn % len(CONVERTED)]
        assimilate(ape, target, Options(keep_osabi=bool(turn % 3)))
        assert ape.read_bytes()[:64] != before[:64]
        restore(ape)
        assert ape.stat().st_size == len(before), target.name

    assert ape.read_bytes() == before
    assert [path.name for path in ape.parent.iterdir()] == ["all"]


class TestWhatIsAddedMeanwhile:
    def test_stays_when_the_file_becomes_an_ape_again(self, ape: Path) -> None:
        before = ape.read_bytes()
        assimilate(ape, MACOS)
        add_files(ape, [Member("more", b"added later")])

        restore(ape)

        assert ape.read_bytes()[: len(before)] == before
        assert contents(ape) == {**contents(ape), "weights": WEIGHTS, "more": b"added later"}
        assert check_archive(ape).ok
        assert not backup_path(ape).exists()

    def test_and_in_a_copy(self, ape: Path, tmp_path: Path) -> None:
        before = ape.read_bytes()
        assimilate(ape, MACOS)
        restore(ape, Options(output=tmp_path / "exact"))
        add_files(ape, [Member("more", b"added later")])
        restore(ape, Options(output=tmp_path / "longer"))

        assert (tmp_path / "exact").read_bytes() == before
        assert "more" in contents(tmp_path / "longer")
        assert (tmp_path / "longer").read_bytes()[: len(before)] == before


class TestCopy:
    @pytest.mark.parametrize("target", UNPACKED, ids=lambda target: target.name)
    def test_needs_no_backup_and_is_what_the_file_becomes(self, ape: Path, target: Platform, tmp_path: Path) -> None:
        before = ape.read_bytes()

        outcome = assimilate(ape, target, Options(output=tmp_path / "copy"))

        assert (outcome.output, outcome.backup) == (tmp_path / "copy", None)
        assert ape.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "copy"]
        assimilate(ape, target)
        assert (tmp_path / "copy").read_bytes() == ape.read_bytes()

    def test_a_native_copy_cannot_be_restored(self, ape: Path, tmp_path: Path) -> None:
        assimilate(ape, MACOS, Options(output=tmp_path / "copy"))

        with pytest.raises(NoBackupError, match="a Mach-O program, and nothing is kept"):
            restore(tmp_path / "copy")


class TestBackup:
    def test_c_removes_it_at_the_end(self, ape: Path) -> None:
        outcome = assimilate(ape, MACOS, Options(backup=False))

        assert outcome.backup is None
        assert not backup_path(ape).exists()
        with pytest.raises(NoBackupError):
            restore(ape)

    @pytest.mark.slow
    def test_another_files_is_not_overwritten(self, ape: Path) -> None:
        backup_path(ape).write_bytes(b"something")
        before = ape.read_bytes()

        with pytest.raises(BackupError) as caught:
            assimilate(ape, MACOS)

        assert caught.value.path == backup_path(ape)
        assert ape.read_bytes() == before
        assert assimilate(ape, MACOS, Options(force=True)).changed
        restore(ape)
        assert ape.read_bytes() == before

    def test_it_is_not_put_into_another_file(self, ape: Path) -> None:
        assimilate(ape, MACOS)
        ape.write_bytes(small_program("macos-amd64"))

        with pytest.raises(BackupError, match="keeps the first bytes of another file"):
            restore(ape)

        assert ape.read_bytes() == small_program("macos-amd64")

    def test_nor_in_the_way_of_the_64_bytes_that_a_file_keeps_itself(self, ape: Path) -> None:
        before = ape.read_bytes()
        assimilate(ape, MACOS)
        kept = backup_path(ape).read_bytes()
        ape.write_bytes(before)
        backup_path(ape).unlink()
        assimilate(ape, platform_named("linux-amd64"))
        backup_path(ape).write_bytes(kept)

        restore(ape)

        assert ape.read_bytes() == before

    @pytest.mark.parametrize("at", [0, 16, 20, 60, 95, 96, 5000, -1], ids=str)
    def test_a_damaged_one_is_not_used(self, ape: Path, at: int) -> None:
        assimilate(ape, MACOS)
        after = ape.read_bytes()
        kept = bytearray(backup_path(ape).read_bytes())
        kept[at] ^= 0x40
        backup_path(ape).write_bytes(kept)

        with pytest.raises((BackupError, NoBackupError)):
            restore(ape)

        assert ape.read_bytes() == after

    def test_it_lies_beside_the_file_and_not_beside_a_link_to_it(self, ape: Path, tmp_path: Path) -> None:
        before = ape.read_bytes()
        (tmp_path / "folder").mkdir()
        link = tmp_path / "folder" / "link"
        link.symlink_to(ape)

        assert assimilate(link, MACOS).backup == tmp_path / "all.ape-head"
        assert list((tmp_path / "folder").iterdir()) == [link]
        restore(ape)
        assert ape.read_bytes() == before


class TestRefused:
    def test_an_archive_in_the_way(self, tmp_path: Path) -> None:
        path = tmp_path / "short"
        path.write_bytes(moved_to_the_front("macos-arm64"))
        add_files(path, [Member("weights", b"1234")], alignment=1)
        before = path.read_bytes()

        with pytest.raises(ForeignFileError, match=r"directory begins at .*: link the file again"):
            assimilate(path, MACOS)

        assert path.read_bytes() == before

    def test_a_damaged_archive(self, ape: Path) -> None:
        data = bytearray(ape.read_bytes())
        data[read_archive(ape).directory_offset] ^= 1
        ape.write_bytes(data)

        with pytest.raises(ZipFormatError):
            assimilate(ape, MACOS)

        assert ape.read_bytes() == data
        assert not backup_path(ape).exists()

    def test_twice(self, ape: Path) -> None:
        assimilate(ape, MACOS)
        after, kept = ape.read_bytes(), backup_path(ape).read_bytes()

        with pytest.raises(AlreadyError, match="already a Mach-O program for macos-arm64"):
            assimilate(ape, MACOS)
        assert not assimilate(ape, MACOS, Options(force=True)).changed
        for other in ("macos-amd64", "freebsd-amd64", "linux-amd64"):
            with pytest.raises(ForeignFileError, match="--restore"):
                assimilate(ape, platform_named(other))

        assert (ape.read_bytes(), backup_path(ape).read_bytes()) == (after, kept)

    def test_a_dry_run_changes_nothing(self, ape: Path) -> None:
        before = ape.read_bytes()
        assert assimilate(ape, MACOS, Options(dry_run=True)).backup == backup_path(ape)
        assert (ape.read_bytes(), backup_path(ape).exists()) == (before, False)
        assimilate(ape, MACOS)
        after = ape.read_bytes()
        assert restore(ape, Options(dry_run=True)).changed
        assert (ape.read_bytes(), backup_path(ape).exists()) == (after, True)


def test_a_file_without_an_archive_may_be_shorter_than_the_program(tmp_path: Path) -> None:
    path = tmp_path / "bare"
    path.write_bytes(moved_to_the_front(FREEBSD.name))
    before = path.read_bytes()

    assimilate(path, FREEBSD)
    assert path.read_bytes() == small_program(FREEBSD.name)
    restore(path)

    assert path.read_bytes() == before


def test_nothing_changes_before_the_bytes_are_kept(ape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = ape.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(OSError, match="No space left"):
        assimilate(ape, MACOS)

    assert ape.read_bytes() == before
    assert [path.name for path in ape.parent.iterdir()] == ["all"]
