"""Archives with members that must not be extracted: they are listed, kept byte for byte, and removed on demand."""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build, extra
from tests.zipalign.command import run
from zipalign import Member, add_files, check_archive, read_archive, remove_entries, survey_archive
from zipalign.archive import Entry, FaultyEntry
from zipalign.errors import OutOfBoundsError, ZipFormatError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Item(b"good.txt", b"good " * 9)
ALSO_GOOD = Item(b"also.txt", b"also")


@dataclass(frozen=True)
class Row:
    name: str  # as --list prints it, and --remove takes it
    items: tuple[Item, ...]
    reason: str


def _nested() -> tuple[Item, ...]:
    """Return an archive with a second member inside the first one's data."""
    inner = Item(b"inner.txt", b"x" * 20)
    outer = Item(b"outer.txt", inner.local_header() + inner.data)
    at = len(GOOD.local_header() + GOOD.data + outer.local_header())
    return outer, Item(b"inner.txt", inner.data, present=False, central={"offset": at})


OVERRUN = Item(b"odd", central_extra=struct.pack("<HH", 0x5455, 9) + bytes(5))
UNTRUE_PATH = Item(b"odd", central_extra=extra(0x7075, bytes(9)))
ROWS = [
    Row("odd", (Item(b"odd", flags=0x801),), "the member is encrypted"),
    Row("odd", (Item(b"odd", method=14),), "unsupported compression method (got 14"),
    Row("odd", (Item(b"odd", method=77),), "unsupported compression method (got 77"),
    Row("odd", (Item(b"odd", central={"disk": 3}),), "on another disk"),
    Row("../x", (Item(b"../x"),), "it leaves its directory"),
    Row("/etc/passwd", (Item(b"/etc/passwd"),), "it is an absolute path"),
    Row("C:x", (Item(b"C:x"),), "drive letter"),
    Row("a\\b", (Item(b"a\\b"),), "backslash"),
    Row("", (Item(b""),), "it is empty"),
    Row("a\\nb", (Item(b"a\nb"),), "control character"),
    Row("\\x1b[31m", (Item(b"\x1b[31m"),), "control character"),
    Row("\\xff\\xfe", (Item(b"\xff\xfe"),), "not UTF-8"),
    Row("odd", (Item(b"odd"), Item(b"odd", b"other")), "two members have this name"),
    Row("odd", (Item(b"odd", flags=0x801), Item(b"odd", b"other")), "the member is encrypted"),
    Row("inner.txt", _nested(), "overlaps 'outer.txt'"),
    Row("odd", (OVERRUN,), "overruns its header"),
    Row("odd", (UNTRUE_PATH,), "Unicode Path field"),
    Row("odd", (Item(b"odd", local_name=b"other"),), "disagrees with the directory on name"),
    Row("odd", (Item(b"odd", local={"crc": 4}),), "disagrees with the directory on crc"),
    Row("odd", (Item(b"odd", local={"signature": b"PK\3\5"}),), "wrong value"),
]
IDS = [f"{n} {row.reason}" for n, row in enumerate(ROWS)]
every_row = pytest.mark.parametrize("row", ROWS, ids=IDS)


@pytest.fixture
def path(row: Row, tmp_path: Path) -> Path:
    path = tmp_path / "x.zip"
    path.write_bytes(build([GOOD, *row.items, ALSO_GOOD]))
    return path


def _facts(member: Entry | FaultyEntry) -> tuple[object, ...]:
    """Return the facts that stay when the directory moves, without the offset of its headers."""
    fault = member.fault.reason if isinstance(member, FaultyEntry) else None
    return member.name, member.record, member.header_offset, fault


def _names(path: Path) -> list[str]:
    return [member.name for member in survey_archive(path).members]


@every_row
def test_users_of_members_are_refused(row: Row, path: Path) -> None:
    with pytest.raises(ZipFormatError) as caught:
        read_archive(path)
    assert row.reason in str(caught.value)
    assert caught.value.entry is not None


