"""The runtime of an upgrade: linked from builds, or taken from another llamafile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import apepack.upgrade.new_runtime
from apepack.errors import NoRuntimeError
from apepack.format.prologue import Magic
from apepack.upgrade.new_runtime import NewRuntime, providing
from tests.apepack.upgrade.llamafiles import llamafile, runtime
from tests.builders.ape import small_program
from zipalign import read_archive

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.installed import RuntimeSource


def test_what_has_to_be_before_the_weights(tmp_path: Path) -> None:
    path = runtime(tmp_path / "runtime", page=70_000, gpu=5_000)
    found = NewRuntime.read(path, own_engine=True)
    entries = {entry.name: entry for entry in read_archive(path).entries}

    assert [entry.name for entry in found.entries] == ["NOTICES", "pages/index.html", "gpu/shaders.zst"]
    assert found.core_size == entries["pages/index.html"].header_offset
    assert found.size == entries["gpu/shaders.zst"].data_end
    assert found.front_size(found.size) == found.size
    assert found.front_size(found.size - 1) == entries["pages/index.html"].data_end
    assert found.front_size(found.core_size) == found.core_size
    assert found.front_size(found.core_size - 1) is None


def test_builds_are_linked_once_for_each_magic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "linux-amd64"
    program.write_bytes(small_program("linux-amd64"))
    (tmp_path / "NOTICES").write_bytes(b"licences")
    calls: list[Magic] = []

    def found_programs(_: RuntimeSource, magic: Magic) -> list[Path]:
        calls.append(magic)
        return [program]

    monkeypatch.setattr(apepack.upgrade.new_runtime, "programs_for", found_programs)
    with providing(None) as runtimes:
        for magic in (Magic.MZ, Magic.NO_WINDOWS, Magic.MZ, Magic.DEBUG):
            found = runtimes.beginning_with(magic)
            expected = Magic.NO_WINDOWS if magic is Magic.NO_WINDOWS else Magic.MZ
            assert found.path.read_bytes().startswith(expected.value)
            assert found.own_engine
        folder = found.path.parent
    assert calls == [Magic.MZ, Magic.NO_WINDOWS]
    assert not folder.exists()


def test_no_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apepack.upgrade.new_runtime, "find_runtime", lambda: None)
    with providing(None) as runtimes, pytest.raises(NoRuntimeError):
        runtimes.beginning_with(Magic.MZ)


def test_a_given_runtime_is_used_as_it_is(tmp_path: Path) -> None:
    path = runtime(tmp_path / "runtime")
    with providing(path) as runtimes:
        assert runtimes.beginning_with(Magic.NO_WINDOWS).path == path
    with providing(path, gpu=False) as runtimes:
        found = runtimes.beginning_with(Magic.MZ)
        assert found.path != path
        assert [entry.name for entry in found.entries] == ["NOTICES", "pages/index.html"]


@pytest.mark.parametrize("gpu", [True, False])
def test_of_a_packed_llamafile_only_the_runtime_is_taken(tmp_path: Path, *, gpu: bool) -> None:
    packed = llamafile(tmp_path / "x.llamafile", runtime(tmp_path / "runtime"), arguments=["--temp", "1"])
    with providing(packed, gpu=gpu) as runtimes:
        found = runtimes.beginning_with(Magic.MZ)
        names = [entry.name for entry in found.entries]
        assert names == ["NOTICES", "pages/index.html", *(["gpu/shaders.zst"] if gpu else [])]
        assert found.path.stat().st_size < (tmp_path / "runtime").stat().st_size + 4096
        assert found.manifest is not None or not gpu
