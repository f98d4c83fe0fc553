"""A server whose user has a home of their own."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.api.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.api.prompts.states import Serve
    from tests.acceptance.api.servers import Server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def serve(program: Path, roomy_model: Path, tmp_path: Path, home: Path) -> Serve:
    """Start a server whose user has HOME, and end it as service managers do."""

    @contextmanager
    def start(*options: object, model: Path | None = roomy_model, **variables: str) -> Iterator[Server]:
        home.mkdir(exist_ok=True)
        named = ["-m", model] if model else []
        command = [program, *named, "--nobrowser", "-c", "4096", "--parallel", "1", *options]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), **variables}
        with serving(command, tmp_path / "log", environment) as server:
            yield server
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == 0

    return start
