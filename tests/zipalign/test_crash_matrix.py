"""Promises P1 to P4 and P9: an append that fails or is killed at any step loses no data."""

from __future__ import annotations

import errno
import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.builders.zip import Item, build
from tests.zipalign.crash import FailingFile, RecordingFile, Step, states
from zipalign import Member, add_files, read_archive, recover, remove_entries
from zipalign.append_marker import AppendMarker
from zipalign.errors import NotAnArchiveError, RollbackError, TrailingDataError
from zipalign.update import add_inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

Operation = tuple[bytes | None, "Callable[[Path], object]"]

MODEL = bytes(range(256)) * 9
NESTED = build([Item(b"inner.txt", b"a zip file as a member" * 40)])


def _ours(tmp: Path) -> bytes:
    path = tmp / "ours"
    path.write_bytes(b"MZqFpD='\n" + bytes(777))
    add_files(path, [Member("model.gguf", b"GGUF" * 300), Member("old.txt", b"old")], alignment=4096)
    return path.read_bytes()


def _python_made() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "by another tool", zipfile.ZIP_DEFLATED)
        file.comment = b"a comment that stays"
    return buffer.getvalue()


def _operations(tmp: Path) -> dict[str, Operation]:
    model = tmp / "model.bin"
    model.write_bytes(MODEL)
    source = tmp / "imported.zip"
    source.write_bytes(build([Item(b"d.txt", b"donated" * 90, method=8), Item(b"e.txt", b"stored" * 90)]))
    files = [Member("model.gguf", model), Member(".args", b"-m\nmodel.gguf\n")]

    def add_imported(path: Path) -> object:
        from zipalign.import_archive import imported_inputs

        add_inputs(path, imported_inputs(source, path), alignment=512)
        return read_archive(path)

    return {
        "first archive in a program": (b"\x7fELF" * 100, lambda p: add_files(p, files, alignment=4096)),
        "replace in our archive": (_ours(tmp), lambda p: add_files(p, files, alignment=4096)),
        "zip as a member": (_ours(tmp), lambda p: add_files(p, [Member("n.zip", NESTED)], alignment=1)),
        "deflate into another tool's": (_python_made(), lambda p: add_files(p, files, level=9, alignment=64)),
        "remove": (_ours(tmp), lambda p: remove_entries(p, ["old.txt"])),
        "import": (_ours(tmp), add_imported),
        "new file": (None, lambda p: add_files(p, files, alignment=4096)),
        "many members": (b"", lambda p: add_files(p, [Member(f"{n}", b"x" * n) for n in range(30)], alignment=16)),
    }


NAMES = (
    "first archive in a program",
    "replace in our archive",
    "zip as a member",
    "deflate into another tool's",
    "remove",
    "import",
    "new file",
    "many members",
)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    steps: list[Step] = []
    monkeypatch.setattr(RecordingFile, "steps", steps, raising=False)
    monkeypatch.setattr("zipalign.transaction.OutputFile", RecordingFile)
    # Small enough for two threads to share the model, and for several writes of each.
    monkeypatch.setattr("zipalign.copying._SEGMENT_SIZE", 600)
    monkeypatch.setattr("zipalign.copying._CHUNK_SIZE", 250)
    return steps


def _prepare(tmp_path: Path, name: str) -> tuple[Path, bytes, Callable[[Path], object]]:
    old, operate = _operations(tmp_path)[name]
    path = tmp_path / "x.llamafile"
    if old is not None:
        path.write_bytes(old)
    return path, old or b"", operate


