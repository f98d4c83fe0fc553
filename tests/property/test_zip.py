"""Properties of all archives, on generated input."""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.builders.zip import Item, build
from zipalign import Member, ZipalignError, add_files, check_archive, read_archive, recover, remove_entries
from zipalign.append_marker import AppendMarker
from zipalign.cursor import Cursor
from zipalign.dostime import from_dos, to_dos
from zipalign.errors import EntryNameError, ZipFormatError
from zipalign.extra import Zip64Values, apply_zip64, fields, zip64_field
from zipalign.names import check_name, name_fault, name_for
from zipalign.records import CentralHeader, EndRecord, LocalHeader, Zip64EndRecord, Zip64Locator

SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, (1 << 64) - 1)
short = st.binary(max_size=300)
names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\\/:"), min_size=1, max_size=40
).filter(lambda name: name != "..")
members = st.dictionaries(names, st.binary(max_size=5000), max_size=6)
alignments = st.integers(0, 16).map(lambda power: 1 << power)


def _write(directory: str, data: bytes) -> Path:
    path = Path(directory) / "x"
    path.write_bytes(data)
    return path


@SETTINGS
@given(
    st.one_of(
        st.builds(LocalHeader, u16, u16, u16, u16, u16, u32, u32, u32, short, short),
        st.builds(CentralHeader, u16, u16, u16, u16, u16, u16, u32, u32, u32, short, short, short, u16, u16, u32, u32),
        st.builds(EndRecord, u16, u16, u16, u16, u32, u32, short),
        st.builds(Zip64EndRecord, u64, u16, u16, u32, u32, u64, u64, u64, u64),
        st.builds(Zip64Locator, u32, u64, u32),
    )
)
def test_records_round_trip(record: Any) -> None:
    cursor = Cursor(record.pack())
    assert type(record).unpack(cursor) == record
    assert not cursor.remaining


@SETTINGS
@given(prefix=short, contents=members, alignment=alignments, level=st.integers(0, 9))
def test_what_was_added_is_read_back(prefix: bytes, contents: dict[str, bytes], alignment: int, level: int) -> None:
    assume(not prefix.startswith(b"PK\x03\x04"))  # which a reader of the stream would take for a member
    with tempfile.TemporaryDirectory() as directory:
        path = _write(directory, prefix)
        items = [Member(name, data) for name, data in contents.items()]
        archive = add_files(path, items, alignment=alignment, level=level, durable=False)
        assert path.read_bytes().startswith(prefix)
        assert [entry.name for entry in archive.entries] == list(contents)
        end = len(prefix)
        for entry in archive.entries:
            assert entry.header_offset >= end
            assert entry.data_offset % alignment == 0
            end = entry.data_end
        assert archive.directory_offset >= end
        assert check_archive(path, alignment=alignment).ok
        with zipfile.ZipFile(path) as other:
            assert {info.filename: info.file_size for info in other.infolist()} == {
                name: len(data) for name, data in contents.items()
            }
            assert other.testzip() is None


