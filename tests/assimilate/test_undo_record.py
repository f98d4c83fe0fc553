"""NAME.ape-head as bytes, and the marker."""

from __future__ import annotations

import dataclasses
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assimilate.errors import BackupError
from assimilate.undo_record import State, UndoRecord, interrupted_platform
from zipalign.marked_head import MARKER_SIZE

DATA = b"MZqFpD='\n" + bytes(range(256)) * 9
IMAGE = b"\x7fELF" + bytes(3000)
KEPT = UndoRecord("openbsd-amd64", 5000, 6000, 5024, len(IMAGE), zlib.crc32(IMAGE), zlib.crc32(b"t" * 976), DATA)


def file_with(first: bytes, tail: bytes = b"") -> bytes:
    return first + b"r" * (5024 - len(first)) + tail


@given(
    st.sampled_from(["macos-arm64", "x"]),
    st.tuples(*[st.integers(0, 2**64 - 1)] * 4),
    st.tuples(*[st.integers(0, 2**32 - 1)] * 2),
    st.binary(max_size=300),
)
def test_round_trip(platform: str, sizes: tuple[int, int, int, int], checksums: tuple[int, int], data: bytes) -> None:
    kept = UndoRecord(platform, *sizes, *checksums, data)

    assert UndoRecord.unpack(kept.pack()) == kept
    assert len(kept.pack()) == UndoRecord.SIZE + len(data)


def test_the_layout_is_that_of_the_manual() -> None:
    packed = KEPT.pack()

    assert UndoRecord.SIZE == 96
    assert packed[:20] == b"assimilate.head\n\x01\0\0\0"
    assert packed[20:40] == b"openbsd-amd64".ljust(20, b"\0")
    assert packed[96:] == DATA
    assert int.from_bytes(packed[92:96], "little") == zlib.crc32(packed[:92])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda packed: b"", "magic"),
        (lambda packed: packed[:95], "magic"),
        (lambda packed: b"b" + packed[1:], "magic"),
        (lambda packed: packed[:16] + b"\2" + packed[17:], "version"),
        (lambda packed: packed[:40] + b"\xff" + packed[41:], "header_checksum"),
        (lambda packed: packed[:92] + bytes(4) + packed[96:], "header_checksum"),
        (lambda packed: packed[:-1], "checksum"),
        (lambda packed: packed + b"x", "checksum"),
        (lambda packed: packed[:200] + b"\xff\xff" + packed[202:], "checksum"),
    ],
    ids=["empty", "short", "magic", "version", "size", "header", "cut off", "longer", "data"],
)
def test_damage(change: object, field: str) -> None:
    assert callable(change)
    with pytest.raises(BackupError) as caught:
        UndoRecord.unpack(change(KEPT.pack()))

    assert caught.value.field == field
    assert caught.value.offset is not None


def test_every_bit_counts() -> None:
    packed = KEPT.pack()
    for at in range(0, len(packed), 7):
        changed = bytearray(packed)
        changed[at] ^= 1 << at % 8
        with pytest.raises(BackupError):
            UndoRecord.unpack(bytes(changed))


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (file_with(DATA), State.ORIGINAL),
        (file_with(KEPT.marker), State.INTERRUPTED),
        (file_with(KEPT.marker[:256] + DATA[256:]), State.INTERRUPTED),
        (file_with(IMAGE), State.CONVERTED),
        (file_with(DATA[:-1] + b"x"), State.UNRELATED),
        (file_with(IMAGE[:-1] + b"x"), State.UNRELATED),
        (file_with(dataclasses.replace(KEPT, data=DATA[:-1]).marker), State.UNRELATED),
        (file_with(dataclasses.replace(KEPT, platform="macos-arm64").marker), State.UNRELATED),
        (DATA[:-1], State.UNRELATED),
        (IMAGE[:-1], State.UNRELATED),
        (b"", State.UNRELATED),
    ],
    ids=[
        "before", "between", "half a marker", "after", "other bytes", "another program", "another marker",
        "a marker for another platform", "cut off before", "cut off after", "empty",
    ],
)  # fmt: skip  # one row, one case
def test_places(data: bytes, place: State) -> None:
    assert KEPT.state_of(data) is place
    assert KEPT.state_of(memoryview(data)) is place


def test_what_may_be_cut_off() -> None:
    assert KEPT.appended_is_unchanged(file_with(IMAGE, b"t" * 976))
    assert not KEPT.appended_is_unchanged(file_with(IMAGE, b"t" * 975 + b"u"))
    assert not KEPT.appended_is_unchanged(file_with(IMAGE, b"t" * 977))
    assert not KEPT.appended_is_unchanged(file_with(IMAGE, b"t" * 900))


@pytest.mark.parametrize("platform", ["linux-amd64", "windows-amd64", "openbsd-amd64", "freebsd-arm64"])
def test_markers_are_a_sector_of_text(platform: str) -> None:
    marker = dataclasses.replace(KEPT, platform=platform).marker

    assert len(marker) == MARKER_SIZE
    assert marker.decode().isascii()
    assert interrupted_platform(marker) == platform
    assert interrupted_platform(b"\n" + marker) is None
    assert interrupted_platform(DATA) is None


@given(st.binary(max_size=300))
def test_no_bytes_escape_our_errors(noise: bytes) -> None:
    for contents in (noise, UndoRecord.MAGIC + noise, KEPT.pack()[:40] + noise):
        with pytest.raises(BackupError):
            UndoRecord.unpack(contents)
