"""A file with an interrupted conversion, as after a power loss."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.format.prologue import parse_prologue
from assimilate.conversion import assimilate, restore
from assimilate.errors import InterruptedConversionError
from assimilate.in_place import backup_path
from assimilate.plan import Options
from assimilate.undo_record import UndoRecord
from runtime.platforms import PLATFORMS, platform_named
from tests.builders.ape import SHELLS, small_ape, small_program
from tests.conftest import tool
from zipalign import Member, add_files, check_archive
from zipalign.marked_head import MARKER_SIZE

if TYPE_CHECKING:
    from pathlib import Path

MACOS = platform_named("macos-arm64")
FREEBSD = platform_named("freebsd-amd64")


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    """An APE with programs for all platforms, and weights behind them."""
    path = tmp_path / "all"
    path.write_bytes(small_ape(*(platform.name for platform in PLATFORMS)))
    path.chmod(0o751)
    add_files(path, [Member("weights", bytes(range(256)) * 800)])
    return path


@pytest.fixture
def interrupted(ape: Path) -> Path:
    assimilate(ape, MACOS)
    kept = UndoRecord.unpack(backup_path(ape).read_bytes())
    data = bytearray(ape.read_bytes())
    data[:MARKER_SIZE] = kept.marker
    data[0x1000:0x3000] = bytes(0x2000)
    ape.write_bytes(data)
    return ape


@pytest.mark.parametrize("shell", [("sh",), *SHELLS], ids=" ".join)
def test_it_says_what_happened_and_what_to_type(interrupted: Path, shell: tuple[str, ...]) -> None:
    result = subprocess.run([tool(shell[0]), *shell[1:], interrupted, "-x"], capture_output=True, check=False)

    assert (result.stdout, result.returncode) == (b"", 126)
    assert result.stderr.decode() == (
        "all: its conversion for macos-arm64 was interrupted: finish it with assimilate -t macos-arm64,"
        " or undo it with assimilate --restore\n"
    )


def test_execve_starts_it(interrupted: Path) -> None:
    assert subprocess.run([interrupted], stderr=subprocess.PIPE, check=False).returncode == 126


def test_it_looks_like_nothing_else(interrupted: Path) -> None:
    marker = interrupted.read_bytes()[:MARKER_SIZE]

    assert marker.isascii()
    assert b"printf '" not in marker
    assert b"\0" not in marker
    assert marker.endswith(b"#\n")


def test_the_archive_is_sound(interrupted: Path) -> None:
    assert check_archive(interrupted).ok


def test_it_is_finished(interrupted: Path) -> None:
    assert assimilate(interrupted, MACOS).changed

    assert interrupted.read_bytes()[: len(small_program(MACOS.name))] == small_program(MACOS.name)
    restore(interrupted)
    assert parse_prologue(interrupted.read_bytes()[:8192]).unpacked


def test_or_undone(interrupted: Path, tmp_path: Path) -> None:
    restore(interrupted, Options(output=tmp_path / "copy"))
    restore(interrupted)

    assert (tmp_path / "copy").read_bytes() == interrupted.read_bytes()
    assert parse_prologue(interrupted.read_bytes()[:8192]).unpacked
    assert not backup_path(interrupted).exists()


def test_but_nothing_else(interrupted: Path, tmp_path: Path) -> None:
    before = interrupted.read_bytes()
    for options in (Options(), Options(force=True)):
        with pytest.raises(InterruptedConversionError) as caught:
            assimilate(interrupted, FREEBSD, options)
        assert caught.value.platform == "macos-arm64"
        assert "-t macos-arm64" in str(caught.value)
    with pytest.raises(InterruptedConversionError):
        assimilate(interrupted, MACOS, Options(output=tmp_path / "copy"))

    assert interrupted.read_bytes() == before


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "of another file"])
def test_a_missing_backup_is_named(interrupted: Path, lost: bool) -> None:  # noqa: FBT001  # a column
    if lost:
        backup_path(interrupted).unlink()
    else:
        kept = UndoRecord.unpack(backup_path(interrupted).read_bytes())
        other = UndoRecord("macos-arm64", 9, 9, 9, 9, 1, 1, kept.data + b"x")
        backup_path(interrupted).write_bytes(other.pack())
    with pytest.raises(InterruptedConversionError, match=r"all\.ape-head"):
        assimilate(interrupted, MACOS)
    with pytest.raises(InterruptedConversionError, match=r"all\.ape-head"):
        restore(interrupted)


def test_a_conversion_that_had_not_begun_is_undone_first(ape: Path) -> None:
    before = ape.read_bytes()
    assimilate(ape, MACOS)
    after, kept = ape.read_bytes(), backup_path(ape).read_bytes()
    ape.write_bytes(before + after[len(before) :])
    backup_path(ape).write_bytes(kept)

    assimilate(ape, FREEBSD)
    restore(ape)

    assert ape.read_bytes() == before