@pytest.mark.slow
@SETTINGS
@given(rounds=st.lists(members, min_size=2, max_size=4), alignment=alignments)
def test_appending_keeps_every_old_byte(rounds: list[dict[str, bytes]], alignment: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = _write(directory, b"")
        expected: dict[str, bytes] = {}
        for contents in rounds:
            before = path.read_bytes()
            items = [Member(name, data) for name, data in contents.items()]
            add_files(path, items, alignment=alignment, durable=False)
            assert path.read_bytes().startswith(before)
            expected |= contents
        data = path.read_bytes()
        archive = read_archive(path)
        assert {entry.name: data[entry.data_offset : entry.data_end] for entry in archive.entries} == expected
        assert check_archive(path, alignment=alignment).ok
        if expected:
            assert not remove_entries(path, list(expected), durable=False).entries


@SETTINGS
@given(old=st.one_of(short, st.just(build()), st.just(build(comment=b"c"))), tail=st.binary(max_size=3000))
def test_whatever_follows_a_mark_is_cut_off(old: bytes, tail: bytes) -> None:
    marker = AppendMarker(len(old))
    with tempfile.TemporaryDirectory() as directory:
        path = _write(directory, old + bytes(marker.offset - len(old)) + marker.pack() + tail)
        trailing = recover(path)
        assert trailing is not None
        assert trailing.is_marked
        assert path.read_bytes() == old


def _survives(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = _write(directory, data)
        try:
            check_archive(path)
        except ZipalignError:
            pass
        else:
            return
        try:
            recover(path)
        except ZipalignError:
            assert path.read_bytes() == data


@SETTINGS
@given(st.binary(max_size=600))
def test_arbitrary_bytes(data: bytes) -> None:
    _survives(data)


@SETTINGS
@given(st.binary(max_size=200), st.data())
def test_arbitrary_bytes_behind_a_signature(tail: bytes, data: st.DataObject) -> None:
    signatures = st.sampled_from([b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"])
    parts = data.draw(st.lists(st.one_of(signatures, st.binary(max_size=60)), max_size=8))
    _survives(b"".join(parts) + b"PK\x05\x06" + tail)


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=12))
def test_mutated_archives(changes: list[tuple[int, int]]) -> None:
    data = bytearray(build([Item(b"a.txt", b"hello " * 9, method=8), Item(b"b.txt")], end64={}, locator={}))
    for at, value in changes:
        data[at % len(data)] = value
    _survives(bytes(data))


@SETTINGS
@given(narrow=st.builds(Zip64Values, u32, u32, u32, u16), value=st.one_of(st.none(), st.binary(max_size=40)))
def test_widening_never_shrinks_and_never_guesses(narrow: Zip64Values, value: bytes | None) -> None:
    try:
        wide = apply_zip64(narrow, value, offset=0, header="central")
    except ZipFormatError:
        return
    for before, after, ones in zip(narrow, wide, (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF), strict=True):
        assert before in {after, ones}


@SETTINGS
@given(u64, u64, u64)
def test_zip64_fields_round_trip(size: int, compressed_size: int, offset: int) -> None:
    ((field_id, value),) = fields(zip64_field(size, compressed_size, offset), offset=0, header="central")
    assert field_id == 1
    ones = Zip64Values(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    assert apply_zip64(ones, value, offset=0, header="central") == (size, compressed_size, offset, 0)


@SETTINGS
@given(st.integers(-(1 << 40), 1 << 40))
def test_dos_times_are_the_last_even_second_in_range(timestamp: int) -> None:
    dos_time, dos_date = to_dos(timestamp)
    assert 0 <= dos_time <= 0xFFFF
    assert 0 <= dos_date <= 0xFFFF
    assert "1980-01-01 00:00:00" <= from_dos(dos_time, dos_date) <= "2107-12-31 23:59:58"
    assert to_dos(timestamp - timestamp % 2) == (dos_time, dos_date)


@SETTINGS
@given(st.text(max_size=60), st.booleans())
def test_names_are_good_or_refused(path: str, junk: bool) -> None:  # noqa: FBT001 -- hypothesis passes it so
    try:
        name = name_for(path, junk_directories=junk)
    except EntryNameError:
        return
    assert name_fault(name) is None
    assert check_name(name).decode() == name
    assert name_for(name) == name


@SETTINGS
@given(st.binary(max_size=300), st.integers(0, 100))
def test_extra_fields_cover_their_bytes(extra: bytes, place: int) -> None:
    try:
        found = list(fields(extra, offset=place, header="local"))
    except ZipFormatError:
        return
    assert b"".join(struct.pack("<HH", field_id, len(value)) + value for field_id, value in found) == extra


@SETTINGS
@given(st.binary(min_size=1, max_size=2000), st.data())
def test_a_changed_byte_of_data_is_found(content: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x"
        entry = add_files(path, [Member("a", content)], durable=False).entries[0]
        assert entry.crc == zlib.crc32(content)
        changed = bytearray(path.read_bytes())
        changed[entry.data_offset + data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(changed)
        assert [finding.kind for finding in check_archive(path).findings] == ["data.crc"]