@every_row
def test_list_and_check_report(row: Row, path: Path) -> None:
    done = run("--list", path.name, cwd=path.parent)
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 2 + len(row.items))
    assert lines[0].endswith(" good.txt")
    assert lines[-1].endswith(" also.txt")
    assert any(f"  {row.name}  (fault: " in line and row.reason in line for line in lines)
    report = check_archive(path, alignment=1)
    assert any(row.reason in finding.message for finding in report.findings)
    assert not report.ok


@every_row
def test_adding_keeps_faulty_members(row: Row, path: Path) -> None:
    before = survey_archive(path)
    old = path.read_bytes()

    after = add_files(path, [Member("new.txt", b"new"), Member("good.txt", b"better")])

    assert path.read_bytes().startswith(old)
    kept = [member for member in before.members if member.name != "good.txt"]
    assert [_facts(member) for member in after.members[: len(kept)]] == [_facts(member) for member in kept]
    packed = b"".join(member.record.pack() for member in kept)
    assert packed in old
    assert packed in path.read_bytes()[after.directory_offset :]
    assert [member.name for member in after.members[len(kept) :]] == ["new.txt", "good.txt"]


@every_row
def test_removing_repairs(row: Row, path: Path) -> None:
    done = run("--remove", row.name, path.name, cwd=path.parent)

    assert (done.returncode, done.stderr) == (0, "")
    assert read_archive(path).entry("good.txt")
    assert check_archive(path, alignment=1).ok
    with zipfile.ZipFile(path) as other:
        assert other.read("also.txt") == b"also"


def test_all_of_several_members_with_one_name_are_removed_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    twins = build([Item(b"a", b"1"), GOOD, Item(b"a", b"2"), Item(b"a", b"3", method=14)])
    path.write_bytes(twins)
    assert [type(member) for member in survey_archive(path).members] == [Entry, Entry, FaultyEntry, FaultyEntry]
    remove_entries(path, ["a"])
    assert _names(path) == ["good.txt"]
    path.write_bytes(twins)
    add_files(path, [Member("a", b"4")])
    assert _names(path) == ["good.txt", "a"]
    assert check_archive(path, alignment=1).ok


def test_a_member_beyond_the_directory_goes_first(tmp_path: Path) -> None:
    """Bytes that are added later would become a part of it, and perhaps make it look sound."""
    path = tmp_path / "x.zip"
    long = {"csize": 60, "size": 60}
    for odd in (Item(b"odd", b"12345", local=long, central=long), Item(b"odd", central={"offset": 1 << 20})):
        path.write_bytes(build([GOOD, ALSO_GOOD, odd]))
        old = path.read_bytes()
        with pytest.raises(OutOfBoundsError, match="remove it first") as caught:
            add_files(path, [Member("a", b"a")])
        assert caught.value.entry == "odd"
        with pytest.raises(OutOfBoundsError, match="remove it first"):
            remove_entries(path, ["also.txt"])
        assert path.read_bytes() == old
        remove_entries(path, ["odd"])
        assert _names(path) == ["good.txt", "also.txt"]


def test_faulty_members_in_json(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(build([GOOD, Item(b"\xff", method=14), Item(b"../x")]))
    listed = json.loads(run("--list", "--json", "x.zip", cwd=tmp_path).stdout)
    assert [member["name"] for member in listed["members"]] == ["good.txt"]
    assert [(member["name"], member["kind"]) for member in listed["faulty"]] == [
        ("\\xff", "central.name"),
        ("../x", "central.name"),
    ]


def test_a_directory_that_is_no_list_of_headers_is_still_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for damaged in (
        build([GOOD, Item(b"b", central={"signature": b"PK\1\3"})]),
        build([GOOD], end={"entries": 2, "entries_here": 2}),
        build([Item(central={"name_size": 60000})]),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ZipFormatError):
            survey_archive(path)
        with pytest.raises(ZipFormatError):
            add_files(path, [Member("a", b"a")])
        assert path.read_bytes() == damaged
