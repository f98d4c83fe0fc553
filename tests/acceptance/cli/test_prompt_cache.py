"""Prompt caches: what was read once is not read again, and no file can do harm."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.completions import Completer, packed_program
from tests.builders.gguf import TinyModel
from zipalign import Member

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = ("--temp", "0", "-n", "16", "-p", "Once upon a time")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def program(program: Path, folder: Path, tiny_model: Path) -> Path:
    return packed_program(program, folder, Member("tiny.gguf", tiny_model))


@pytest.fixture(scope="module")
def tiny(program: Path) -> Completer:
    return Completer((str(program), "--cli", "-m", "tiny.gguf", "-c", "256"))


@pytest.fixture(scope="module")
def made(tiny: Completer, folder: Path) -> bytes:
    """A cache of the prompt."""
    file = folder / "made"
    tiny.text(*PROMPT, "--prompt-cache", file)
    return file.read_bytes()


def test_a_cache_changes_nothing_but_time(tiny: Completer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    texts = [tiny.text(*PROMPT, "--prompt-cache", cache) for _ in range(2)]
    assert texts == [tiny.text(*PROMPT)] * 2
    content = cache.read_bytes()
    shorter = ("--temp", "0", "-n", "16", "-p", "Once upon")
    assert tiny.text(*shorter, "--prompt-cache", cache) == tiny.text(*shorter)
    assert cache.read_bytes() == content  # it holds more already
    longer = ("--temp", "0", "-n", "16", "-p", "Once upon a time there was")
    assert tiny.text(*longer, "--prompt-cache", cache) == tiny.text(*longer)
    assert len(cache.read_bytes()) > len(content)


def test_what_is_cached_is_not_computed(tiny: Completer, made: bytes, tmp_path: Path) -> None:
    """Other keys and values in it, and the model remembers something else."""
    cache = tmp_path / "cache"
    cache.write_bytes(made[:-300] + bytes(300))
    sensitive = tiny.with_(*PROMPT, "--temp", 2, "-s", 1)
    assert sensitive.text("--prompt-cache", cache) != sensitive.text()


def test_everything_is_cached_if_asked_for(tiny: Completer, tmp_path: Path) -> None:
    """An empty prompt goes on where the cache ends."""
    cache = tmp_path / "cache"
    whole = tiny.text(*PROMPT, "-n", 24, "--no-display-prompt")
    begun = tiny.text(*PROMPT, "-n", 16, "--no-display-prompt", "--prompt-cache", cache, "--prompt-cache-all")
    assert whole.startswith(begun[:-1])
    resumed = tiny.text("--temp", 0, "-n", 8, "--prompt-cache", cache)
    assert b"Once upon a time" in resumed
    assert resumed.endswith(whole[-8:])


def test_k5_a_cache_that_is_only_read(tiny: Completer, made: bytes, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_bytes(made)
    os.utime(cache, (1, 1))
    other = ("--temp", "0", "-n", "4", "-p", "Once upon another", "--prompt-cache-all")
    tiny.text(*other, "--prompt-cache", cache, "--prompt-cache-ro")
    assert (cache.read_bytes(), cache.stat().st_mtime) == (made, 1)
    tiny.text(*other, "--prompt-cache", tmp_path / "none", "--prompt-cache-ro")
    assert not (tmp_path / "none").exists()


def test_a_cache_of_another_model(tiny: Completer, made: bytes, tmp_path: Path) -> None:
    """Of the same size: only a digest can tell them apart."""
    other = TinyModel(seed=5).write(tmp_path / "other.gguf")
    cache = tmp_path / "cache"
    cache.write_bytes(made)
    result = tiny.run(*PROMPT, "-m", other, "--prompt-cache", cache)
    assert result.returncode == 0
    assert b"is not used: another model made it" in result.stderr
    assert result.stdout == tiny.text(*PROMPT, "-m", other)
    assert tiny.text(*PROMPT, "-m", other, "--prompt-cache", cache) == result.stdout  # made anew


def test_damaged_caches(tiny: Completer, made: bytes, tmp_path: Path) -> None:
    """Cut anywhere, or with a byte changed in its head: a sentence at most, and the same text."""
    expected = tiny.text(*PROMPT)
    cache = tmp_path / "cache"
    cut = [made[:size] for size in range(4, len(made), len(made) // 12)]
    changed = [made[:at] + bytes([made[at] ^ 0x81]) + made[at + 1 :] for at in range(5, 200, 13)]
    for content in [b"", *cut, *changed]:
        cache.write_bytes(content)
        result = tiny.run(*PROMPT, "--prompt-cache", cache)
        assert (result.returncode, result.stdout) == (0, expected)
        assert result.stderr.count(b"\n") <= 1


def test_what_is_no_cache_is_left_alone(tiny: Completer, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    assert "is no prompt cache, and is left alone" in tiny.sentence(*PROMPT, "--prompt-cache", thesis)
    assert thesis.read_text() == "years of work"
    assert "cannot read the prompt cache" in tiny.sentence(*PROMPT, "--prompt-cache", tmp_path)
