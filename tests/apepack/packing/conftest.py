"""The inputs of packing that several test modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import apepack.packing.pack
from runtime.installed import NativeProgram, RuntimeSource
from runtime.platforms import platform_named
from tests.builders.elf import X86_64, exit_program
from tests.builders.gguf import TinyModel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyModel().write(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def stub_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build in the cache, with the licences beside it."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "NOTICES").write_text("licence " * 100)
    path = tmp_path / "build" / "llamafile"
    path.write_bytes(exit_program(X86_64, status=5))
    source = RuntimeSource(programs=(NativeProgram(platform_named("linux-amd64"), path),))
    monkeypatch.setattr(apepack.packing.pack, "find_runtime", lambda given: RuntimeSource(given) if given else source)
    return path
