"""Copying a whole file, in the kernel and where the kernel cannot."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from zipalign.copying import copy_file
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
