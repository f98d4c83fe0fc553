"""The llamafile of the last tag, or another one, to compare with."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.earlier import VARIABLE, earlier_llamafile, last_tag

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """\
build/llamafile:
\t@mkdir -p build && echo "$(PLATFORMS) $(GPU)" >$@ && cat version >>$@
"""


class Repository:
    """A checkout with a commit for each version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "Makefile").write_text(MAKEFILE)

    def git(self, *arguments: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *names, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self, version: str, tag: str = "") -> None:
        (self.folder / "version").write_text(version)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", version)
        if tag:
            self.git("tag", tag)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """An empty one; builds are kept in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return Repository(tmp_path / "checkout")


def test_the_last_tag_before_this_commit_is_built(repository: Repository) -> None:
    repository.commit("one", "v0.1.0")
    repository.commit("two", "v0.2.0")
    repository.commit("three", "a-note")
    repository.commit("four", "v0.3.0")  # the commit that is measured
    assert last_tag(repository.folder) == "v0.2.0"
    found = earlier_llamafile(repository.folder)
    assert found.name == "tag v0.2.0"
    assert found.path is not None
    assert found.path.read_text() == "host --no-gpu\ntwo"
    assert [path.name for path in found.path.parent.iterdir()] == ["llamafile"]
    assert earlier_llamafile(repository.folder) == found


def test_without_a_tag_the_reason_is_given(repository: Repository) -> None:
    repository.commit("one")
    repository.commit("two")
    found = earlier_llamafile(repository.folder)
    assert found.path is None
    assert found.reason == "there is no tag like v[0-9]*; BENCH_EARLIER=FILE compares with a llamafile built before"


def test_a_tag_that_cannot_be_built_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    (repository.folder / "Makefile").write_text("build/llamafile:\n\tfalse\n")
    repository.commit("one", "v0.1.0")
    repository.commit("two")
    with pytest.raises(subprocess.CalledProcessError):
        earlier_llamafile(repository.folder)
    assert list((tmp_path / "cache").rglob("llamafile")) == []
    assert list((tmp_path / "cache").rglob("source")) == []


@pytest.mark.parametrize(("value", "reason"), [("", "BENCH_EARLIER is empty"), ("/none", "names /none, which is no")])
def test_the_variable_switches_it_off(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    repository.commit("one", "v0.1.0")
    repository.commit("two")
    monkeypatch.setenv(VARIABLE, value)
    found = earlier_llamafile(repository.folder)
    assert found.path is None
    assert reason in found.reason


def test_the_variable_names_a_file(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "old.llamafile"
    file.write_text("")
    monkeypatch.setenv(VARIABLE, str(file))
    found = earlier_llamafile(repository.folder)
    assert (found.name, found.path) == ("earlier old.llamafile", file)
