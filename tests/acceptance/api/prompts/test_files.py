"""Files with the states of system prompts: of their user alone, of a limited size, and only used if they are whole."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.prompts.states import PLACES, SYSTEM, cached, folder_of, states
from tests.acceptance.api.servers import ARE_CONFINED, confinement
from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.acceptance.api.prompts.states import Serve


def test_files_are_private(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server)
        assert confinement(server.threads()) == ARE_CONFINED
    assert len(list(folder_of(home).iterdir())) == PLACES
    assert {path.stat().st_mode & 0o777 for path in folder_of(home).iterdir()} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in (folder_of(home), folder_of(home).parent)} == {0o700}


def test_they_have_a_limited_size(serve: Serve, home: Path, tmp_path: Path) -> None:
    """The one that was not used for the longest time goes."""
    model = TinyModel(embedding=128, heads=2, layers=3, context=4096).write(tmp_path / "wide.gguf")
    prompts = ["You are a parrot. " * 50, "You are a pirate. " * 50, "You are a person. " * 50]
    for system in prompts[:2]:
        with serve("--cache-disk", "4", model=model) as server:
            assert cached(server, system) < 256
    assert 2 << 20 < sum(path.stat().st_size for path in states(home)) < 4 << 20
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[0]) >= len(prompts[0])
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[2]) < 256
    assert sum(path.stat().st_size for path in folder_of(home).iterdir()) < 4 << 20
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[0]) >= len(prompts[0])
    with serve("--cache-disk", "4", model=model) as server:
        assert cached(server, prompts[1]) < 256


def test_one_that_is_larger_than_the_limit_is_not_kept(serve: Serve, home: Path, tmp_path: Path) -> None:
    model = TinyModel(embedding=128, heads=2, layers=3, context=4096).write(tmp_path / "wide.gguf")
    with serve("--cache-disk", "1", model=model) as server:
        cached(server)
    assert states(home) == []


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the state": lambda path: damage(path, path.stat().st_size // 2),
    "the last bit": lambda path: damage(path, -1),
    "a size in the header": lambda path: damage(path, 32),
    "a size beyond all bounds": lambda path: damage(path, 31),
    "a token": lambda path: damage(path, 48 + 4 * 1000),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut within the header": lambda path: os.truncate(path, 20),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "foreign": lambda path: path.write_bytes(b"something else" * 1000),
}


@pytest.mark.parametrize("harm", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_not_used(serve: Serve, home: Path, harm: Callable[[Path], object]) -> None:
    """And gives way to a good one."""
    with serve() as server:
        cached(server)
    (state,) = states(home)
    harm(state)
    with serve() as server:
        assert cached(server) == 0
    with serve() as server:
        assert cached(server) >= len(SYSTEM)


def be_a_link(folder: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def be_open_to_others(folder: Path, target: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def be_a_file(folder: Path, target: Path) -> None:
    folder.write_text("x")


FOLDERS = {"a link": be_a_link, "open to others": be_open_to_others, "a file": be_a_file}


@pytest.mark.parametrize("prepare", FOLDERS.values(), ids=FOLDERS)
def test_an_unsafe_folder_is_not_used(
    serve: Serve, home: Path, tmp_path: Path, prepare: Callable[[Path, Path], None]
) -> None:
    """The server says nothing, unless it is asked to say what it does."""
    target = tmp_path / "target"
    folder_of(home).parent.mkdir(parents=True)
    prepare(folder_of(home), target)
    with serve() as server:
        assert cached(server) == 0
        assert server.remarks == []
    assert not target.exists() or list(target.iterdir()) == []
    with serve("--verbose") as server:
        server.log.seek(0)
        assert "the states of system prompts are not kept on disk: " in server.log.read().decode(errors="replace")


def test_a_link_in_the_folder_is_not_followed(serve: Serve, home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    folder_of(home).mkdir(parents=True, mode=0o700)
    for number in range(PLACES):
        (folder_of(home) / f"{number:02}.prompt").symlink_to(victim)
    with serve() as server:
        cached(server)
    assert victim.read_bytes() == b""


@pytest.mark.parametrize("variables", [{"HOME": ""}, {"HOME": "/dev/null"}, {"HOME": "/proc/1"}], ids=str)
def test_a_user_without_a_folder_for_caches_has_a_server(serve: Serve, variables: dict[str, str]) -> None:
    with serve(**variables) as server:
        assert cached(server) == 0
        assert server.remarks == []


def test_a_home_that_does_not_exist_is_not_created(serve: Serve, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with serve(HOME=str(missing)) as server:
        assert cached(server) == 0
        assert server.remarks == []
    assert not missing.exists()


def test_they_are_where_the_user_has_caches(serve: Serve, home: Path, tmp_path: Path) -> None:
    with serve(XDG_CACHE_HOME=str(tmp_path / "caches")) as server:
        cached(server)
    assert not folder_of(home).exists()
    assert len(list((tmp_path / "caches" / "llamafile" / "prompts").iterdir())) == PLACES


def test_a_file_that_another_process_writes_is_left_alone(serve: Serve, home: Path) -> None:
    with serve() as server:
        cached(server)
    (state,) = states(home)
    content = state.read_bytes()
    with state.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        with serve() as server:
            assert cached(server) == 0
        assert state.read_bytes() == content
