"""Running the compilers: one process at a time or as many as there are cores, and what they say when they fail."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from runtime.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Progress", "jobs", "run_tool"]

# Called with the number of steps done and of all.
Progress: TypeAlias = "Callable[[int, int], None]"

# What NINJA_STATUS makes ninja print before each step.
_STEP: Final = re.compile(r"\[(\d+)/(\d+)\] ")


def jobs() -> int:
    """Return how many compilers to run at once: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tool(
    command: Sequence[str],
    environment: dict[str, str],
    what: str,
    progress: Progress | None = None,
) -> None:
    """Run COMMAND to its end; PROGRESS is told the steps done and the steps of all, if it is ninja.

    An exception of PROGRESS ends the command and is passed on.

    Raises:
        CompileError: it failed; the error holds the end of what it printed.
    """
    said: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(line)
                step = _STEP.match(line)
                if step and progress:
                    progress(int(step[1]), int(step[2]))
        except BaseException:
            process.terminate()  # or leaving this block would wait for its end; ninja takes its compilers with it
            raise
    if process.returncode != 0:
        raise CompileError(what, "".join(said))
