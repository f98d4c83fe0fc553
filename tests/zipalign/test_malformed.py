"""Every known way to make a ZIP file wrong, in one table; the odd ones that are right stand in the same table."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import ALL_ONES, Item, build, deflated, extra, zip64_extra
from zipalign.check import Severity, check_archive
from zipalign.errors import NotAnArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ABSENT = "absent"  # the file is no archive
FINE = "fine"  # accepted without a word
NOTED = "noted"  # accepted, with a note


@dataclass(frozen=True)
class Row:
    group: str
    name: str
    make: Callable[[], bytes] | Callable[[], tuple[int, bytes]]  # the file, or a hole's size and the bytes behind it
    expected: str  # one of the above, or the field a fault names
    entry: str | None = None  # the member it names


ONE = Item()
TWO = Item(b"b.txt", b"world")
DEFLATED = Item(method=8, data=b"hello " * 50)
NO_END = b"just some text, and long enough to hold an end record twice over, had it one.  " * 4


def _end(entries: int = 0, size: int = 0, offset: int = 0, comment_size: int = 0) -> bytes:
    return struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, size, offset, comment_size)


def _two_ends() -> bytes:
    first = build([ONE])
    inner = _end(offset=len(first))
    return build([ONE], comment=inner)


def _truncated_second_header() -> bytes:
    whole = build([ONE])
    size = len(ONE.central_header(0))
    assert len(whole) > size
    counts = {"entries": 2, "entries_here": 2, "directory_size": size + 20}
    return build([ONE], before_end=b"PK\x01\x02" + bytes(16), end=counts)


def _nested(reach: int) -> bytes:
    """Return an archive with a second member's header inside the first one's data, and `reach` of its data beyond."""
    inner = Item(b"inner.txt", b"x" * 20)
    header = inner.local_header()
    first = Item(b"outer.txt", header + b"x" * (20 - reach))
    at = len(first.local_header())
    return build(
        [first, Item(b"inner.txt", b"x" * 20, present=False, central={"offset": at}), Item(b"z", b"x" * reach)]
    )


def _old_directory() -> bytes:
    before = build([ONE])
    added = Item(b"b.txt", b"new")
    replaced = Item(ONE.name, b"newer")
    return build([added, replaced], prefix=before)


def _llamafile_made() -> bytes:
    """Return an archive like those of llamafile's own zipalign: gaps before headers, and ZIP64 throughout."""
    data = b"GGUF" * 100
    local_header_size = 30 + len(b"model.gguf") + 20
    gap = bytes(-(len(b"MZqFpD") + local_header_size) % 65536)
    ones = {"csize": ALL_ONES, "size": ALL_ONES, "version": 45}
    sizes = (len(data), len(data))
    offset = len(b"MZqFpD") + len(gap)
    item = Item(
        b"model.gguf",
        data,
        local=ones,
        local_extra=zip64_extra(*sizes),
        central={**ones, "offset": ALL_ONES, "made_by": 3 << 8 | 45},
        central_extra=zip64_extra(*sizes, offset),
        gap=gap,
    )
    return build([item], prefix=b"MZqFpD", end64={}, locator={}, end={"directory_offset": ALL_ONES})


def _literal_ones() -> tuple[int, bytes]:
    """Return a member whose offset is exactly all ones, without a ZIP64 field."""
    end = {"directory_offset": ALL_ONES}
    return ALL_ONES, build([ONE], shift=ALL_ONES, end64={}, locator={"record_offset": ALL_ONES + _size()}, end=end)


def _size() -> int:
    return len(ONE.local_header()) + len(ONE.data) + len(ONE.central_header(0))


def _descriptor(crc: int, csize: int, size: int, *, signed: bool = True) -> bytes:
    deferred = {"crc": 0, "csize": 0, "size": 0}
    values = struct.pack("<III", crc, csize, size)
    return build([Item(flags=0x0808, local=deferred, descriptor=(b"PK\x07\x08" if signed else b"") + values)])


def _zip64_central(ones: tuple[str, ...], value: bytes) -> bytes:
    return build([Item(central=dict.fromkeys(ones, ALL_ONES), central_extra=extra(1, value))])


