"""Conversions to native programs and back: in place, as copies, and their errors."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import HEAD_SIZE, Magic
from assimilate.conversion import assimilate, restore
from assimilate.errors import (
    AlreadyError,
    AssimilateError,
    BackupError,
    ForeignFileError,
    NoBackupError,
)
from assimilate.in_place import backup_path
from assimilate.plan import Options, Outcome
from runtime.platforms import platform_named
from tests.builders.ape import compiled, foreign_ape, linked, probe_output
from tests.builders.elf import exit_program
from tests.conftest import tool
from zipalign import Member, add_files, read_archive
from zipalign.errors import ArchiveBusyError, InputFileError, RunningFileError
from zipalign.lock import locked
from zipalign.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.platforms import Platform

AMD64 = platform_named("linux-amd64")
ARM64 = platform_named("linux-arm64")
WEIGHTS = bytes(range(256)) * 1000


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    """Our APE with an archive behind it."""
    path = tmp_path / "probe"
    path.write_bytes(linked())
    path.chmod(0o751)
    add_files(path, [Member("weights", WEIGHTS)])
    return path


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "foreign"
    path.write_bytes(foreign_ape(exit_program(status=9)))
    path.chmod(0o755)
    return path


def run(*command: str | Path) -> tuple[str, int]:
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env={})
    assert result.stderr == ""
    return result.stdout, result.returncode


@pytest.mark.needs_compiler
class TestInPlace:
    def test_execve_starts_it(self, ape: Path) -> None:
        with pytest.raises(OSError, match="Exec format error"):
            subprocess.run([ape], check=False)

        assert assimilate(ape, AMD64) == Outcome(ape, ape, changed=True)

        assert run(ape, "one") == (probe_output([str(ape), "one"], str(ape)), 7)

    def test_on_arm64(self, ape: Path) -> None:
        qemu = tool("qemu-aarch64-static")

        assimilate(ape, ARM64)

        assert run(qemu, ape) == (probe_output([str(ape)], str(ape), name="qemu-aarch64-static"), 7)

    def test_the_rest_of_the_file_stays(self, ape: Path) -> None:
        before = ape.read_bytes()

        assimilate(ape, AMD64)

        assert ape.read_bytes()[HEAD_SIZE:] == before[HEAD_SIZE:]
        entry = read_archive(ape).entry("weights")
        assert entry is not None
        assert ape.read_bytes()[entry.data_offset : entry.data_end] == WEIGHTS
        assert stat.S_IMODE(ape.stat().st_mode) == 0o751
        assert sorted(path.name for path in ape.parent.iterdir()) == ["probe"]

    @pytest.mark.parametrize("target", [AMD64, ARM64], ids=["amd64", "arm64"])
    def test_restoring_gives_back_every_byte(self, ape: Path, target: Platform) -> None:
        before = ape.read_bytes()
        for _ in range(50):
            assimilate(ape, target)
            assert restore(ape).changed

        assert ape.read_bytes() == before

    def test_what_the_script_made_is_restored_too(self, ape: Path) -> None:
        before = ape.read_bytes()
        subprocess.run(["sh", ape, "--assimilate"], check=True)
        assert ape.read_bytes() != before

        restore(ape)

        assert ape.read_bytes() == before

    def test_members_may_be_added_in_between(self, ape: Path) -> None:
        before = ape.read_bytes()
        assimilate(ape, AMD64)
        add_files(ape, [Member("more", b"more")])
        restore(ape)

        assert ape.read_bytes()[:HEAD_SIZE] == before[:HEAD_SIZE]
        assert [entry.name for entry in read_archive(ape).entries] == ["weights", "more"]

    def test_only_64_bytes_are_written(self, ape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        writes: list[tuple[int, int]] = []
        write = OutputFile.write

        def recorded(output_file: OutputFile, data: bytes, offset: int) -> None:
            writes.append((offset, len(data)))
            write(output_file, data, offset)

        monkeypatch.setattr(OutputFile, "write", recorded)
        assimilate(ape, AMD64)
        restore(ape)

        assert writes == [(0, HEAD_SIZE), (0, HEAD_SIZE)]

    def test_a_failing_write_leaves_the_old_file(self, ape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

        before = ape.read_bytes()
        monkeypatch.setattr(os, "pwrite", fail)

        with pytest.raises(OSError, match="Input/output"):
            assimilate(ape, AMD64)

        assert ape.read_bytes() == before

    def test_a_dry_run_changes_nothing(self, ape: Path, foreign: Path) -> None:
        for path in (ape, foreign):
            before = path.read_bytes(), path.stat().st_mtime_ns
            assert assimilate(path, AMD64, Options(dry_run=True)).changed
            assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        assert not backup_path(foreign).exists()

    def test_twice_is_an_error_unless_forced(self, ape: Path) -> None:
        assimilate(ape, AMD64)
        with pytest.raises(AlreadyError) as caught:
            assimilate(ape, AMD64)
        assert caught.value.path == ape

        assert not assimilate(ape, AMD64, Options(force=True)).changed
        restore(ape)
        with pytest.raises(AlreadyError):
            restore(ape)
        assert not restore(ape, Options(force=True)).changed


@pytest.mark.needs_compiler
class TestForeign:
    """Files that do not keep their first bytes."""

    def test_they_are_kept_beside_and_restored(self, foreign: Path) -> None:
        before = foreign.read_bytes()

        outcome = assimilate(foreign, AMD64)

        assert outcome.backup == backup_path(foreign)
        assert backup_path(foreign).read_bytes() == before[:HEAD_SIZE]
        restore(foreign)
        assert foreign.read_bytes() == before
        assert not backup_path(foreign).exists()

    def test_the_program_runs(self, tmp_path: Path) -> None:
        path = tmp_path / "registers"
        image = compiled("registers.c", "linux-amd64", "-nostdlib", "-ffreestanding").read_bytes()
        path.write_bytes(foreign_ape(image))
        path.chmod(0o755)

        assimilate(path, AMD64)

        assert run(path) == ("", 0)

    def test_without_backup_there_is_no_way_back(self, foreign: Path) -> None:
        assert assimilate(foreign, AMD64, Options(backup=False)).backup is None
        with pytest.raises(NoBackupError):
            restore(foreign)

    def test_the_backup_of_another_file_is_not_overwritten(self, foreign: Path) -> None:
        backup_path(foreign).write_bytes(b"MZqFpD='".ljust(64))
        before = foreign.read_bytes()

        with pytest.raises(BackupError) as caught:
            assimilate(foreign, AMD64)

        assert caught.value.path == backup_path(foreign)
        assert foreign.read_bytes() == before
        assert assimilate(foreign, AMD64, Options(force=True)).changed
        assert backup_path(foreign).read_bytes() == before[:HEAD_SIZE]

    def test_a_backup_from_an_interrupted_run_is_no_obstacle(self, foreign: Path) -> None:
        backup_path(foreign).write_bytes(foreign.read_bytes()[:HEAD_SIZE])

        assert assimilate(foreign, AMD64).changed

    def test_the_backup_is_there_before_the_change(self, foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[bytes] = []
        monkeypatch.setattr(OutputFile, "write", lambda *_: seen.append(backup_path(foreign).read_bytes()))

        assimilate(foreign, AMD64)

        assert seen == [foreign.read_bytes()[:HEAD_SIZE]]


@pytest.mark.needs_compiler
class TestCopy:
    def test_the_copy_is_native_and_the_file_as_it_was(self, ape: Path, tmp_path: Path) -> None:
        before = ape.read_bytes()
        copied: list[int] = []

        outcome = assimilate(ape, AMD64, Options(output=tmp_path / "native", progress=copied.append))

        assert outcome == Outcome(ape, tmp_path / "native", changed=True)
        assert ape.read_bytes() == before
        assert (tmp_path / "native").read_bytes()[HEAD_SIZE:] == before[HEAD_SIZE:]
        assert stat.S_IMODE((tmp_path / "native").stat().st_mode) == 0o751
        assert sum(copied) == len(before)
        assert run(tmp_path / "native")[1] == 7

    def test_restoring_as_a_copy(self, ape: Path, tmp_path: Path) -> None:
        before = ape.read_bytes()
        assimilate(ape, AMD64)

        restore(ape, Options(output=tmp_path / "restored"))

        assert (tmp_path / "restored").read_bytes() == before

    def test_forced_on_a_native_file_it_is_a_plain_copy(self, ape: Path, tmp_path: Path) -> None:
        assimilate(ape, AMD64)

        assert not assimilate(ape, AMD64, Options(output=tmp_path / "copy", force=True)).changed
        assert (tmp_path / "copy").read_bytes() == ape.read_bytes()

    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_the_input_by_another_name_is_refused(self, ape: Path, tmp_path: Path, link: object) -> None:
        assert callable(link)
        link(ape, tmp_path / "again")
        before = ape.read_bytes()
        for output in (ape, tmp_path / "again"):
            with pytest.raises(AssimilateError, match="output is the input"):
                assimilate(ape, AMD64, Options(output=output))

        assert ape.read_bytes() == before

    def test_a_failure_leaves_no_copy(self, ape: Path, tmp_path: Path) -> None:
        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        (tmp_path / "out").write_bytes(b"old")
        with pytest.raises(KeyboardInterrupt):
            assimilate(ape, AMD64, Options(output=tmp_path / "out", progress=interrupt))

        assert (tmp_path / "out").read_bytes() == b"old"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "probe"]

    def test_a_dry_run_makes_no_copy(self, ape: Path, tmp_path: Path) -> None:
        assert assimilate(ape, AMD64, Options(output=tmp_path / "native", dry_run=True)).changed
        assert not (tmp_path / "native").exists()


@pytest.mark.needs_compiler
class TestObstacles:
    def test_a_running_program_is_not_written(self, tmp_path: Path) -> None:
        path = tmp_path / "sleep"
        shutil.copy(tool("sleep"), path)
        with subprocess.Popen([path, "60"]) as process:
            try:
                with pytest.raises(RunningFileError, match="is running"):
                    restore(path)
            finally:
                process.kill()

    def test_a_file_that_another_process_writes(self, ape: Path) -> None:
        with locked(ape), pytest.raises(ArchiveBusyError):
            assimilate(ape, AMD64)

    def test_what_is_not_a_regular_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for path in (tmp_path, tmp_path / "fifo"):
            with pytest.raises(InputFileError, match="not a regular file"):
                assimilate(path, AMD64)
            with pytest.raises(ForeignFileError, match="not a regular file"):
                assimilate(path, AMD64, Options(output=tmp_path / "out"))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            assimilate(tmp_path / "nothing", AMD64)
        assert not list(tmp_path.iterdir())

    def test_a_damaged_file_is_not_touched(self, ape: Path) -> None:
        data = linked()[:0x18000]
        ape.write_bytes(data)
        with pytest.raises(ForeignFileError) as caught:
            assimilate(ape, AMD64)

        assert str(caught.value).startswith(f"{ape}: p_offset")
        assert ape.read_bytes() == data


@pytest.mark.needs_compiler
def test_no_windows_files_are_no_different(tmp_path: Path) -> None:
    path = tmp_path / "probe"
    path.write_bytes(linked(Magic.NO_WINDOWS))
    path.chmod(0o755)
    assimilate(path, AMD64)
    assert run(path)[1] == 7
    restore(path)

    assert path.read_bytes() == linked(Magic.NO_WINDOWS)
