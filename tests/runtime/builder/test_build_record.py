from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtime import VERSION
from runtime.builder import build_record
from runtime.builder.artifacts import ENGINE_SDIST
from runtime.builder.build_record import FILE_NAME, BuildRecord, current_build_record, read_build_record
from runtime.builder.toolchain import TOOLS
from runtime.errors import BuildRecordError
from tests.builders.llamafile import RECORD

if TYPE_CHECKING:
    from pathlib import Path


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(RECORD.pack())
    assert read_build_record(tmp_path / "llamafile") == RECORD
    assert read_build_record(tmp_path / "elsewhere" / "llamafile") is None


def test_it_names_the_inputs_of_builds() -> None:
    record = current_build_record()
    assert (record.source_sha256, record.version, record.tools) == (ENGINE_SDIST.sha256, VERSION, TOOLS)
    assert record == current_build_record()


def test_the_revision_follows_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("builder/a.py", "loader/b.c", "shim/c/d.cpp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    monkeypatch.setattr(build_record, "_RUNTIME", tmp_path)
    revisions = [current_build_record().revision]
    (tmp_path / "shim" / "__pycache__").mkdir()
    (tmp_path / "shim" / "__pycache__" / "x.pyc").write_text("by-product")
    (tmp_path / "loader" / ".b.c.swp").write_text("an editor's")
    assert current_build_record().revision == revisions[0]
    (tmp_path / "shim/c/d.cpp").write_text("changed")
    revisions.append(current_build_record().revision)
    (tmp_path / "loader/b.c").rename(tmp_path / "loader/renamed.c")
    revisions.append(current_build_record().revision)
    assert len(set(revisions)) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"text",
        lambda content: b"[]",
        lambda content: json.dumps(content | {"format": 2}).encode(),
        lambda content: json.dumps(content | {"revision": 1}).encode(),
        lambda content: json.dumps(content | {"tools": {"zig": 1}}).encode(),
        lambda content: json.dumps({name: content[name] for name in content if name != "engine"}).encode(),
    ],
    ids=["text", "list", "format", "number", "tools", "absent"],
)
def test_damage(change: Any, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(change(json.loads(RECORD.pack())))
    with pytest.raises(BuildRecordError) as caught:
        BuildRecord.unpack(path.read_bytes(), path)
    assert caught.value.path == path
