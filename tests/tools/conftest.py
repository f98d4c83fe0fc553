"""A mirror of Debian's archive on this machine, and its requests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders.debian import Machine
from tests.builders.mirror import Mirror, mirroring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """An empty one."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with mirroring(folder) as mirror:
        yield mirror


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with nothing installed, which apt and dpkg take for this one."""
    machine = Machine(tmp_path / "machine")
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    return machine


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose scripts are found before the programs of this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder
