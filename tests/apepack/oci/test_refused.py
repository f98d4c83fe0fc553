"""Inputs and outputs that the image command refuses, and the files that remain afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from apepack.errors import InputError, OutputError
from tests.apepack.oci.images import image, names_in
from tests.apepack.upgrade.llamafiles import runtime
from tests.builders.elf import X86_64, exit_program
from zipalign import Member, add_files, read_archive
from zipalign.errors import NoSpaceError, ZipFormatError

if TYPE_CHECKING:
    from pathlib import Path


def without_weights(path: Path) -> None:
    runtime(path, page=10, gpu=10)


def no_llamafile(path: Path) -> None:
    path.write_bytes(b"GGUF" + bytes(5000))


def a_native_program(path: Path) -> None:
    path.write_bytes(exit_program(X86_64, status=0))


def compressed_weights(path: Path) -> None:
    runtime(path, page=10, gpu=10)
    add_files(path, [Member("m.gguf", b"GGUF" * 1000)], level=6)


def a_name_of_a_removal(path: Path) -> None:
    runtime(path, page=10, gpu=10)
    add_files(path, [Member(".wh.m.gguf", b"GGUF"), Member("m.gguf", b"GGUF")])


def no_program_for_linux(path: Path) -> None:
    runtime(path, page=10, gpu=10, platforms=("windows-amd64",))
    add_files(path, [Member("m.gguf", b"GGUF")])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (without_weights, r"it holds no weights: pack a model first, with apepack -o .* --runtime .*bad MODEL.gguf"),
        (no_llamafile, "this is no llamafile"),
        (a_native_program, "this is no llamafile"),
        (compressed_weights, "m.gguf is compressed, so that it cannot be mapped"),
        (a_name_of_a_removal, r".wh.m.gguf begins with .wh., which in an image removes another file"),
        (no_program_for_linux, "it has no program for Linux: it has those for windows-amd64"),
    ],
)
def test_files_that_become_no_image(tmp_path: Path, make: Any, reason: str) -> None:
    make(tmp_path / "bad")
    before = names_in(tmp_path)

    with pytest.raises(InputError, match=reason) as caught:
        image(tmp_path / "bad", tmp_path / "out")

    assert caught.value.path == tmp_path / "bad"
    assert names_in(tmp_path) == before


def test_a_platform_that_is_missing(tmp_path: Path) -> None:
    path = runtime(tmp_path / "x", page=10, gpu=10, platforms=("linux-amd64",))
    add_files(path, [Member("m.gguf", b"GGUF")])

    with pytest.raises(InputError, match="it has no program for linux/arm64: it has those for linux-amd64"):
        image(path, tmp_path / "out", platforms=("linux/arm64",))


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_damaged_weights_leave_nothing(llamafile: Path, tmp_path: Path, name: str) -> None:
    entry = read_archive(llamafile).entry("tiny.gguf")
    assert entry is not None
    with llamafile.open("r+b") as file:
        file.seek(entry.data_end - 1)
        file.write(b"\xff")
    before = names_in(tmp_path)

    with pytest.raises(ZipFormatError, match="wrong CRC"):
        image(llamafile, tmp_path / name)

    assert names_in(tmp_path) == before


def test_outputs_that_are_refused(llamafile: Path, tmp_path: Path) -> None:
    named = tmp_path / "x.tar"
    llamafile.rename(named)

    with pytest.raises(OutputError, match="would replace the input"):
        image(named, named)
    with pytest.raises(OutputError, match="cannot be the same"):
        image(named, tmp_path / "out", tmp_path / "out")


def test_too_little_space(llamafile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:4], 10, *real[5:])))

    with pytest.raises(NoSpaceError):
        image(llamafile, tmp_path / "out")
    assert not (tmp_path / "out").exists()
