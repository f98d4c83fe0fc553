"""Layouts appear complete or not at all, as folders and as archives."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from apepack.errors import OutputError
from apepack.oci.layout import creating
from tests.apepack.oci.images import names_in, read_layout

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS = ["out", "out.tar"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_blobs_that_are_written_at_the_same_time(tmp_path: Path, name: str) -> None:
    contents = [b"one", b"\0" * (3 << 20), b"three" * 3000 + bytes(9000), b""]

    with creating(tmp_path / name) as layout:
        blobs = [layout.begin(len(content)) for content in contents]
        for at in range(0, 4 << 20, 1 << 20):
            for blob, content in zip(blobs, contents, strict=True):
                blob.write(content[at : at + (1 << 20)])
        digests = [layout.end(blob) for blob in blobs]
        twice = [layout.add("text/plain", b"document") for _ in range(2)]
        layout.complete(b"{}")

    assert digests == [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    assert twice[0] == twice[1]
    found = read_layout(tmp_path / name)
    assert [found.blobs[digest] for digest in digests] == contents
    assert found.blobs[twice[0].digest] == b"document"
    assert len(found.blobs) == len(contents) + 1
    assert names_in(tmp_path) == [name]


def test_blobs_in_an_archive_are_aligned_so_that_blocks_can_be_shared(tmp_path: Path) -> None:
    with creating(tmp_path / "out.tar") as layout:
        for size in (1, 700, 5000):
            blob = layout.begin(size)
            blob.write(os.urandom(size))
            layout.end(blob)
        layout.complete(b"{}")

    with tarfile.open(tmp_path / "out.tar") as archive:
        blobs = [member for member in archive if member.isfile() and member.name.startswith("blobs/")]
    assert [blob.size for blob in blobs] == [1, 700, 5000]
    assert all(blob.offset_data % 4096 == 0 for blob in blobs)
    assert (tmp_path / "out.tar").stat().st_size % 512 == 0


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_nothing_is_left_after_a_failure(tmp_path: Path, name: str, failure: type[BaseException]) -> None:
    (tmp_path / "out.tar").write_bytes(b"an older one")

    def fail() -> None:
        with creating(tmp_path / name) as layout:
            layout.begin(1000).write(b"begun")
            raise failure

    with pytest.raises(failure):
        fail()
    assert names_in(tmp_path) == ["out.tar"]
    assert (tmp_path / "out.tar").read_bytes() == b"an older one"


def test_an_empty_folder_is_filled_and_an_archive_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out.tar").write_bytes(b"an older one")

    for name in OUTPUTS:
        with creating(tmp_path / name) as layout:
            layout.complete(b"{}")

    assert read_layout(tmp_path / "out").index == read_layout(tmp_path / "out.tar").index == {}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("full", "this folder is not empty"),
        ("file", "this exists, and its name does not end with .tar"),
        ("folder.tar", "this is no regular file"),
        ("nowhere/out", "there is no folder"),
        ("dangling", "this exists"),
    ],
)
def test_outputs_that_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")

    with pytest.raises(OutputError, match=reason) as caught, creating(tmp_path / name):
        pass

    assert caught.value.path == tmp_path / name
    assert "-o" in str(caught.value)


def test_an_archive_can_be_read_as_a_stream(tmp_path: Path) -> None:
    with creating(tmp_path / "out.tar") as layout:
        layout.add("text/plain", b"document")
        layout.complete(b"{}")

    data = io.BytesIO((tmp_path / "out.tar").read_bytes())
    with tarfile.open(fileobj=data, mode="r|") as archive:
        assert [member.name for member in archive][-2:] == ["oci-layout", "index.json"]
