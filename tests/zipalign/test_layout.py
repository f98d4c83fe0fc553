"""Plans of appends: the offsets and the size that writing then has."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from zipalign import Member, add_files, remove_entries
from zipalign.layout import NewMember, plan_append

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
