"""Sparse files: their holes stay holes in archives and copies, and count as zeros in the CRC."""

from __future__ import annotations

import errno
import os
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.zipalign.command import run
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.copying import copy_file
from zipalign.extents import Extent, extents, hole_size
from zipalign.import_archive import imported_inputs
from zipalign.member import input_for
from zipalign.output_file import OutputFile
from zipalign.update import add_inputs, preview

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 1 << 16
# Data, or a number of bytes in a hole.
FORMS: dict[str, list[bytes | int]] = {
    "hole between data": [b"begin" * 1000, 9 << 20, b"end" * 30_000],
    "hole first": [6 << 20, b"end" * 30_000],
    "hole last": [b"begin" * 30_000, 6 << 20],
    "hole only": [5 << 20],
    "small": [b"begin", 3 * BLOCK, b"end"],
}


def _sparse(path: Path, parts: list[bytes | int]) -> bytes:
    """Write a file with holes, and return its content; skip the test where files have none."""
    with path.open("wb") as file:
        for part in parts:
            if isinstance(part, int):
                file.truncate(file.tell() + part)
                file.seek(0, os.SEEK_END)
            else:
                file.write(part)
                file.flush()
                file.seek(-file.tell() % BLOCK, os.SEEK_CUR)
        file.truncate(file.tell())
        os.fsync(file.fileno())
        if not hole_size(file.fileno(), 0, file.tell()):
            pytest.skip("the file system of the temporary folder has no sparse files")
    return path.read_bytes()


def _space(path: Path) -> int:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_blocks * 512


@pytest.fixture(params=FORMS)
def sparse(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bytes]:
    path = tmp_path / "sparse"
    return path, _sparse(path, FORMS[request.param])


def test_extents_cover_a_range(sparse: tuple[Path, bytes]) -> None:
    path, data = sparse
    with path.open("rb") as file:
        for start, end in ((0, len(data)), (100, len(data) - 100), (0, len(data) + 1000)):
            found = list(extents(file.fileno(), start, end))
            assert [found[0].start, found[-1].end] == [start, min(end, len(data))]
            assert all(first.end == second.start for first, second in pairwise(found))
            assert any(extent.is_hole for extent in found)
            assert not any(data[extent.start : extent.end].strip(b"\0") for extent in found if extent.is_hole)


def test_range_without_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    with (tmp_path / "x").open("rb") as file:
        assert list(extents(file.fileno(), 2, 2)) == []
        assert list(extents(file.fileno(), 9, 20)) == []
        assert list(extents(file.fileno(), 1, 20)) == [Extent(1, 4, is_hole=False)]


def test_systems_without_holes(sparse: tuple[Path, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = sparse

    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    for name in ("lseek", "SEEK_DATA"):
        with monkeypatch.context() as patch:
            if name == "lseek":
                patch.setattr(os, "lseek", refuse)
            else:
                patch.delattr(os, "SEEK_DATA")
            with path.open("rb", buffering=0) as file:
                assert list(extents(file.fileno(), 0, len(data))) == [Extent(0, len(data), is_hole=False)]
            archive = add_files(tmp_path / f"{name}.zip", [Member("m", path)])
        assert archive.entries[0].crc == zlib.crc32(data)


@pytest.mark.parametrize("combining", [True, False], ids=["two threads", "one thread"])
def test_added_with_its_holes(
    sparse: tuple[Path, bytes],
    combining: bool,  # noqa: FBT001 -- a parameter
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, data = sparse
    if not combining:
        monkeypatch.setattr("zipalign.copying.crc32_combiner", lambda: None)
    path = tmp_path / "x.zip"
    seen: list[int] = []

    archive = add_files(path, [Member("m", source), Member("n", b"after")], progress=seen.append)

    entry = archive.entries[0]
    assert (entry.crc, entry.size, sum(seen)) == (zlib.crc32(data), len(data), len(data) + 5)
    assert path.read_bytes()[entry.data_offset : entry.data_end] == data
    assert check_archive(path).ok
    assert _space(path) < len(data) / 2


def test_imported_with_its_holes(tmp_path: Path) -> None:
    data = _sparse(tmp_path / "sparse", FORMS["hole between data"])
    add_files(tmp_path / "from.zip", [Member("m", tmp_path / "sparse")])
    path = tmp_path / "x.zip"

    add_inputs(path, imported_inputs(tmp_path / "from.zip", path))

    entry = read_archive(path).entries[0]
    assert path.read_bytes()[entry.data_offset : entry.data_end] == data
    assert _space(path) < len(data) / 2


def test_copied_with_its_holes(sparse: tuple[Path, bytes], tmp_path: Path) -> None:
    source, data = sparse
    with source.open("rb") as file, (tmp_path / "copy").open("wb") as target:
        assert copy_file(file.fileno(), OutputFile(target.fileno()), len(data), None) == len(data)
    assert (tmp_path / "copy").read_bytes() == data
    assert _space(tmp_path / "copy") < len(data) / 2


def test_holes_need_no_free_space(tmp_path: Path) -> None:
    """A file that is larger than the disk can be added, but not compressed without the space for all of it."""
    state = os.statvfs(tmp_path)
    size = 2 * state.f_blocks * state.f_frsize
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        try:
            file.truncate(size)
        except OSError as e:
            pytest.skip(f"the file system refuses a sparse file of {size} bytes: {e}")
        if hole_size(file.fileno(), 0, size) < size:
            pytest.skip("the file system of the temporary folder has no sparse files")
    item = input_for(Member("m", source), None, keep_times=False)
    assert item.content.hole_size == size
    assert preview(tmp_path / "x.zip", [item], level=0, alignment=None) == set()
    done = run("-9", "-n", "x.zip", "sparse", cwd=tmp_path)
    assert "no space on the file system" in done.stderr
