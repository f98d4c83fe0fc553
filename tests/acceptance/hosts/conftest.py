"""The worker that many tests ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.hosts.worker import Worker, worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def running(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker without weights, which many tests attack."""
    folder = tmp_path_factory.mktemp("worker")
    link = folder / "llamafile-rpc-server"
    link.symlink_to(runtime)
    with worker(link, folder, "--threads", "1", "--max-memory", "64M") as started:
        yield started
