"""Plans of appends: the offsets and the size that writing then has."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from zipalign import Member, add_files, check_archive, read_archive, remove_entries
from zipalign.extents import hole_size
from zipalign.layout import NewMember, moved_header, plan_append

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = {"a": b"1" * 1000, "b" * 50: b"", "c/d": b"3" * 70000}


def other_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("kept", b"old data")
        file.comment = b"a comment"
    return buffer.getvalue()


@pytest.mark.parametrize("alignment", [1, 64, 65536])
@pytest.mark.parametrize("old", [b"", b"#" * 33, other_archive()], ids=["new", "program", "archive"])
def test_add_files_writes_what_is_planned(old: bytes, alignment: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(old)
    kept = b"PK" in old
    # A directory header of Python's has 46 bytes and the name.
    sizes = {"kept_size": 46 + len("kept"), "comment_size": len("a comment")} if kept else {}
    members = [NewMember(name.encode(), len(data), alignment) for name, data in CONTENTS.items()]
    plan = plan_append(len(old), members, **sizes)

    archive = add_files(path, [Member(name, data) for name, data in CONTENTS.items()], alignment=alignment)

    added = [entry for entry in archive.entries if entry.name in CONTENTS]
    planned = [(member.header_offset, member.data_offset, member.data_end) for member in plan.members]
    assert [(entry.header_offset, entry.data_offset, entry.data_end) for entry in added] == planned
    assert (archive.directory_offset, archive.directory_size) == (plan.directory_offset, plan.directory_size)
    assert path.stat().st_size == plan.end


def test_remove_entries_writes_what_is_planned(tmp_path: Path) -> None:
    path = tmp_path / "x"
    archive = add_files(path, [Member(name, data) for name, data in CONTENTS.items()])
    kept = archive.entries[0].record.packed_size
    plan = plan_append(archive.file_size, (), kept_size=kept)

    assert remove_entries(path, list(CONTENTS)[1:]).file_size == plan.end


LARGE, SMALL = b"x" * 65536, b"x" * 65535


def test_default_alignment(tmp_path: Path) -> None:
    """Data that can be mapped and is large enough for a gap has the large alignment, other data the small one."""
    path = tmp_path / "x"
    add_files(path, [Member("small", SMALL), Member("large", LARGE), Member("empty", b"")])
    archive = add_files(path, [Member("deflated", LARGE * 2)], level=1)
    multiples = {"small": 64, "large": 65536, "empty": 64, "deflated": 64}
    assert {entry.name: entry.data_offset % multiples[entry.name] for entry in archive.entries} == dict.fromkeys(
        multiples, 0
    )
    small, large, _, deflated = archive.entries
    assert small.data_offset < 65536
    assert large.header_offset > large.data_offset - 100
    assert deflated.header_offset - archive.entries[2].data_end < 1000
    assert check_archive(path).ok


def test_many_small_members_take_little_space(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    archive = add_files(path, [Member(f"{n:04}", b"tiny") for n in range(1000)])
    assert archive.file_size < 300_000
    assert check_archive(path).ok


def test_alignment_that_is_asked_for_holds_for_all_members(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    archive = add_files(path, [Member("small", b"x"), Member("large", LARGE)], alignment=65536)
    assert all(entry.data_offset % 65536 == 0 for entry in archive.entries)


@pytest.mark.parametrize(("data", "alignment", "ok"), [(SMALL, 64, True), (SMALL, 32, False), (LARGE, 64, False)])
def test_check_requires_the_default_alignment(data: bytes, alignment: int, ok: bool, tmp_path: Path) -> None:  # noqa: FBT001 -- a parameter
    path = tmp_path / "x"
    path.write_bytes(bytes(60))  # the offset is then an odd multiple of the alignment
    add_files(path, [Member("m", data)], alignment=alignment)
    assert read_archive(path).entries[0].alignment == alignment
    assert check_archive(path).ok is ok


def test_space_is_left_before_the_first_member(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"#" * 100)
    plan = plan_append(100, [NewMember(b"a", 3, 4096), NewMember(b"b", 3, 4096)], reserve=1 << 20)

    archive = add_files(path, [Member("a", b"aaa"), Member("b", b"bbb")], alignment=4096, reserve=1 << 20)

    assert [entry.data_offset for entry in archive.entries] == [member.data_offset for member in plan.members]
    assert (archive.file_size, plan.members[0].header_offset > 1 << 20) == (plan.end, True)
    assert plan.members[1].data_offset == plan.members[0].data_offset + 4096
    assert check_archive(path, alignment=4096).ok
    with path.open("rb") as file:
        assert hole_size(file.fileno(), 4096, 1 << 20) == (1 << 20) - 4096


def test_headers_of_moved_members(tmp_path: Path) -> None:
    """Python's header with an extra field, moved beyond 4 GiB."""
    extra = b"\x99\x99\x02\x00ab"
    path = tmp_path / "x"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("kept")
        info.extra = extra
        file.writestr(info, b"old data")
    entry = read_archive(path).entries[0]

    moved = moved_header(entry, 5 << 32)

    size = struct.pack("<HHQQQ", 1, 24, 8, 8, 5 << 32)
    assert moved.extra == size + extra
    assert (moved.size, moved.compressed_size, moved.header_offset, moved.version_needed) == (*[0xFFFFFFFF] * 3, 45)
    assert (moved.name, moved.crc, moved.method) == (entry.record.name, entry.crc, entry.method)