def _unicode_path(name: bytes, better: bytes) -> bytes:
    return extra(0x7075, b"\x01" + struct.pack("<I", zlib.crc32(name)) + better)


def _end_rows() -> list[Row]:
    prefix = b"MZqFpD='\n" + bytes(500)
    comment = b"an end record, PK\x05\x06, and some more text behind it"
    cut = {"comment_size": 1}
    group = "end"
    return [
        Row(group, "empty file", lambda: b"", ABSENT),
        Row(group, "shorter than an end record", lambda: b"PK\x05\x06" + bytes(10), ABSENT),
        Row(group, "no end record", lambda: NO_END, ABSENT),
        Row(group, "signature inside the comment", lambda: build(comment=comment), "end.comment"),
        Row(group, "comment longer than the tail", lambda: build(end={"comment_size": 9}), "end.comment_size"),
        Row(group, "comment shorter", lambda: build(comment=b"abc", end=cut), "end.comment_size"),
        Row(group, "trailing garbage", lambda: build(trailing=b"\n"), "end.comment_size"),
        Row(group, "prefix with absolute offsets", lambda: build(prefix=prefix), FINE),
        Row(group, "prefix with relative offsets", lambda: build(prefix=prefix, shift=-509), "end.directory_offset"),
        Row(group, "two end records", _two_ends, "end.signature"),
        Row(group, "disk number", lambda: build(end={"disk": 1}), "end.disk"),
        Row(group, "entries on this disk", lambda: build(end={"entries_here": 0}), "end.entries_on_disk"),
        Row(group, "count too high", lambda: build(end={"entries": 2, "entries_here": 2}), "end.entries"),
        Row(group, "count too low", lambda: build([ONE, TWO], end={"entries": 1, "entries_here": 1}), "end.entries"),
        Row(group, "directory too big", lambda: build(end={"directory_size": 80}), "end.directory_offset"),
        Row(group, "directory too small", lambda: build(end={"directory_size": 40}), "end.directory_offset"),
        Row(group, "directory past the end", lambda: build(end={"directory_offset": 1 << 30}), "end.directory_offset"),
        Row(group, "gap before the end record", lambda: build(before_end=bytes(7)), "end.directory_offset"),
    ]


def _zip64_rows() -> list[Row]:
    both = ("csize", "size")
    counts = {"entries": 2, "entries_here": 2}
    huge = {"entries": 1 << 63, "entries_here": 1 << 63}
    unknown = {"entries": 0xFFFF, "entries_here": 0xFFFF}
    needless = Item(local_extra=zip64_extra(5, 5), central_extra=zip64_extra(5, 5))
    twice = Item(central={"size": ALL_ONES}, central_extra=zip64_extra(5) + zip64_extra(5))
    off = Item(central={"size": ALL_ONES}, central_extra=zip64_extra(5 + (1 << 32)))
    field = "central.extra.zip64"
    group = "zip64"
    return [
        Row(group, "locator without record", lambda: build(locator={}), "locator.record_offset"),
        Row(group, "record without locator", lambda: build(end64={}), "locator.signature"),
        Row(
            group,
            "locator offset",
            lambda: build(end64={}, locator={"record_offset": 3}),
            "locator.record_offset",
        ),
        Row(group, "several disks", lambda: build(end64={}, locator={"disks": 2}), "locator.disks"),
        Row(group, "extensible data", lambda: build(end64={"record_size": 45}, locator={}), "end64.record_size"),
        Row(group, "end records disagree", lambda: build(end64=counts, locator={}), "end.entries_on_disk"),
        Row(group, "2^63 entries", lambda: build(end64=huge, locator={}, end=unknown), "end.entries"),
        Row(group, "all ones without ZIP64", _literal_ones, FINE),
        Row(group, "field lacks the size", lambda: _zip64_central(("size",), b""), field, "a.txt"),
        Row(group, "field lacks the compressed size", lambda: _zip64_central(both, bytes(8)), field, "a.txt"),
        Row(group, "field lacks the offset", lambda: _zip64_central((*both, "offset"), bytes(16)), field, "a.txt"),
        Row(group, "field too long", lambda: _zip64_central(("size",), bytes(36)), field, "a.txt"),
        Row(group, "field too short", lambda: _zip64_central(("size",), bytes(4)), field, "a.txt"),
        Row(group, "field twice", lambda: build([twice]), "central.extra", "a.txt"),
        Row(group, "needless field", lambda: build([needless]), FINE),
        Row(group, "size off by 4 GiB", lambda: build([off]), "central.compressed_size", "a.txt"),
    ]


