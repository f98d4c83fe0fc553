"""Sending: what is read, in which order, and the state in which the library finds its operations."""

from __future__ import annotations

import hashlib
import random
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from apepack.errors import InputError
from apepack.hub.content import FileRange, PublishedFile
from apepack.hub.plan import Change, PlannedFile, RepositoryState, plan_files
from apepack.hub.publish import publish
from apepack.hub.upload import chunked_files, operations_for
from tests.builders.hub import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.local_hub.server import HubServer


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored(tmp_path: Path, name: str, data: bytes, *parts: bytes) -> PublishedFile:
    path = tmp_path / name
    path.write_bytes(data)
    contents = tuple((sha256(part), len(part)) for part in parts)
    return PublishedFile(name, FileRange(path, 0, len(data)), sha256(data), contents)


def test_a_range_reads_like_a_file(tmp_path: Path) -> None:
    data = random.Random(4).randbytes(3_000_000)
    (tmp_path / "file").write_bytes(data)
    seen: list[int] = []
    with FileRange(tmp_path / "file", 1000, 2_500_000).open(seen.append) as file:
        assert file.read(10) == data[1000:1010]
        assert file.seek(0, 2) == 2_500_000
        assert file.read() == b""
        assert file.seek(-5, 2) == 2_499_995
        assert file.read(100) == data[2_500_995:2_501_000]
        file.seek(0)
        assert file.read() == data[1000:2_501_000]
        assert file.tell() == 2_500_000
        with pytest.raises(OSError, match="fileno"):
            file.fileno()
    assert sum(seen) == 2_500_000  # what is read again is no progress


def test_a_file_that_becomes_shorter(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))
    with pytest.raises(InputError, match="it became shorter while it was sent"):
        list(FileRange(tmp_path / "file", 50, 51).chunks())


@pytest.mark.filterwarnings("ignore:Use 'content=")  # the library's own, which is not seen while ours uses it
def test_the_state_of_an_operation_is_that_of_the_library(hub: HubServer, tiny: Path) -> None:
    """After preupload_lfs_files(), which would take the weights from a file of their own only."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(hub.address)
    api.create_repo(NAME)
    theirs = CommitOperationAdd("tiny.llamafile", str(tiny))
    api.preupload_lfs_files(NAME, [theirs])
    data = tiny.read_bytes()
    file = PublishedFile("tiny.llamafile", FileRange(tiny, 0, len(data)), sha256(data))
    (ours,) = operations_for([PlannedFile(file, Change.NEW, 0)], chunked=True)
    for field in fields(CommitOperationAdd):
        if field.name != "upload_info":
            assert getattr(ours, field.name) == getattr(theirs, field.name), field.name
    for name in ("size", "sample", "sha256"):
        assert getattr(ours.upload_info, name) == getattr(theirs.upload_info, name)


def test_what_others_contain_is_sent_first(tmp_path: Path) -> None:
    weights = stored(tmp_path, "weights.gguf", b"weights")
    whole = stored(tmp_path, "a.llamafile", b"runtime" + b"weights", b"weights")
    text = PublishedFile.of_text("README.md", b"text")
    new = [PlannedFile(file, Change.NEW, 0) for file in (whole, text, weights)]
    assert [file.name for file in chunked_files(new)] == ["weights.gguf", "a.llamafile"]


def test_unchanged_weights_are_shown_to_the_storage(tmp_path: Path) -> None:
    """If a file with them has changed, so that it finds their chunks."""
    weights = PlannedFile(stored(tmp_path, "weights.gguf", b"weights"), Change.UNCHANGED, 0)
    whole = stored(tmp_path, "a.llamafile", b"runtime" + b"weights", b"weights")
    changed = [weights, PlannedFile(whole, Change.CHANGED, 0)]
    assert [file.name for file in chunked_files(changed)] == ["weights.gguf", "a.llamafile"]
    assert [operation.path_in_repo for operation in operations_for(changed, chunked=True)] == ["a.llamafile"]
    assert chunked_files([weights, PlannedFile(whole, Change.UNCHANGED, 0)]) == []


@pytest.mark.parametrize(("chunked", "expected"), [("chunks", [7, 7, 4]), ("whole files", [7, 14, 4])])
def test_the_estimate(tmp_path: Path, chunked: str, expected: list[int]) -> None:
    files = [
        stored(tmp_path, "weights.gguf", b"weights"),
        stored(tmp_path, "a.llamafile", b"runtime" + b"weights", b"weights"),
        PublishedFile.of_text("README.md", b"text"),
    ]
    empty = RepositoryState(exists=False, has_revision=True, commit=None, files={})
    planned = plan_files(files, empty, chunked=chunked == "chunks")
    assert [item.new_size for item in planned] == expected
    without = plan_files(files[1:], empty, chunked=True)
    assert [item.new_size for item in without] == [14, 4]


@pytest.mark.parametrize("kind", ["hub", pytest.param("xet_hub", marks=pytest.mark.slow)])
def test_progress_reaches_its_end(request: pytest.FixtureRequest, tiny: Path, kind: str) -> None:
    request.getfixturevalue(kind)
    bars: dict[str, list[int]] = {}

    @contextmanager
    def bar(size: int, label: str) -> Iterator[Callable[[int], None]]:
        shown = bars.setdefault(label, [size, 0])

        def advance(count: int) -> None:
            shown[1] += count

        yield advance

    publish([tiny], NAME, bar=bar)
    assert set(bars) == {"verifying", "sending"}
    assert bars["sending"][0] == bars["sending"][1] > 0
    assert bars["verifying"][1] > bars["verifying"][0] / 2  # the size of what is read twice is an estimate
