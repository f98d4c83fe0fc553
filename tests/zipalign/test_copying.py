"""Copying a whole file, in the kernel and where the kernel cannot."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from zipalign.copying import copy_extent, copy_file
from zipalign.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path

DATA = os.urandom(3 << 20) + b"the end"


def copied(folder: Path, size: int = len(DATA)) -> tuple[bytes, int, list[int]]:
    (folder / "source").write_bytes(DATA)
    steps: list[int] = []
    with (folder / "source").open("rb") as source, (folder / "target").open("wb") as target:
        done = copy_file(source.fileno(), OutputFile(target.fileno()), size, steps.append)
    return (folder / "target").read_bytes(), done, steps


def refuse(number: int) -> object:
    def copy_file_range(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return copy_file_range


def test_in_the_kernel(tmp_path: Path) -> None:
    data, done, steps = copied(tmp_path)

    assert (data, done, sum(steps)) == (DATA, len(DATA), len(DATA))


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_without_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "copy_file_range", refuse(number))

    data, done, steps = copied(tmp_path)

    assert (data, done, sum(steps)) == (DATA, len(DATA), len(DATA))


def test_where_the_kernel_copies_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)

    assert copied(tmp_path)[:2] == (DATA, len(DATA))


def test_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "copy_file_range", refuse(errno.EXDEV))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:100000], offset))

    assert copied(tmp_path)[:2] == (DATA, len(DATA))


def test_a_source_that_became_shorter(tmp_path: Path) -> None:
    data, done, _ = copied(tmp_path, len(DATA) + 1000)

    assert (data, done) == (DATA, len(DATA))


def test_other_errors_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", refuse(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        copied(tmp_path)


@pytest.mark.parametrize(("source_offset", "offset"), [(0, 0), (5, 4096 + 5), (777, 3), (4096, 1 << 20)])
def test_a_range_is_copied_to_another_offset(source_offset: int, offset: int, tmp_path: Path) -> None:
    """With a hole in it, which stays one."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA[: 1 << 20])
    os.truncate(source, 3 << 20)
    with source.open("ab") as file:
        file.write(b"the end")
    size = (3 << 20) + 7 - source_offset
    with source.open("rb") as file, target.open("wb") as other:
        done = copy_extent(file.fileno(), source_offset, OutputFile(other.fileno()), offset, size, None)
    assert done == size
    assert target.read_bytes() == bytes(offset) + source.read_bytes()[source_offset:]
    assert target.stat().st_blocks * 512 < 2 << 20


@pytest.mark.parametrize("supported", [True, False], ids=["hole", "zeros"])
def test_a_cleared_range(supported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    path = tmp_path / "file"
    path.write_bytes(DATA)
    if not supported:
        monkeypatch.setattr("zipalign.output_file._system_call", lambda *_: errno.EOPNOTSUPP)
    with path.open("r+b") as file:
        OutputFile(file.fileno()).clear(100, 2 << 20)
        OutputFile(file.fileno()).clear(50, 0)
    assert path.read_bytes() == DATA[:100] + bytes(2 << 20) + DATA[100 + (2 << 20) :]
    assert (path.stat().st_blocks * 512 < len(DATA) - (1 << 20)) is supported
