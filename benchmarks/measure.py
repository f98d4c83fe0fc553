"""Measurements: commands that run in turns, their times, and targets for them."""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Limit", "Measured", "anonymous_kib", "in_turns", "load_sentence", "machine", "percentile", "read_again",
    "resident_kib", "run", "slope", "spread", "verdicts",
]  # fmt: skip  # two lines of it

_FORWARDS, _BACKWARDS = 1, -1
_QUARTERS: Final = 4
_PIECE: Final = 4 << 20


@dataclass
class Measured:
    """One command and how long it took each time."""

    name: str
    command: list[str]
    output: str | None = None  # removed before each run
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_kib: int = 0

    @property
    def median(self) -> float:
        """The middle of all runs, in seconds."""
        return statistics.median(self.seconds)

    @property
    def middle_half(self) -> tuple[float, float]:
        """The bounds of the half of all runs around the median, in seconds."""
        first, _, third = statistics.quantiles(self.seconds, n=_QUARTERS)
        return first, third


@dataclass(frozen=True)
class Limit:
    """A target: one number may be at most so large, or must be at least so large."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether this run keeps it."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def run(measured: Measured, directory: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command in DIRECTORY once, note its times and peak memory, and remove its output."""
    start = time.perf_counter()
    process = subprocess.Popen(
        measured.command, cwd=directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    measured.seconds.append(time.perf_counter() - start)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, measured.command)
    measured.processor_seconds.append(usage.ru_utime + usage.ru_stime)
    measured.peak_kib = max(measured.peak_kib, usage.ru_maxrss)
    if measured.output is not None:
        (directory / measured.output).unlink()


def in_turns(rows: Sequence[Measured], rounds: int, run: Callable[[Measured], None]) -> None:
    """Run each row once in each round, so that other work of the machine affects all alike.

    In turns forwards and backwards: a machine may still be busy with the effects of the command before.
    """
    for number in range(rounds):
        for row in rows[:: _BACKWARDS if number % 2 else _FORWARDS]:
            run(row)


def read_again(file: Path) -> None:
    """Have FILE in memory, but in other pages of it than before.

    The speed of computing with mapped weights depends on these pages, by up to a fifth in a virtual machine.
    """
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while stream.read(_PIECE):
            pass


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least of VALUES that PERCENT of them do not exceed; PERCENT is above 0."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def spread(values: Sequence[float], form: str) -> str:
    """Return the median of VALUES, with their minimum and maximum, each in FORM, a format specification."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def slope(values: Sequence[float]) -> float:
    """Return by how much VALUES, measured at equal distances, grow from one to the next: the least-squares line's."""
    return statistics.linear_regression(range(len(values)), values).slope


def anonymous_kib(pid: int) -> int:
    """Return the anonymous memory of the process PID in KiB, 0 if it has ended."""
    return _memory_kib(pid, "Anonymous")


def resident_kib(pid: int) -> int:
    """Return the memory of the process PID in KiB, with mapped files, 0 if it has ended."""
    return _memory_kib(pid, "Rss")


def _memory_kib(pid: int, kind: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")), 0)


def verdicts(limits: Sequence[Limit]) -> str:
    """Return targets and results as a table in Markdown."""
    lines = ["| target | measured | limit | |", "|---|---:|---:|---|"]
    for limit in limits:
        bound = f"{'≥' if limit.at_least else '≤'} {limit.limit:g}"
        lines.append(f"| {limit.text} | {limit.value:.2f} | {bound} | {'kept' if limit.kept else '**missed**'} |")
    return "\n".join(lines) + "\n"


def machine(directory: Path) -> str:
    """Describe the machine; commands read and write in DIRECTORY."""
    processor = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in processor.splitlines() if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    command = ["findmnt", "-n", "-o", "FSTYPE", "-T", str(directory)]
    system = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    python = platform.python_version()
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, file system {system}, Python {python}"


def load_sentence(before: float) -> str:
    """Say how busy the machine was, BEFORE being the load average at the start."""
    return f"""\
Load average: {before:.1f} before, {os.getloadavg()[0]:.1f} after. Well above 1, the machine had other work than this
benchmark and the kernel's write-back, which widens the spread.
"""
