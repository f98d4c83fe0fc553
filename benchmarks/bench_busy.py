"""Measure generation beside other work, a busy process per core, and write benchmarks/busy.{md,json}.

Threads wait for each other hundreds of times per token. While a thread waits actively, it takes time from the thread
that it waits for: with two busy processes, two threads were once up to thirty times slower than one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, verdicts
from benchmarks.program import Program
from benchmarks.record import Record, workplace
from runtime.builder.artifacts import demo_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS: Final = 15
TOKENS: Final = 48
ONE, TWO = "1 thread", "2 threads"
THREADS: Final = {ONE: 1, TWO: 2}
TIME, PROCESSOR = "seconds", "CPU seconds"
SPEED_MIN: Final = 0.9  # of one thread's
PROCESSOR_MAX: Final = 1.3
TITLE: Final = "Generation beside other work"
ABOUT: Final = f"""\
Written by `benchmarks/bench_busy.py`. SmolLM2 135M generates {TOKENS} tokens while another process computes on each
core: the time and the processor time of the whole command.
"""


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep each core busy with a process."""
    command = [sys.executable, "-c", "while True: pass"]
    with contextlib.ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        yield


def run(command: Sequence[str]) -> tuple[float, float]:
    """Run COMMAND and return its time and its processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(record: Record, program: Program) -> None:
    """Generate with each number of threads in turns."""
    ask = ["-p", "The capital of France is", "-n", str(TOKENS), "--temp", "0"]
    names = list(THREADS)
    for number in range(ROUNDS):
        for name in names[:: -1 if number % 2 else 1]:
            command = [*program.command(), *ask, "-t", str(THREADS[name])]
            for measured, value in zip((TIME, PROCESSOR), run(command), strict=True):
                record.cell(measured=measured).add(name, value)


def limits(record: Record) -> list[Limit]:
    """Return the targets: two threads are of use, or at least of no harm."""
    seconds, processor = (record.cell(measured=measured) for measured in (TIME, PROCESSOR))
    return [
        Limit("speed: 2 threads / 1 thread", seconds.median(ONE) / seconds.median(TWO), SPEED_MIN, at_least=True),
        Limit("CPU time: 2 threads / 1 thread", processor.median(TWO) / processor.median(ONE), PROCESSOR_MAX),
    ]


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder:
        program = Program.pack(folder / "smollm2.llamafile", [demo_model()], ["-m", demo_model().name])
        record = Record("busy", TITLE, ABOUT, "", ROUNDS, program.versions(), digits=2, has_plot=False)
        with busy_cores():
            measure(record, program)
        record.write(folder, list(THREADS), (), f"{verdicts(limits(record))}\n")


if __name__ == "__main__":
    main()
