"""After a failure or a kill at any step, the file is the old one, the new one, or prints how to continue."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from apepack.errors import InterruptedUpgradeError
from apepack.format.prologue import Magic
from apepack.upgrade.restoration import restore
from apepack.upgrade.undo_file import undo_path
from tests.apepack.upgrade.llamafiles import llamafile, runtime, upgraded
from tests.builders.ape import LINUX
from tests.zipalign.crash import MarkerOnlyFile, RecordingFile, Step, fail_at_step, states_in_place
from zipalign import Member, add_files, check_archive, read_archive
from zipalign.marked_head import MARKER_SIZE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

OUTPUT_FILE = "apepack.upgrade.opening.OutputFile"


@dataclass(frozen=True)
class Scenario:
    """Two runtimes, by the sizes of their members."""

    page: int
    gpu: int
    new_page: int
    new_gpu: int
    is_appended: bool = False
    sector: int = 2048  # of several that disks have, one that does not make too many states


SCENARIOS: dict[str, Scenario] = {
    "a smaller one": Scenario(9000, 500, 3000, 400),
    "a larger one, with a member behind the weights": Scenario(3000, 400, 4000, 90_000, is_appended=True, sector=4096),
}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    steps: list[Step] = []
    monkeypatch.setattr(RecordingFile, "steps", steps, raising=False)
    monkeypatch.setattr(OUTPUT_FILE, RecordingFile)
    return steps


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of restorations need not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("os.fdatasync", lambda _: None)


def files_of(name: str, folder: Path) -> tuple[Path, Path]:
    """A llamafile, and a runtime to come."""
    scenario = SCENARIOS[name]
    one = LINUX[:1]
    path = llamafile(
        folder / "x.llamafile", runtime(folder / "old", page=scenario.page, gpu=scenario.gpu, platforms=one)
    )
    new = runtime(
        folder / "new", page=scenario.new_page, gpu=scenario.new_gpu, platforms=one, seed=2, magic=Magic.NO_WINDOWS
    )
    return path, new


def kind_of(state: bytes, old: bytes, new: bytes) -> str:
    first = state[:MARKER_SIZE]
    if first.startswith(b"#!/bin/sh\n# apepack upgrade: interrupted"):
        return "marker"
    return "old" if first == old[:MARKER_SIZE] else "new" if first == new[:MARKER_SIZE] else "torn"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_state_of_an_upgrade(
    name: str, tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = files_of(name, tmp_path)
    old = path.read_bytes()
    result = upgraded(path, source)
    assert bool(result.plan.appended.members) is SCENARIOS[name].is_appended
    new, kept = path.read_bytes(), undo_path(path).read_bytes()
    monkeypatch.setattr(OUTPUT_FILE, RecordingFile.__base__)
    seen: dict[str, int] = {}
    for number, (what, state) in enumerate(states_in_place(old, list(recorded), SCENARIOS[name].sector)):
        path.write_bytes(state)
        undo_path(path).write_bytes(kept)
        kind = kind_of(state, old, new)
        seen[kind] = seen.get(kind, 0) + 1
        if kind == "old":  # nothing behind the first sector has changed
            assert state == old, what
        if kind == "new":
            assert state[: result.plan.front_size] == new[: result.plan.front_size], what
            assert {entry.name for entry in read_archive(path).entries} >= {"tiny.gguf", ".args", "gpu/shaders.zst"}
        restore(path)
        assert path.read_bytes() == old, what

        if number % 20 == 0 or kind != "marker":
            path.write_bytes(state)
            undo_path(path).write_bytes(kept)
            upgraded(path, source)
            assert path.read_bytes() == new, what
    assert seen.keys() == {"old", "marker", "new"}
    assert seen["marker"] > 50


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_state_of_the_way_back(
    name: str, tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = files_of(name, tmp_path)
    old = path.read_bytes()
    upgraded(path, source)
    new, kept = path.read_bytes(), undo_path(path).read_bytes()
    recorded.clear()
    restore(path)
    monkeypatch.setattr(OUTPUT_FILE, RecordingFile.__base__)
    seen = set()
    for what, state in states_in_place(new, list(recorded), SCENARIOS[name].sector):
        path.write_bytes(state)
        undo_path(path).write_bytes(kept)
        seen.add(kind_of(state, old, new))
        if kind_of(state, old, new) == "old":
            assert state == old, what
        restore(path)
        assert path.read_bytes() == old, what
    assert seen == {"old", "marker", "new"}


def test_the_order_of_barriers(tmp_path: Path, recorded: list[Step]) -> None:
    path, source = files_of("a larger one, with a member behind the weights", tmp_path)
    size = path.stat().st_size
    upgraded(path, source)
    kinds = [(step.kind, step.offset) for step in recorded]

    assert kinds[:3] == [("write", 0), ("sync", 0), ("write", MARKER_SIZE)]
    assert kinds[-3:] == [("sync", 0), ("write", 0), ("sync", 0)]
    assert all(offset >= size for kind, offset in kinds[4:-3] if kind == "write")
    assert len(recorded[0].data) == len(recorded[-2].data) == MARKER_SIZE


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["EIO", "^C"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_failing_each_step(name: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, source = files_of(name, tmp_path)
    old = path.read_bytes()
    for fail_at in range(1, 30):
        fail_at_step(monkeypatch, OUTPUT_FILE, fail_at, error)
        try:
            upgraded(path, source)
        except (OSError, KeyboardInterrupt):
            assert path.read_bytes() == old, fail_at
            assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "old", "tiny.gguf", "x.llamafile"]
        else:
            break
    else:
        pytest.fail("never ran through")
    assert fail_at > 8
    monkeypatch.undo()
    restore(path)
    assert path.read_bytes() == old


def test_failing_each_step_of_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, source = files_of("a larger one, with a member behind the weights", tmp_path)
    old = path.read_bytes()
    for fail_at in range(1, 20):
        monkeypatch.undo()
        upgraded(path, source)
        fail_at_step(monkeypatch, OUTPUT_FILE, fail_at, OSError(errno.EIO, "Input/output error"))
        try:
            restore(path)
        except OSError:
            assert undo_path(path).exists()
            monkeypatch.undo()
            restore(path)
            assert path.read_bytes() == old, fail_at
        else:
            break
    assert fail_at > 6
    assert path.read_bytes() == old


def test_when_it_cannot_be_undone_the_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingFile, "steps", [], raising=False)
    path, source = files_of("a smaller one", tmp_path)
    old = path.read_bytes()
    monkeypatch.setattr(OUTPUT_FILE, MarkerOnlyFile)

    with pytest.raises(InterruptedUpgradeError, match="repeat it, or undo it with --restore"):
        upgraded(path, source)

    assert path.read_bytes().startswith(b"#!/bin/sh\n")
    monkeypatch.undo()
    kept = undo_path(path).read_bytes()
    undo_path(path).unlink()
    for attempt in (lambda: upgraded(path, source), lambda: restore(path)):
        with pytest.raises(InterruptedUpgradeError, match="is missing"):
            attempt()
    undo_path(path).write_bytes(kept)
    restore(path)
    assert path.read_bytes() == old


def test_a_member_added_by_zipalign_to_an_interrupted_file(
    tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays, at any time."""
    path, source = files_of("a larger one, with a member behind the weights", tmp_path)
    old = path.read_bytes()
    upgraded(path, source)
    kept = undo_path(path).read_bytes()
    monkeypatch.setattr(OUTPUT_FILE, RecordingFile.__base__)
    seen = 0
    for what, state in states_in_place(old, list(recorded)):
        if not what.startswith("before step"):
            continue
        path.write_bytes(state)
        undo_path(path).write_bytes(kept)
        if kind_of(state, old, state) != "marker":
            continue
        add_files(path, [Member("added.txt", b"added in between")])
        restore(path)
        seen += 1
        entry = read_archive(path).entry("added.txt")
        assert entry is not None, what
        assert path.read_bytes()[entry.data_offset : entry.data_end] == b"added in between"
        assert path.read_bytes()[: len(old)] == old, what
        assert check_archive(path).ok, what
    assert seen > 5
