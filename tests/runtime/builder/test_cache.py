from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runtime.builder.cache import cache_root, cached, digest_of
from runtime.errors import CacheError


def test_root_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache_root() == tmp_path / ".cache" / "llamafile-toolchain"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_root() == Path("/elsewhere/llamafile-toolchain")


def test_one_root_whatever_links_lead_there(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compilers record the names of folders."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "llamafile-toolchain").symlink_to(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert cache_root() == cache


def test_an_entry_is_filled_once(cache: Path) -> None:
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("content")

    first = cached("kind", "key", fill)
    second = cached("kind", "key", fill)
    assert first == second == cache / "kind" / "key"
    assert (first / "file").read_text() == "content"
    assert len(calls) == 1


def test_a_failure_leaves_nothing(cache: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cached("kind", "key", fill)
    assert [path.name for path in (cache / "kind").iterdir()] == ["key.lock"]
    # The lock was let go: the next one succeeds.
    assert cached("kind", "key", lambda folder: None).is_dir()


def test_what_a_kill_left_is_removed(cache: Path) -> None:
    abandoned = cache / "kind" / "key.abc.partial"
    abandoned.mkdir(parents=True)
    (abandoned / "half").touch()
    cached("kind", "key", lambda folder: None)
    assert not abandoned.exists()


def test_two_that_want_the_same_wait_for_each_other(cache: Path) -> None:
    started = threading.Barrier(2)
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)

    def ask() -> None:
        started.wait()
        cached("kind", "key", fill)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_cache_that_cannot_be_written_is_one_sentence(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where a folder should be")
    with pytest.raises(CacheError, match="XDG_CACHE_HOME") as caught:
        cached("kind", "key", lambda folder: None)
    assert caught.value.folder == cache / "kind"


def test_a_digest_keeps_its_parts_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"ab")
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])
    assert digest_of([file]) == digest_of([b"ab"]) == digest_of(["ab"])
