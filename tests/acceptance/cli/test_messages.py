"""What a llamafile says on standard error."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from tests.acceptance.api.servers import serving
from tests.conftest import tool

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_are_written_whole(program: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Three write to it: the engine's log has a thread, what opens a browser is a process. None cuts another's line."""
    trace = tmp_path / "trace"
    strace = [tool("strace"), "-I", "never", "-f", "-s", "4096", "-e", "trace=write,writev", "-o", trace]
    with serving([*strace, program, "-m", tiny_model, "--nobrowser"], tmp_path / "log") as server:
        assert server.chat()[0] == 200
        os.killpg(server.process.pid, signal.SIGTERM)  # strace leaves it to the program, and writes the rest
        server.process.wait(timeout=60)
    calls = [line for line in trace.read_text().splitlines() if re.search(r"\bwritev?\(2, ", line)]
    assert [line for line in calls if "llamafile: listening on" in line]
    assert [line for line in calls if "model loaded" in line]  # one of the engine's
    assert [line for line in calls if not re.search(r'\\n"(, iov_len=\d+\}\], \d+|, \d+)(\)| <unfinished)', line)] == []
