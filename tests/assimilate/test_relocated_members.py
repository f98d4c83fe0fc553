"""Members that would be overwritten, appended to the archive again."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from assimilate.errors import ForeignFileError
from assimilate.relocated_members import relocate_members
from tests.builders.zip import Item, build, deflated
from zipalign import Member, add_files, check_archive, read_archive

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"the data of a member " * 50


def append(path: Path, size: int) -> bytes:
    """Append the members in the first SIZE bytes, overwrite those bytes, and return the file."""
    data = path.read_bytes()
    relocated = relocate_members(read_archive(path), data, size)
    assert relocated is not None
    gap = -len(data) % 32 + 32  # the marker's place
    assert relocated.offset == len(data) + gap
    assert relocated.end == relocated.offset + len(relocated.members) + len(relocated.directory)
    data = b"#" * size + data[size:] + bytes(gap) + relocated.members + relocated.directory
    assert len(data) == relocated.end
    path.write_bytes(data)
    return data


def test_all_members_are_there_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"program" * 100)
    members = {"stored": b"1" * 5000, "empty": b"", "deflated.txt": DATA, "far": b"4" * 70000}
    add_files(path, [Member("stored", members["stored"]), Member("empty", b"")], alignment=16)
    add_files(path, [Member("deflated.txt", DATA)], level=9)
    add_files(path, [Member("far", members["far"])], alignment=16)
    far = read_archive(path).entry("far")
    assert far is not None

    data = append(path, far.header_offset)

    assert check_archive(path, alignment=16).ok
    with zipfile.ZipFile(path) as file:
        assert {name: file.read(name) for name in file.namelist()} == members
    archive = read_archive(path)
    assert archive.entry("far") == far
    for name in ("stored", "empty", "deflated.txt"):
        entry = archive.entry(name)
        assert entry is not None
        assert entry.header_offset > far.data_end
    stored = archive.entry("stored")
    assert stored is not None
    assert (stored.data_offset % 65536, data[stored.data_offset : stored.data_end]) == (0, members["stored"])


def test_other_makers_archives(tmp_path: Path) -> None:
    path = tmp_path / "x"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("läser.txt", DATA)
        file.writestr("b.txt", b"b")
        file.comment = b"a comment that stays"
    path.write_bytes(buffer.getvalue())
    second = read_archive(path).entry("b.txt")
    assert second is not None

    append(path, second.header_offset)

    with zipfile.ZipFile(path) as file:
        assert (file.read("läser.txt"), file.read("b.txt"), file.comment) == (DATA, b"b", b"a comment that stays")
        assert file.getinfo("läser.txt").external_attr >> 16 == 0o600


def test_what_no_unix_made_can_be_read_once_it_is_extracted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    item = Item(b"a", DATA, method=8, stored=deflated(DATA), central={"made_by": 20, "external": 0})
    path.write_bytes(build([item, Item(b"b", b"b")]))

    append(path, 30)

    entry = read_archive(path).entry("a")
    assert entry is not None
    assert entry.record.external_attributes >> 16 & 0o777 == 0o644


def test_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"#" * 100)
    add_files(path, [Member("a", b"a")], alignment=1)
    archive = read_archive(path)
    offset = archive.entries[0].header_offset

    assert relocate_members(archive, path.read_bytes(), offset) is None
    assert relocate_members(archive, path.read_bytes(), offset + 1) is not None


def test_too_much_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"#" * 100)
    with (tmp_path / "weights").open("wb") as file:
        file.truncate((64 << 20) + 1)
    add_files(path, [Member("weights", tmp_path / "weights"), Member("b", b"b")], durable=False)
    archive = read_archive(path)

    with pytest.raises(ForeignFileError, match="'weights' begins at"):
        relocate_members(archive, b"", archive.entries[0].data_offset)
    with pytest.raises(ForeignFileError, match="directory begins at"):
        relocate_members(archive, b"", archive.directory_offset + 1)
