"""The small parts: cursor, records, extra fields, times, names, markers and layout."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from zipalign import layout
from zipalign.append_marker import AppendMarker
from zipalign.cursor import Cursor
from zipalign.dostime import from_dos, to_dos
from zipalign.errors import EntryNameError, ZipFormatError
from zipalign.extra import fields, zip64_field
from zipalign.names import name_fault, name_for
from zipalign.records import (
    CentralHeader,
    DataDescriptor,
    EndRecord,
    LocalHeader,
    Zip64EndRecord,
    Zip64Locator,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS: list[Any] = [
    LocalHeader(45, 0x800, 8, 1, 2, 3, 4, 5, b"name", b"extra"),
    CentralHeader(1, 2, 3, 4, 5, 6, 7, 8, 9, b"name", b"extra", b"comment", 10, 11, 12, 13),
    EndRecord(1, 2, 3, 4, 5, 6, b"comment"),
    Zip64EndRecord(44, 1, 2, 3, 4, 5, 6, 7, 8),
    Zip64Locator(1, 2, 3),
]
IDS = [type(record).__name__ for record in RECORDS]


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_records_survive(record: Any) -> None:
    cursor = Cursor(record.pack() + b"rest")
    assert type(record).unpack(cursor) == record
    assert cursor.remaining == 4


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_every_truncation_of_a_record_is_an_error(record: Any) -> None:
    data = record.pack()
    for size in range(len(data)):
        with pytest.raises(ZipFormatError) as caught:
            type(record).unpack(Cursor(data[:size], 1000))
        assert caught.value.offset is not None
        assert 1000 <= caught.value.offset <= 1000 + size
        assert caught.value.field is not None


@pytest.mark.parametrize("record", RECORDS, ids=IDS)
def test_wrong_signature(record: Any) -> None:
    with pytest.raises(ZipFormatError) as caught:
        type(record).unpack(Cursor(b"PK\x03\x05" + record.pack()[4:], 7))
    assert caught.value.offset == 7
    assert caught.value.field is not None
    assert caught.value.field.endswith(".signature")


def test_cursor_numbers() -> None:
    cursor = Cursor(struct.pack("<IQ", 2, 3), 100)
    assert (cursor.u32("a"), cursor.u64("b")) == (2, 3)
    assert (cursor.offset, cursor.remaining) == (112, 0)
    for read in (cursor.u32, cursor.u64):
        with pytest.raises(ZipFormatError) as caught:
            read("wanted")
        assert (caught.value.offset, caught.value.field) == (112, "wanted")


def test_cursor_with_another_packages_error() -> None:
    class ImageError(Exception):
        pass

    def damaged(reason: str, offset: int, field: str) -> Exception:
        return ImageError(reason, offset, field)

    with pytest.raises(ImageError) as caught:
        Cursor(b"\x7f", 64, damaged).u32("e_ident")
    assert caught.value.args[1:] == (64, "e_ident")


def test_descriptor_forms() -> None:
    forms = DataDescriptor(1, 2, 3).forms()
    assert [len(form) for form in forms] == [24, 20, 16, 12]
    assert forms[0].startswith(b"PK\x07\x08")
    assert len(DataDescriptor(1, 1 << 32, 3).forms()) == 2


def test_extra_fields() -> None:
    extra = zip64_field(1, 2) + struct.pack("<HH", 0x5455, 1) + b"x"
    assert list(fields(extra, offset=0, header="local")) == [(1, struct.pack("<QQ", 1, 2)), (0x5455, b"x")]
    for size in range(1, len(extra)):
        if size == len(zip64_field(1, 2)):
            continue
        with pytest.raises(ZipFormatError) as caught:
            list(fields(extra[:size], offset=9, header="local"))
        assert (caught.value.offset, caught.value.field) == (9, "local.extra")


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (1_700_000_000, "2023-11-14 22:13:20"),
        (1_700_000_001, "2023-11-14 22:13:20"),
        (-1, "1980-01-01 00:00:00"),
        (315_532_800, "1980-01-01 00:00:00"),
        (315_532_802, "1980-01-01 00:00:02"),
        (4_354_819_198, "2107-12-31 23:59:58"),
        (1 << 60, "2107-12-31 23:59:58"),
    ],
)
def test_dos_times(timestamp: int, text: str) -> None:
    assert from_dos(*to_dos(timestamp)) == text


def test_impossible_dos_time_stays_visible() -> None:
    assert from_dos(0xFFFF, 0) == "1980-00-00 31:63:62"


@pytest.mark.parametrize(
    ("path", "name", "junked"),
    [
        ("model.gguf", "model.gguf", "model.gguf"),
        ("./model.gguf", "model.gguf", "model.gguf"),
        ("/a//b/./c", "a/b/c", "c"),
        (".args", ".args", ".args"),
        ("a/..b", "a/..b", "..b"),
    ],
)
def test_names_for_paths(path: str, name: str, junked: str) -> None:
    assert name_for(path) == name
    assert name_for(path, junk_directories=True) == junked


def test_climbing_path_only_with_junked_directories() -> None:
    assert name_for("../x", junk_directories=True) == "x"
    with pytest.raises(EntryNameError) as caught:
        name_for("../x")
    assert caught.value.name == "../x"
    assert "-j" in str(caught.value)


@pytest.mark.parametrize("path", ["/", ".", "./", "a/\n", "..", "a\\b"])
@pytest.mark.parametrize("junk", [True, False])
def test_paths_that_are_no_names(path: str, junk: bool) -> None:  # noqa: FBT001 -- pytest passes it by name
    with pytest.raises(EntryNameError):
        name_for(path, junk_directories=junk)


def test_good_names() -> None:
    for name in ("a", ".args", "a/b", "a..b", "...", "ünï", "dir/", " ", "ab:c", "1:b"):
        assert name_fault(name) is None


@pytest.mark.parametrize("old_size", [0, 1, 31, 32, 33, 511, 512, 5 << 40])
def test_marks(old_size: int) -> None:
    marker = AppendMarker(old_size)
    assert marker.offset >= old_size
    assert marker.end - old_size < 2 * AppendMarker.SIZE
    # No sector boundary inside, so no disk can write half of it.
    assert marker.offset // 512 == (marker.end - 1) // 512
    data = marker.pack()
    assert AppendMarker.unpack(data, marker.offset) == marker
    assert AppendMarker.unpack(data, marker.offset + 32) is None
    assert AppendMarker.unpack(data[:-1], marker.offset) is None
    for at in range(len(data)):
        assert AppendMarker.unpack(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], marker.offset) is None


@pytest.mark.parametrize("make", [lambda n: layout.aligned_header_offset(n, b"name", 4096)])
def test_header_offsets(make: Callable[[int], int]) -> None:
    size = layout.local_header_size(b"name")
    for start in (0, 1, 4096 - size - 1, 4096 - size, 4096 - size + 1, 4096, (1 << 40) + 7):
        offset = make(start)
        assert offset >= start
        assert offset - start < 4096
        assert (offset + size) % 4096 == 0
