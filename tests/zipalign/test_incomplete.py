"""Files of which the end is missing, as after an interrupted download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zipalign import Member, add_files, read_archive
from zipalign.errors import IncompleteFileError, NotAnArchiveError, TrailingDataError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = bytes(range(256)) * 2000


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A program with an archive of its own, as the runtime has."""
    path = tmp_path / "runtime"
    path.write_bytes(b"program" * 10000)
    add_files(path, [Member("pages/index.html", b"<p>")])
    return path


@pytest.mark.parametrize("missing", [1, 1000, len(WEIGHTS) - 1])
def test_a_member_that_ends_early(missing: int, runtime: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    old_size = runtime.stat().st_size
    path.write_bytes(runtime.read_bytes())
    add_files(path, [Member("weights.gguf", WEIGHTS)])
    entry = read_archive(path).entry("weights.gguf")
    assert entry is not None
    data = path.read_bytes()[: entry.data_end - missing]
    path.write_bytes(data)
    with pytest.raises(IncompleteFileError, match=r"'weights\.gguf'.* fetch it again") as caught:
        add_files(path, [Member(".args", b"-m")])
    assert (caught.value.missing, caught.value.archive_end, caught.value.entry) == (missing, old_size, "weights.gguf")
    assert path.read_bytes() == data
    with pytest.raises((NotAnArchiveError, TrailingDataError)):
        read_archive(path)


def test_other_bytes_behind_an_archive(runtime: Path) -> None:
    """A signature, or a complete member without its directory: the advice stays."""
    with runtime.open("ab") as file:
        file.write(b"signature" * 10000)
    with pytest.raises(TrailingDataError, match="--recover") as caught:
        add_files(runtime, [Member("a", b"a")])
    assert not isinstance(caught.value, IncompleteFileError)


def test_a_file_without_any_archive_may_be_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "x.llamafile"
    path.write_bytes(b"program" * 10000)
    with pytest.raises(NotAnArchiveError, match="if it was fetched, it may be incomplete"):
        read_archive(path)
