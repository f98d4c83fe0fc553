"""After a failure or a kill at any step, the file is the old one, the new one, or prints how to continue."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from assimilate.conversion import assimilate, restore
from assimilate.errors import AssimilateError, InterruptedConversionError
from assimilate.in_place import backup_path
from assimilate.plan import Options
from assimilate.undo_record import UndoRecord
from runtime.platforms import platform_named
from tests.builders.ape import foreign_ape, small_ape
from tests.builders.elf import exit_program
from tests.builders.genuine import genuine_ape
from tests.zipalign.crash import MarkerOnlyFile, RecordingFile, Step, fail_at_step, states_in_place
from zipalign import Member, add_files, read_archive
from zipalign.marked_head import MARKER_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.platforms import Platform

pytestmark = pytest.mark.slow

FREEBSD = platform_named("freebsd-amd64")
MACOS = platform_named("macos-amd64")
LINUX = platform_named("linux-amd64")


@dataclass(frozen=True)
class Scenario:
    """A file and its target platform."""

    data: bytes
    target: Platform
    member: bytes = b""  # of its archive


SCENARIOS: dict[str, Scenario] = {
    "ours, with the licences in the way": Scenario(small_ape("freebsd-amd64"), FREEBSD, b"weights" * 900),
    "ours, without an archive": Scenario(small_ape("freebsd-amd64", notices=b""), FREEBSD),
    "another maker's header of Mach-O": Scenario(genuine_ape("2023-10"), MACOS, b"weights" * 9),
    "another maker's header of ELF": Scenario(foreign_ape(exit_program()), LINUX, b"weights" * 9),
}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    steps: list[Step] = []
    monkeypatch.setattr(RecordingFile, "steps", steps, raising=False)
    monkeypatch.setattr("assimilate.conversion.OutputFile", RecordingFile)
    return steps


def file_of(scenario: Scenario, folder: Path) -> Path:
    path = folder / "ape"
    path.write_bytes(scenario.data)
    if scenario.member:
        add_files(path, [Member("weights", scenario.member)], alignment=16)
    return path


def without_mark(data: bytes, old_size: int) -> bytes:
    """The file without the marker of an append, which is cleared without a sync."""
    marker = old_size + -old_size % 32
    return data[:marker] + bytes(len(data[marker : marker + 32])) + data[marker + 32 :]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_state_of_a_conversion(
    name: str, tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS[name]
    path = file_of(scenario, tmp_path)
    old = path.read_bytes()
    assimilate(path, scenario.target)
    new, kept = path.read_bytes(), backup_path(path).read_bytes()
    members = {entry.name for entry in read_archive(path).entries} if scenario.member else set()
    monkeypatch.undo()
    seen = set()
    for what, state in states_in_place(old, list(recorded)):
        path.write_bytes(state)
        backup_path(path).write_bytes(kept)
        seen.add(kind_of(state, old, new, kept))
        if scenario.member and kind_of(state, old, new, kept) != "old":
            assert {entry.name for entry in read_archive(path).entries} == members, what
        finish(path, scenario.target)
        assert without_mark(path.read_bytes(), len(old)) == without_mark(new, len(old)), what

        path.write_bytes(state)
        backup_path(path).write_bytes(kept)
        undo(path)
        assert path.read_bytes() == old, what
    assert seen == {"old", "new"} if name.endswith("ELF") else {"old", "new", "marker"}


def kind_of(state: bytes, old: bytes, new: bytes, kept: bytes) -> str:
    """Return the kind of a file by its first bytes, one of three."""
    if kept.startswith(UndoRecord.MAGIC) and state.startswith(UndoRecord.unpack(kept).marker):
        return "marker"
    size = len(UndoRecord.unpack(kept).data) if kept.startswith(UndoRecord.MAGIC) else len(kept)
    if state[:size] == old[:size]:
        return "old"
    assert state[:size] == new[:size]
    return "new"


def finish(path: Path, target: Platform) -> None:
    """Follow the instructions in the file, or repeat the conversion."""
    assimilate(path, target, Options(force=True))


def undo(path: Path) -> None:
    restore(path, Options(force=True))


@pytest.mark.parametrize("name", list(SCENARIOS)[:3])
def test_every_state_of_the_way_back(
    name: str, tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS[name]
    path = file_of(scenario, tmp_path)
    old = path.read_bytes()
    assimilate(path, scenario.target)
    new, kept = path.read_bytes(), backup_path(path).read_bytes()
    recorded.clear()
    restore(path)
    monkeypatch.undo()
    for what, state in states_in_place(new, list(recorded)):
        kind_of(state, old, new, kept)
        path.write_bytes(state)
        backup_path(path).write_bytes(kept)
        finish(path, scenario.target)
        assert without_mark(path.read_bytes(), len(old)) == without_mark(new, len(old)), what

        path.write_bytes(state)
        backup_path(path).write_bytes(kept)
        undo(path)
        assert path.read_bytes() == old, what


def test_the_order_of_barriers(tmp_path: Path, recorded: list[Step]) -> None:
    path = file_of(SCENARIOS["ours, with the licences in the way"], tmp_path)
    assimilate(path, FREEBSD)
    steps = [(step.kind, step.offset, len(step.data)) for step in recorded if step.kind != "truncate"]
    marker, rest, head = steps[-6::2]

    assert [kind for kind, _, _ in steps[-5::2]] == ["sync"] * 3
    assert marker == ("write", 0, MARKER_SIZE)
    assert rest[:2] == ("write", MARKER_SIZE)
    assert head == ("write", 0, MARKER_SIZE)
    # All earlier writes are behind the old file.
    assert all(offset >= path.stat().st_size - 2000 for kind, offset, _ in steps[:-6] if kind == "write")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["EIO", "^C"])
@pytest.mark.parametrize("name", list(SCENARIOS)[:3])
def test_failing_each_step(name: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = SCENARIOS[name]
    path = file_of(scenario, tmp_path)
    old = path.read_bytes()
    for fail_at in range(1, 30):
        fail_at_step(monkeypatch, "assimilate.conversion.OutputFile", fail_at, error)
        try:
            assimilate(path, scenario.target)
        except (OSError, KeyboardInterrupt):
            assert path.read_bytes() == old, fail_at
            assert not backup_path(path).exists()
        else:
            break
    else:
        pytest.fail("never ran through")
    assert fail_at > 6
    monkeypatch.undo()
    restore(path)
    assert path.read_bytes() == old


def test_failing_each_step_of_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = SCENARIOS["ours, with the licences in the way"]
    path = file_of(scenario, tmp_path)
    old = path.read_bytes()
    for fail_at in range(1, 20):
        monkeypatch.undo()
        assimilate(path, FREEBSD)
        fail_at_step(monkeypatch, "assimilate.conversion.OutputFile", fail_at, OSError(errno.EIO, "Input/output error"))
        try:
            restore(path)
        except OSError:
            assert backup_path(path).exists()
            monkeypatch.undo()
            restore(path)
            assert path.read_bytes() == old, fail_at
        else:
            break
    assert fail_at > 7
    assert path.read_bytes() == old


def test_when_it_cannot_be_undone_the_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingFile, "steps", [], raising=False)
    path = file_of(SCENARIOS["ours, with the licences in the way"], tmp_path)
    old = path.read_bytes()
    monkeypatch.setattr("assimilate.conversion.OutputFile", MarkerOnlyFile)

    with pytest.raises(InterruptedConversionError, match="finish it with -t freebsd-amd64 or undo it"):
        assimilate(path, FREEBSD)

    assert path.read_bytes().startswith(b"#!/bin/sh\n")
    monkeypatch.undo()
    with pytest.raises(AssimilateError):
        assimilate(path, MACOS)
    restore(path)
    assert path.read_bytes() == old