@pytest.mark.parametrize("name", NAMES)
def test_every_state_is_old_or_new(
    name: str, tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, old, operate = _prepare(tmp_path, name)
    recorded.clear()
    operate(path)
    new = path.read_bytes()
    monkeypatch.undo()
    marker = AppendMarker(len(old))
    seen = 0
    for what, state in states(old, list(recorded)):
        seen += 1
        assert state[: len(old)] == old, what
        path.write_bytes(state)
        try:
            recover(path)
        except NotAnArchiveError:
            # Without an archive there is nothing to recover, and no byte may have been added.
            assert not state[len(old) :].strip(b"\0"), what
            continue
        left = bytearray(path.read_bytes())
        if len(left) > len(old):
            left[marker.offset : marker.end] = bytes(marker.SIZE)
        assert bytes(left) in {old, new}, what
    assert seen >= 10
    assert new.startswith(old)


def test_the_next_run_recovers_by_itself(tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    path, old, operate = _prepare(tmp_path, "replace in our archive")
    recorded.clear()
    operate(path)
    new = path.read_bytes()
    monkeypatch.undo()
    writes = [n for n, step in enumerate(recorded) if step.kind == "write"]
    half_way = [state for what, state in states(old, recorded[: writes[-2]]) if what.startswith("before")][-1]
    assert len(half_way) > len(old) + len(MODEL)
    path.write_bytes(half_way)
    operate(path)
    assert path.read_bytes() == new


def test_removing_recovers_first_too(tmp_path: Path, recorded: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    path, old, operate = _prepare(tmp_path, "replace in our archive")
    recorded.clear()
    operate(path)
    monkeypatch.undo()
    path.write_bytes(next(state for what, state in states(old, list(recorded)) if what == "before step 4"))
    with pytest.raises(TrailingDataError, match="--recover"):
        read_archive(path)
    archive = remove_entries(path, ["old.txt"])
    assert [entry.name for entry in archive.entries] == ["model.gguf"]
    assert path.read_bytes().startswith(old)


def test_order_of_barriers(tmp_path: Path, recorded: list[Step]) -> None:
    path, _, operate = _prepare(tmp_path, "replace in our archive")
    recorded.clear()
    operate(path)
    kinds = [step.kind for step in recorded]
    # marker | data and headers | directory and end records | wiping the marker
    assert kinds.count("sync") == 3
    first, second, third = (n for n, kind in enumerate(kinds) if kind == "sync")
    assert kinds[:first] == ["write"]
    assert kinds[second + 1 : third] == ["write", "truncate"]
    assert recorded[second + 1].data.startswith(b"PK\x01\x02")
    assert recorded[second + 1].data[-22:].startswith(b"PK\x05\x06")
    assert kinds[third + 1 :] == ["write"]
    assert not any(recorded[-1].data)


def test_without_fsync_there_is_no_barrier(tmp_path: Path, recorded: list[Step]) -> None:
    path = tmp_path / "x.zip"
    add_files(path, [Member("a", b"a")], durable=False)
    assert "sync" not in [step.kind for step in recorded]


ERRORS = {
    "EIO": OSError(errno.EIO, "Input/output error"),
    "ENOSPC": OSError(errno.ENOSPC, "No space left on device"),
    "Ctrl-C": KeyboardInterrupt(),
    "SIGTERM": SystemExit(143),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", NAMES)
def test_failing_each_step(name: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old, operate = _prepare(tmp_path, name)
    created = not path.exists()
    monkeypatch.setattr("zipalign.transaction.OutputFile", FailingFile)
    monkeypatch.setattr("zipalign.copying._SEGMENT_SIZE", 600)
    monkeypatch.setattr("zipalign.copying._CHUNK_SIZE", 250)
    monkeypatch.setattr(FailingFile, "error", ERRORS[error], raising=False)
    for fail_at in range(1, 200):
        monkeypatch.setattr(FailingFile, "fail_at", fail_at, raising=False)
        monkeypatch.setattr(FailingFile, "count", 0, raising=False)
        try:
            operate(path)
        except (OSError, KeyboardInterrupt, SystemExit):
            assert not path.exists() if created else path.read_bytes() == old, fail_at
        else:
            # Only wiping out the marker may fail with no message: the archive is complete by then.
            assert FailingFile.count <= fail_at
            break
    else:
        pytest.fail("never ran through")
    assert fail_at > 5


def test_failing_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old, operate = _prepare(tmp_path, "replace in our archive")
    monkeypatch.setattr("zipalign.transaction.OutputFile", FailingFile)
    monkeypatch.setattr(FailingFile, "error", ERRORS["EIO"], raising=False)
    monkeypatch.setattr(FailingFile, "cutting_fails", True)
    monkeypatch.setattr(FailingFile, "fail_at", 5, raising=False)
    monkeypatch.setattr(FailingFile, "count", 0, raising=False)
    with pytest.raises(RollbackError) as caught:
        operate(path)
    monkeypatch.undo()
    assert caught.value.old_size == len(old)
    assert path.read_bytes() != old
    trailing = recover(path)
    assert trailing is not None
    assert trailing.is_marked
    assert path.read_bytes() == old
    assert read_archive(path).entry("old.txt")
