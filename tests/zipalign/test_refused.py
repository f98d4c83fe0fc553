"""What is not added to an archive: refused inputs, names and alignments. The archive stays as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.builders.zip import build
from zipalign import Member, add_files
from zipalign.errors import (
    AlignmentError,
    ChangedInputError,
    DuplicateNameError,
    EntryNameError,
    InputFileError,
    MisstatedSizeError,
    TrailingDataError,
    ZipFormatError,
)
from zipalign.output_file import OutputFile


def test_refused_inputs(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(build())
    old = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "hard").hardlink_to(path)
    os.mkfifo(tmp_path / "fifo")
    for name in ("x.zip", "link", "hard", "fifo", "."):
        with pytest.raises(InputFileError):
            add_files(path, [Member("f", tmp_path / name)])
    with pytest.raises(FileNotFoundError):
        add_files(path, [Member("f", tmp_path / "missing")])
    with pytest.raises(InputFileError):
        add_files(tmp_path / "fifo", [Member("f", b"f")])
    with pytest.raises(InputFileError):
        add_files(tmp_path, [Member("f", b"f")])
    assert path.read_bytes() == old


@pytest.mark.parametrize("alignment", [-1, 0, 3, 65535])
def test_refused_alignments(alignment: int, tmp_path: Path) -> None:
    with pytest.raises(AlignmentError) as caught:
        add_files(tmp_path / "x.zip", [], alignment=alignment)
    assert caught.value.alignment == alignment
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("name", ["", "/abs", "a\\b", "../up", "a/..", "C:x", "a\nb", "\ud800", "n" * 65536])
def test_refused_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(EntryNameError):
        add_files(tmp_path / "x.zip", [Member(name, b"")])
    assert not (tmp_path / "x.zip").exists()


def test_one_name_twice(tmp_path: Path) -> None:
    with pytest.raises(DuplicateNameError) as caught:
        add_files(tmp_path / "x.zip", [Member("a", b"1"), Member("a", b"2")])
    assert caught.value.name == "a"


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("change", [-1, 1])
def test_input_that_changes(change: int, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, file = tmp_path / "x.zip", tmp_path / "f"
    path.write_bytes(build())
    old = path.read_bytes()
    file.write_bytes(bytes(100))

    class Racing(OutputFile):
        def __init__(self, fd: int, *, durable: bool = True) -> None:
            os.truncate(file, 100 + change)
            super().__init__(fd, durable=durable)

    monkeypatch.setattr("zipalign.transaction.OutputFile", Racing)
    with pytest.raises(ChangedInputError) as caught:
        add_files(path, [Member("f", file)], level=level)
    assert (caught.value.expected, caught.value.got) == (100, 100 + change)
    assert path.read_bytes() == old


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize(
    ("path", "size"),
    [("/proc/version", 0), ("/proc/self/status", 0), ("/sys/kernel/mm/transparent_hugepage/enabled", 4096)],
)
def test_files_that_misstate_their_size(path: str, size: int, level: int, tmp_path: Path) -> None:
    """They were stored as empty members."""
    if not Path(path).exists():
        pytest.skip(f"needs {path}, which Linux has")
    archive = tmp_path / "x.zip"
    archive.write_bytes(build())
    old = archive.read_bytes()
    with pytest.raises(MisstatedSizeError, match=f"{path} states {size} bytes") as caught:
        add_files(archive, [Member("f", Path(path))], level=level)
    assert caught.value.size == size
    assert archive.read_bytes() == old


def test_damaged_archives_are_not_extended(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for data, error in (
        (build(end={"entries": 2, "entries_here": 2}), ZipFormatError),
        (build(trailing=b"signature"), TrailingDataError),
        (build(trailing=bytes(100000)), TrailingDataError),
    ):
        path.write_bytes(data)
        with pytest.raises(error):
            add_files(path, [Member("f", b"f")])
        assert path.read_bytes() == data
