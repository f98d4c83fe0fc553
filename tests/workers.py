"""Tests in several processes: files that are made once for all of them, and tests that run while no other does."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["shared_file"]


def _common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for this run of pytest that all its processes know."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def shared_file(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a file that all processes share.

    Args:
        tmp_path_factory: the fixture of that name.
        name: of the file, after the name of its folder.
        make: writes the file, completely or not at all. The first process that wants the file calls it.
    """
    path = _common_folder(tmp_path_factory) / name
    path.parent.mkdir(exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let a test with the mark `alone` wait for the tests in other processes, and these for it.

    The gate is held by one process at a time, and only until it has its turn: a test that waits for the others is not
    overtaken by their successors.
    """
    is_alone = request.node.get_closest_marker("alone") is not None
    folder = _common_folder(tmp_path_factory)
    with (folder / "gate.lock").open("w") as gate, (folder / "turn.lock").open("w") as turn:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(turn, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
