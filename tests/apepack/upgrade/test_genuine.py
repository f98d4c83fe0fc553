"""Upgrades of other makers' llamafiles."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from apepack.upgrade.plan import Way
from apepack.upgrade.restoration import restore
from tests.apepack.upgrade.llamafiles import check, model, noise, runtime, upgraded, weights_offset
from tests.builders.genuine import ERAS, genuine_ape
from zipalign import Member, add_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("era", ERAS)
def test_genuine_llamafiles_of_any_age(era: str, tmp_path: Path) -> None:
    path = tmp_path / "genuine.llamafile"
    path.write_bytes(genuine_ape(era))
    brought = [Member(".symtab.amd64", noise(5000)), Member("usr/share/zoneinfo/UTC", b"TZif2")]
    add_files(path, [*brought, Member("llama.cpp/ggml-cuda.cu", b"cuda" * 999)], level=6)
    add_files(path, [Member(".args", b"-m\ntiny.gguf\n"), Member("tiny.gguf", model(tmp_path))])
    path.chmod(0o755)
    before, offset = path.read_bytes(), weights_offset(path)
    new = runtime(tmp_path / "new", page=60_000, seed=2)

    result = upgraded(path, new)

    assert result.plan.way in {Way.IN_PLACE, Way.COPY}
    assert weights_offset(path) == offset + result.plan.shift
    assert set(result.plan.dropped) == {".symtab.amd64", "usr/share/zoneinfo/UTC", "llama.cpp/ggml-cuda.cu"}
    check(path, new)
    assert subprocess.run(["sh", path], check=False).returncode == 5
    restore(path)
    assert path.read_bytes() == before
