"""Runs the build tools, reports their progress, and keeps their output for errors."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from runtime.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Progress", "jobs", "run_tool"]

# Called with the number of steps done and of all.
Progress: TypeAlias = "Callable[[int, int], None]"

# The prefix of each step in ninja's output, from NINJA_STATUS.
_STEP: Final = re.compile(r"\[(\d+)/(\d+)\] ")


def jobs() -> int:
    """Return the number of compilers to run at once: the cores of this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tool(
    command: Sequence[str],
    environment: dict[str, str],
    what: str,
    progress: Progress | None = None,
    *,
    folder: Path | None = None,
) -> None:
    """Run COMMAND, in FOLDER if it is given; PROGRESS is called for each step of ninja.

    An exception of PROGRESS ends the command and is passed on.

    Raises:
        CompileError: it failed; the error contains the end of its output.
    """
    output: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip  # one line each would be seven
        try:
            for line in process.stdout or ():
                output.append(line)
                step = _STEP.match(line)
                if step and progress:
                    progress(int(step[1]), int(step[2]))
        except BaseException:
            process.terminate()  # or leaving this block would wait for its end; ninja takes its compilers with it
            raise
    if process.returncode != 0:
        raise CompileError(what, "".join(output))
