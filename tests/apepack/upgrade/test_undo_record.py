"""NAME.before-upgrade as bytes, and the marker."""

from __future__ import annotations

import dataclasses
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apepack.errors import UndoRecordError
from apepack.upgrade.restoration import restore
from apepack.upgrade.undo_file import read_undo, undo_path
from apepack.upgrade.undo_record import SavedExtent, State, UndoRecord, block_checksum, is_interrupted
from tests.apepack.upgrade.llamafiles import llamafile, runtime, upgraded
from zipalign.marked_head import MARKER_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD = b"MZqFpD='\nold".ljust(5000, b".") + b"weights" * 100
NEW = b"MZqFpD='\nnew".ljust(4000, b"-") + bytes(1000) + b"weights" * 100 + b"directory"
RECORD = UndoRecord(
    file_size=len(OLD),
    new_size=len(NEW),
    front_size=4000,
    front_checksum=zlib.crc32(NEW[:4000]),
    block_offset=5000,
    block_size=700,
    block_shift=0,
    block_checksum=zlib.crc32(b"weights" * 100, zlib.crc32(b"weights" * 100)),
    appended=(5700,),
    saved=(SavedExtent(0, 5000, zlib.crc32(OLD[:5000])),),
)
SIZES = st.integers(0, (1 << 64) - 1)


@given(SIZES, SIZES, st.integers(-(1 << 63), (1 << 63) - 1), st.lists(SIZES, max_size=5), st.integers(0, 9))
def test_round_trip(file_size: int, front_size: int, shift: int, appended: list[int], saved: int) -> None:
    extents = tuple(SavedExtent(number * 100, 10, number) for number in range(saved))
    record = dataclasses.replace(
        RECORD, file_size=file_size, front_size=front_size, block_shift=shift, appended=tuple(appended), saved=extents
    )
    assert UndoRecord.unpack(memoryview(record.pack() + bytes(10 * saved))) == record
    assert record.size == len(record.pack())


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is no undo record"),
    "another file": (lambda data: b"x" * len(data), "is no undo record"),
    "cut header": (lambda data: data[:90], "is no undo record|damaged header"),
    "cut data": (lambda data: data[:-1], "is incomplete"),
    "longer": (lambda data: data + b"x", "is incomplete"),
    "another version": (lambda data: data[:16] + b"\2" + data[17:], "another version"),
    "one bit": (lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:], "damaged header"),
    "a count of 4 billion": (lambda data: data[:20] + b"\xff" * 4 + data[24:], "damaged header"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_records(name: str) -> None:
    damage, message = DAMAGES[name]
    with pytest.raises(UndoRecordError, match=message):
        UndoRecord.unpack(memoryview(damage(RECORD.pack() + OLD[:5000])))


def test_states() -> None:
    states = {
        OLD: State.ORIGINAL,
        NEW: State.UPGRADED,
        NEW + b"more members": State.UPGRADED,
        RECORD.marker + NEW[512:]: State.INTERRUPTED,
        RECORD.marker: State.INTERRUPTED,
        OLD + b"x": State.UNRELATED,
        NEW[:-1]: State.UNRELATED,
        NEW[:5000] + b"W" + NEW[5001:]: State.UNRELATED,
        b"": State.UNRELATED,
    }
    for data, state in states.items():
        assert RECORD.state_of(memoryview(data)) is state, data[:20]


def test_the_marker() -> None:
    marker = RECORD.marker
    assert len(marker) == MARKER_SIZE
    assert marker.decode().isascii()
    assert is_interrupted(marker)
    assert not is_interrupted(OLD)
    assert dataclasses.replace(RECORD, file_size=1).marker != marker


def test_a_block_is_sampled_at_both_ends() -> None:
    block = bytearray(300_000)
    whole = block_checksum(memoryview(block))
    for at in (0, 65_535, 299_999):
        block[at] ^= 1
        assert block_checksum(memoryview(block)) != whole
        block[at] ^= 1
    assert block_checksum(memoryview(b"")) == 0


def test_saved_bytes_are_checked(tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old"))
    upgraded(path, runtime(tmp_path / "new", page=100, seed=2))
    record = bytearray(undo_path(path).read_bytes())
    record[-1] ^= 1
    undo_path(path).write_bytes(record)
    before = path.read_bytes()

    with pytest.raises(UndoRecordError, match="is damaged") as caught:
        restore(path)

    assert str(undo_path(path)) in str(caught.value)
    assert path.read_bytes() == before


def test_a_record_of_another_file_is_refused(tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old"))
    with pytest.raises(UndoRecordError, match="does not exist"):
        restore(path)
    assert read_undo(path) is None
    upgraded(path, runtime(tmp_path / "new", page=100, seed=2))
    path.write_bytes(path.read_bytes()[:-30_000] + bytes(30_000))
    with pytest.raises(UndoRecordError, match="it has changed since"):
        restore(path)
    path.write_bytes(b"\x7fELF" + path.read_bytes()[4:])
    with pytest.raises(UndoRecordError, match="assimilate --restore"):
        restore(path)


def test_an_upgrade_that_had_not_begun(tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old"))
    old = path.read_bytes()
    upgraded(path, runtime(tmp_path / "new", page=100, seed=2))
    path.write_bytes(old)

    assert not restore(path)

    assert path.read_bytes() == old
    assert not undo_path(path).exists()


def test_a_link_to_the_file(tmp_path: Path) -> None:
    path = llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "old"))
    old = path.read_bytes()
    link = tmp_path / "folder" / "link"
    link.parent.mkdir()
    link.symlink_to(path)

    upgraded(link, runtime(tmp_path / "new", page=100, seed=2))

    assert link.is_symlink()
    assert undo_path(link) == undo_path(path)
    restore(link)
    assert path.read_bytes() == old