def _directory_rows() -> list[Row]:
    name = "central.name"
    group = "directory"
    nfc = [Item(b"A.txt"), Item(b"a.txt"), Item("é".encode()), Item("e\u0301".encode())]
    stale = Item(b"a.txt", central_extra=_unicode_path(b"b.txt", b"c.txt"))
    overrun = Item(central_extra=struct.pack("<HH", 0x5455, 9) + bytes(5))
    return [
        Row(
            group,
            "bad signature",
            lambda: build([ONE, Item(b"b", central={"signature": b"PK\x01\x03"})]),
            "central.signature",
        ),
        Row(group, "fixed part cut short", _truncated_second_header, "central"),
        Row(group, "name overruns the directory", lambda: build([Item(central={"name_size": 60000})]), name),
        Row(group, "stray bytes in the extra", lambda: build([Item(central_extra=bytes(3))]), "central.extra", "a.txt"),
        Row(group, "extra overruns", lambda: build([overrun]), "central.extra", "a.txt"),
        Row(group, "duplicate name", lambda: build([ONE, ONE]), name, "a.txt"),
        Row(group, "twins in case and Unicode form", lambda: build(nfc), NOTED),
        Row(group, "NUL in a name", lambda: build([Item(b"a\0b")]), name, "a\0b"),
        Row(group, "control character", lambda: build([Item(b"a\nb")]), name, "a\nb"),
        Row(group, "absolute path", lambda: build([Item(b"/etc/passwd")]), name, "/etc/passwd"),
        Row(group, "drive letter", lambda: build([Item(b"C:x")]), name, "C:x"),
        Row(group, "climbing path", lambda: build([Item(b"a/../../b")]), name, "a/../../b"),
        Row(group, "backslash", lambda: build([Item(b"a\\b")]), name, "a\\b"),
        Row(group, "invalid UTF-8", lambda: build([Item(b"\xff\xfe")]), name, "\\xff\\xfe"),
        Row(group, "Unicode path of another name", lambda: build([stale]), "central.extra.unicode_path", "a.txt"),
        Row(group, "unsupported method", lambda: build([Item(method=93)]), "central.method", "a.txt"),
        Row(group, "encrypted", lambda: build([Item(flags=0x2801)]), "central.flags", "a.txt"),
    ]


def _local_rows() -> list[Row]:
    group = "local"
    far = {"offset": 1 << 20}
    hidden = Item(b"hidden.txt", listed=False)
    missing = [Item(b"gone.txt", present=False), Item(b"b.txt", gap=bytes(100))]
    return [
        Row(group, "bad signature", lambda: build([Item(local={"signature": b"PK\3\5"})]), "local.signature", "a.txt"),
        Row(group, "offset past the end", lambda: build([Item(central=far)]), "central.header_offset", "a.txt"),
        Row(group, "name differs", lambda: build([Item(local_name=b"b.txt")]), "local.name", "a.txt"),
        Row(group, "size differs", lambda: build([Item(local={"size": 4})]), "local.size", "a.txt"),
        Row(group, "CRC differs", lambda: build([Item(local={"crc": 4})]), "local.crc", "a.txt"),
        Row(group, "method differs", lambda: build([Item(local={"method": 8})]), "local.method", "a.txt"),
        Row(group, "flags differ", lambda: build([Item(local={"flags": 0})]), "local.flags", "a.txt"),
        Row(group, "header without directory entry", lambda: build([ONE, hidden, TWO]), "local.signature"),
        Row(group, "directory entry without header", lambda: build(missing), "local.signature", "gone.txt"),
    ]


