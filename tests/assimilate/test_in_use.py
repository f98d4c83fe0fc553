"""Processes that run from a file, and files larger than memory."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from assimilate.conversion import assimilate, restore
from assimilate.view import file_view
from runtime.platforms import platform_named
from tests.builders.ape import loader, small_ape
from zipalign import Member, add_files
from zipalign.errors import RunningFileError
from zipalign.in_use import check_unused
from zipalign.input_file import open_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINUX = platform_named("linux-amd64")
MACOS = platform_named("macos-arm64")
MAPPING = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    view = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ)
print("mapped", flush=True)
sys.stdin.read()
"""


def check(path: Path) -> None:
    with open_input(path) as fd:
        check_unused(fd, path)


@pytest.fixture
def ape(tmp_path: Path) -> Path:
    path = tmp_path / "a program, in use"
    path.write_bytes(small_ape("linux-amd64", "macos-arm64"))
    return path


@pytest.fixture
def user(ape: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the file mapped, as a loader does."""
    with subprocess.Popen(
        [sys.executable, "-c", MAPPING, ape], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mapped\n"
        yield process
        process.kill()


def test_who_runs_from_the_file_is_named(ape: Path, user: subprocess.Popen[str]) -> None:
    before = ape.read_bytes()
    with pytest.raises(RunningFileError, match=rf"is running \(process {user.pid}, ") as caught:
        assimilate(ape, MACOS)

    assert (caught.value.pid, caught.value.path) == (user.pid, ape)
    assert ape.read_bytes() == before
    assert list(ape.parent.iterdir()) == [ape]


def test_the_way_back_is_no_different(ape: Path, tmp_path: Path) -> None:
    assimilate(ape, MACOS)
    after = ape.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", MAPPING, ape], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(RunningFileError):
            restore(ape)
        process.kill()
    assert ape.read_bytes() == after
    restore(ape)


def test_64_bytes_are_not_changed_either(ape: Path, user: subprocess.Popen[str]) -> None:
    with pytest.raises(RunningFileError):
        assimilate(ape, LINUX)
    with pytest.raises(RunningFileError):
        add_files(ape, [Member("a", b"a")])
    user.kill()
    user.wait()
    add_files(ape, [Member("a", b"a")])
    assert assimilate(ape, LINUX).changed


def test_archives_without_a_program_are_not_searched_for(ape: Path) -> None:
    """Reading them in another process is no reason to wait."""
    ape.write_bytes(b"text" + bytes(5000))
    with subprocess.Popen(
        [sys.executable, "-c", MAPPING, ape], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        add_files(ape, [Member("a", b"a")])
        process.kill()


def test_a_copy_of_the_file_is_another_file(ape: Path, user: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(ape.read_bytes())

    check(tmp_path / "copy")
    with pytest.raises(RunningFileError):
        check(ape)
    assert user.poll() is None


def test_this_process_may_look_at_it(ape: Path) -> None:
    view = file_view(ape)

    check(ape)

    assert view[:8] == ape.read_bytes()[:8]


def test_a_loader_alone_is_no_user(ape: Path, tmp_path: Path) -> None:
    subprocess.run([loader(tmp_path), ape], check=False)
    check(ape)


def test_views_of_files_larger_than_memory(tmp_path: Path) -> None:
    size = 2 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"the file")
        file.truncate(size)

    assert (len(file_view(path)), bytes(file_view(path)[:9])) == (size, b"the file\0")
    assert (len(file_view(path, b"not")), bytes(file_view(path, b"not")[:9])) == (size, b"not file\0")
    with path.open("rb") as file:
        assert file.read(8) == b"the file"


def test_views_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")

    assert len(file_view(tmp_path / "empty")) == 0
