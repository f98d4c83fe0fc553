"""Other programs read our archives, and we read theirs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import tool
from zipalign import Member, add_files, check_archive, read_archive, remove_entries
from zipalign.inflate import entry_chunks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENTS = {
    "model.gguf": b"GGUF" + bytes(range(256)) * 300,
    ".args": b"-m\nmodel.gguf\n",
    "empty": b"",
    "dir/inside.txt": b"text " * 1000,
    "naïve ☃.txt": b"snow",
}


def _members() -> list[Member]:
    return [Member(name, data) for name, data in CONTENTS.items()]


def _appended(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\nexit 0\n" + bytes(3000))
    add_files(path, _members())


def _replaced(path: Path) -> None:
    # The first member stays: 7z takes the first local header in the file for the start of the archive (see CAVEATS).
    add_files(path, [*_members()[:1], Member("empty", b"not yet"), Member("gone", b"gone")])
    add_files(path, _members()[1:])
    remove_entries(path, ["gone"])


OURS: dict[str, Callable[[Path], object]] = {
    "stored": lambda path: add_files(path, _members()),
    "deflated": lambda path: add_files(path, _members(), level=9),
    "packed": lambda path: add_files(path, _members(), alignment=1),
    "behind a program": _appended,
    "replaced and removed": _replaced,
}


@pytest.fixture(params=list(OURS))
def ours(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "ours.zip"
    OURS[request.param](path)
    return path


def _run(line: list[str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(line, cwd=cwd, capture_output=True, check=True, env=environment)


def _assert_extracted(directory: Path) -> None:
    found = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    assert found == CONTENTS


def test_python_reads_ours(ours: Path) -> None:
    with zipfile.ZipFile(ours) as other:
        assert other.testzip() is None
        assert {name: other.read(name) for name in other.namelist()} == CONTENTS


def test_unzip_reads_ours(ours: Path, tmp_path: Path) -> None:
    line = [tool("unzip"), "-q", str(ours), "-d", str(tmp_path / "out")]
    # Exit 1 is a warning: bytes before the first member, of which an executable has many.
    done = subprocess.run(line, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode in {0, 1}, done.stderr
    assert not done.stderr
    _assert_extracted(tmp_path / "out")


def test_7z_reads_ours(ours: Path, tmp_path: Path) -> None:
    seven = tool("7z")
    assert b"Everything is Ok" in _run([seven, "t", str(ours)], tmp_path).stdout
    _run([seven, "x", f"-o{tmp_path / 'out'}", str(ours)], tmp_path)
    _assert_extracted(tmp_path / "out")


def test_bsdtar_reads_ours(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _run([tool("bsdtar"), "-xf", str(ours), "-C", "out"], tmp_path)
    _assert_extracted(tmp_path / "out")


@pytest.mark.slow
def test_jar_reads_ours(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _run([tool("jar"), "--extract", "--file", str(ours)], tmp_path / "out")
    _assert_extracted(tmp_path / "out")


def _zip_made(directory: Path) -> None:
    _run([tool("zip"), "-q", "-r", "../theirs.zip", "."], directory)


def _zip_streamed(directory: Path) -> None:
    line = [tool("zip"), "-q", "-r", "-", "."]
    (directory.parent / "theirs.zip").write_bytes(_run(line, directory).stdout)


def _seven_made(directory: Path) -> None:
    _run([tool("7z"), "a", "-tzip", "-mcu=on", "../theirs.zip", "."], directory)


def _bsdtar_made(directory: Path) -> None:
    _run([tool("bsdtar"), "--format", "zip", "-cf", "../theirs.zip", *sorted(CONTENTS_TOP)], directory)


def _jar_made(directory: Path) -> None:
    _run([tool("jar"), "--create", "--file", "../theirs.zip", *sorted(CONTENTS_TOP)], directory)


def _python_made(directory: Path) -> None:
    _run([sys.executable, "-m", "zipfile", "-c", "../theirs.zip", *sorted(CONTENTS_TOP)], directory)


CONTENTS_TOP = {name.partition("/")[0] for name in CONTENTS}
THEIRS = [_zip_made, _zip_streamed, _seven_made, _bsdtar_made, _jar_made, _python_made]


@pytest.fixture(params=THEIRS, ids=[make.__name__.strip("_") for make in THEIRS])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    directory = tmp_path / "in"
    for name, data in CONTENTS.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    request.param(directory)
    return tmp_path / "theirs.zip"


def _read_all(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        entries = [entry for entry in read_archive(path).entries if not entry.is_directory]
        return {entry.name: b"".join(entry_chunks(file.fileno(), entry)) for entry in entries}


def _as_utf8(name: str) -> str:
    """Decode a name of Info-ZIP: UTF-8 without the flag for it, which means code page 437 by the specification."""
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def test_we_read_theirs(theirs: Path) -> None:
    read = {_as_utf8(name): data for name, data in _read_all(theirs).items() if name != "META-INF/MANIFEST.MF"}
    assert read == CONTENTS
    report = check_archive(theirs, alignment=1)
    assert report.ok, report.findings


def test_we_extend_theirs(theirs: Path) -> None:
    before = _read_all(theirs)
    add_files(theirs, [Member("ours", b"ours"), Member("empty", b"replaced")])
    assert _read_all(theirs) == {**before, "ours": b"ours", "empty": b"replaced"}
    assert check_archive(theirs, alignment=1).ok
    with zipfile.ZipFile(theirs) as other:
        assert other.testzip() is None


def test_zip_can_append_to_ours(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "late.txt").write_bytes(b"late")
    _run([tool("zip"), "-q", str(ours), "late.txt"], tmp_path)
    assert _read_all(ours) == {**CONTENTS, "late.txt": b"late"}


def test_our_digest_is_what_sha256sum_says_of_the_extracted(ours: Path, tmp_path: Path) -> None:
    piped = _run([tool("unzip"), "-p", str(ours), "model.gguf"], tmp_path).stdout
    assert hashlib.sha256(piped).digest() == hashlib.sha256(CONTENTS["model.gguf"]).digest()
