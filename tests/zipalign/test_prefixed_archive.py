"""Archives that another program put behind a program, without correcting their offsets; and the advice to users."""

from __future__ import annotations

import shlex
import subprocess
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from tests.conftest import tool
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.errors import PrefixedArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM: Final = b"program" * 500


def by_zipalign(path: Path) -> None:
    add_files(path, [Member("a", b"first"), Member("b", b"second")])


def by_zipfile(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"first")
        archive.writestr("b", b"second")


@pytest.mark.parametrize("make", [by_zipalign, by_zipfile])
def test_the_advice_corrects_it(make: Callable[[Path], None], tmp_path: Path) -> None:
    """All commands of the message, with the names filled in."""
    archive, joined = tmp_path / "archive", tmp_path / "joined"
    make(archive)
    joined.write_bytes(PROGRAM + archive.read_bytes())
    with pytest.raises(PrefixedArchiveError) as caught:
        add_files(joined, [Member("c", b"third")])
    assert caught.value.prefix_size == len(PROGRAM)
    advice = str(caught.value).split("again: ")[1].replace("zipalign", shlex.quote(tool("zipalign")), 1)
    for name in ("FILE", "PROGRAM", "ARCHIVE.zip"):
        advice = advice.replace(name, "joined" if name == "FILE" else name.lower())
    subprocess.run(["/bin/sh", "-ec", advice], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    corrected = tmp_path / "program"
    add_files(corrected, [Member("c", b"third")])
    assert check_archive(corrected).findings == ()
    assert corrected.read_bytes().startswith(PROGRAM)
    data = corrected.read_bytes()
    members = {entry.name: data[entry.data_offset : entry.data_end] for entry in read_archive(corrected).entries}
    assert members == {"a": b"first", "b": b"second", "c": b"third"}


def test_a_gap_before_the_end_record_is_no_prefix(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    by_zipfile(path)
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    path.write_bytes(data[:end] + bytes(10) + data[end:])
    with pytest.raises(ValueError, match="10 bytes lie between the directory and its end record"):
        read_archive(path)
