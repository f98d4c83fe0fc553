"""Replacing whole files, locking, and finding the bytes of interrupted appends."""

from __future__ import annotations

import errno
import os
import stat
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build
from zipalign import Member, add_files, errors, read_archive, recover
from zipalign.append_marker import AppendMarker
from zipalign.errors import ArchiveBusyError, NoSpaceError, NotAnArchiveError, OutputFileError, ZipFormatError
from zipalign.lock import locked
from zipalign.output_file import OutputFile
from zipalign.recovery import find_trailing_data
from zipalign.replacement import replacing
from zipalign.transaction import check_space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_replacing_makes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "made"
    for mode, data in ((0o755, b"first"), (0o600, b"second")):
        with replacing(path, mode) as file:
            file.write(data)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_keeps_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        with replacing(path, 0o644) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"
        # Processes that have the old one open or mapped keep it.
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("any")])
def test_replacing_that_fails_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path, 0o644) as file:
            file.write(b"half of")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real"
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(real)
    with replacing(link, 0o644) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_replacing_is_durable_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(fd: int) -> None:
        calls.append("fsync")
        fsync(fd)

    def recorded_replace(source: Path, target: Path) -> None:
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    with replacing(tmp_path / "made", 0o644) as file:
        file.write(b"data")
    assert calls == ["fsync", "replace", "fsync"]


def test_lock_is_kept_while_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build())
    with locked(path):
        read_archive(path)  # opening and closing a file drops locks of the POSIX kind
        with pytest.raises(ArchiveBusyError) as caught, locked(path):
            pass
        assert caught.value.pid == os.getpid()
        assert caught.value.command
    with locked(path) as (_, created):
        assert not created


def test_lock_follows_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"old")
    from zipalign import lock

    take = lock._lock
    rounds: list[int] = []

    def replaced_meanwhile(fd: int, name: Path, *, wait: bool) -> None:
        take(fd, name, wait=wait)
        if not rounds:
            (tmp_path / "new").write_bytes(b"new")
            (tmp_path / "new").replace(path)
        rounds.append(fd)

    monkeypatch.setattr(lock, "_lock", replaced_meanwhile)
    with locked(path) as (fd, _):
        assert os.pread(fd, 9, 0) == b"new"
    assert len(rounds) == 2


def test_reservation_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build())
    old = path.read_bytes()

    def reserve(_self: OutputFile, _offset: int, _size: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(OutputFile, "reserve", reserve)
    add_files(tmp_path / "plenty.zip", [Member("a", b"a")])  # plenty of space is not reserved
    monkeypatch.setattr("zipalign.transaction.check_space", lambda path, needed: True)
    with pytest.raises(NoSpaceError) as caught:
        add_files(path, [Member("a", b"a")])
    assert caught.value.needed > 0
    assert path.read_bytes() == old


@pytest.mark.parametrize(
    ("free", "scarce"), [(0, None), (999, None), (1000, True), (1999, True), (2000, False), (1 << 50, False)]
)
def test_scarce_space(free: int, *, scarce: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = SimpleNamespace(f_bavail=free, f_frsize=1, f_blocks=1 << 50)
    monkeypatch.setattr(os, "statvfs", lambda path: space)
    if scarce is None:
        with pytest.raises(NoSpaceError) as caught:
            check_space(tmp_path / "x", 1000)
        assert (caught.value.needed, caught.value.free) == (1000, free)
    else:
        assert check_space(tmp_path / "x", 1000) is scarce


def test_reserving_takes_space_but_no_size(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b") as file:
        file.write(b"old")
        file.flush()
        output_file = OutputFile(file.fileno())
        output_file.reserve(3, 8 << 20)
        assert output_file.size == 3
        assert os.fstat(file.fileno()).st_blocks * 512 >= 8 << 20
        output_file.truncate(3)
        assert os.fstat(file.fileno()).st_blocks * 512 < 1 << 20


def test_remains_far_behind_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x"
    old = b"\x7fELF" * 100
    window = 4 << 20
    marker = AppendMarker(len(old))
    # At, around and far from the border between two windows of the search; the last one is a hole.
    for size in (window - 40, window - 8, window, window + 8, 3 * window, 20 << 30):
        with path.open("wb") as file:
            file.write(old)
            file.seek(marker.offset)
            file.write(marker.pack())
            file.truncate(marker.offset + size)
        with path.open("rb") as file:
            trailing = find_trailing_data(file.fileno(), marker.offset + size)
        assert trailing is not None
        assert (trailing.old_size, trailing.size, trailing.is_marked) == (len(old), marker.offset + size, True)


def test_end_records_at_borders_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    old = build()
    for size in ((4 << 20) - 30, (4 << 20) - 22, (4 << 20) - 10, 4 << 20, (4 << 20) + 1):
        path.write_bytes(old + b"\x01" * size)
        trailing = recover(path, dry_run=True)
        assert trailing is not None
        assert (trailing.old_size, trailing.is_marked) == (len(old), False)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_only_regular_files_are_replaced(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "target"
    make(path)
    mode = path.stat().st_mode
    with pytest.raises(OutputFileError, match="name another file"), replacing(path, 0o644):
        pytest.fail("not refused")
    assert path.stat().st_mode == mode
    assert list(tmp_path.iterdir()) == [path]


def test_bit_rot_is_not_taken_for_an_interrupted_run(tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    path.write_bytes(b"MZqFpD='\n")
    archive = add_files(path, [Member("model.gguf", b"GGUF" * 1000)])
    data = bytearray(path.read_bytes())
    data[archive.directory_offset] ^= 1  # the signature of the first header
    path.write_bytes(data)
    for change in (lambda: add_files(path, [Member("a", b"a")]), lambda: recover(path)):
        with pytest.raises(ZipFormatError):
            change()
        assert path.read_bytes() == data
    data[archive.directory_offset] ^= 1
    data[archive.directory_offset + 16] ^= 1  # the CRC: only that member is faulty
    path.write_bytes(data)
    assert recover(path) is None
    assert path.read_bytes() == data


def test_marks_of_members_do_not_count(tmp_path: Path) -> None:
    """A member may contain a marker of another file, or a whole interrupted file."""
    path = tmp_path / "x.zip"
    add_files(path, [Member("torn", AppendMarker(0).pack() + bytes(100000))])
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(100000))
    trailing = recover(path)
    assert trailing is not None
    assert not trailing.is_marked
    assert path.stat().st_size == size


def test_nothing_to_recover(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build())
    assert recover(path) is None
    path.write_bytes(b"no archive at all")
    with pytest.raises(NotAnArchiveError):
        recover(path)
    path.write_bytes(build([Item(local={"crc": 1})]))
    assert recover(path) is None
    path.write_bytes(build([Item(central={"signature": b"PK\1\3"})]))
    with pytest.raises(ZipFormatError):
        recover(path)


def test_every_error_has_one_root() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.ZipalignError)


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    order: list[str] = []

    def second() -> None:
        with locked(path, wait=True):
            order.append("second")

    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