def _data_rows() -> list[Row]:
    group = "data"
    crc = zlib.crc32(b"hello")
    stream = deflated(DEFLATED.data)
    less = {"size": 290}
    bomb = {"size": 1 << 30}
    wrong = {"crc": 1}
    unequal = {"size": 9}
    return [
        Row(
            group,
            "stored with two sizes",
            lambda: build([Item(local=unequal, central=unequal)]),
            "central.compressed_size",
            "a.txt",
        ),
        Row(group, "bad CRC", lambda: build([Item(local=wrong, central=wrong)]), "data.crc", "a.txt"),
        Row(
            group,
            "deflate cut short",
            lambda: build([Item(method=8, data=DEFLATED.data, stored=stream[:-2])]),
            "data",
            "a.txt",
        ),
        Row(
            group,
            "bytes behind deflate",
            lambda: build([Item(method=8, data=DEFLATED.data, stored=stream + b"\0")]),
            "data",
            "a.txt",
        ),
        Row(
            group,
            "more output than declared",
            lambda: build([Item(method=8, data=DEFLATED.data, local=less, central=less)]),
            "data",
            "a.txt",
        ),
        Row(group, "descriptor without signature", lambda: _descriptor(crc, 5, 5, signed=False), FINE),
        Row(group, "descriptor with wrong CRC", lambda: _descriptor(crc ^ 1, 5, 5), "descriptor", "a.txt"),
        Row(group, "descriptor with wrong compressed size", lambda: _descriptor(crc, 6, 5), "descriptor", "a.txt"),
        Row(group, "descriptor with wrong size", lambda: _descriptor(crc, 5, 6), "descriptor", "a.txt"),
        Row(
            group,
            "ratio bomb",
            lambda: build([Item(method=8, data=DEFLATED.data, local=bomb, central=bomb)]),
            "central.size",
            "a.txt",
        ),
        Row(group, "full overlap", lambda: _nested(0), "central.header_offset", "inner.txt"),
        Row(group, "quoted overlap", lambda: _nested(10), "central.header_offset", "inner.txt"),
        Row(group, "directory with data", lambda: build([Item(b"a/")]), "central.size", "a/"),
    ]


def _ape_rows() -> list[Row]:
    group = "ape"
    image = b"MZqFpD='\n" + bytes(60) + b"PK\x05\x06" + bytes(300)
    model = Item(b"m.gguf", b"GGUF" + bytes(900) + _end(1, 46, 0, 4) + bytes(30))
    torn = build([ONE]) + bytes(70000)
    return [
        Row(group, "signature in a program", lambda: image, ABSENT),
        Row(group, "signature in a model", lambda: build([model]), FINE),
        Row(group, "old directory left behind", _old_directory, FINE),
        Row(group, "signature in a name", lambda: build([Item(b"PK\x05\x06")]), "central.name", "PK\x05\x06"),
        Row(group, "directory far from the end", lambda: torn, ABSENT),
        Row(group, "made by llamafile's zipalign", _llamafile_made, FINE),
    ]


ROWS = [*_end_rows(), *_zip64_rows(), *_directory_rows(), *_local_rows(), *_data_rows(), *_ape_rows()]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.group}: {row.name}" for row in ROWS])
def test_row(row: Row, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    made = row.make()
    hole, data = (0, made) if isinstance(made, bytes) else made
    with path.open("wb") as file:
        file.truncate(hole)
        file.seek(hole)
        file.write(data)
    if row.expected == ABSENT:
        with pytest.raises(NotAnArchiveError):
            check_archive(path, alignment=1)
        return
    report = check_archive(path, alignment=1)
    faults = [(finding.kind, finding.entry) for finding in report.findings if finding.severity is Severity.FAULT]
    notes = [finding for finding in report.findings if finding.severity is Severity.NOTE]
    if row.expected in {FINE, NOTED}:
        assert not faults
        assert bool(notes) == (row.expected == NOTED)
    else:
        assert faults[0] == (row.expected, row.entry)


def test_table_is_complete() -> None:
    assert Counter(row.group for row in ROWS) == {
        "end": 18,
        "zip64": 16,
        "directory": 17,
        "local": 9,
        "data": 13,
        "ape": 6,
    }
