"""Measure a server under load beside native builds of the same one, and write benchmarks/server.{md,json,svg}.

One, four and sixteen clients at once, each of which sends the next request after an answer. All servers get the same
arguments; the clients share the processors with the server.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, verdicts
from benchmarks.native import native_build, native_compilers, peers_python
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from benchmarks.request import GENERATED, WORDS, ask, wait_until_ready
from runtime.builder.artifacts import demo_model

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 3
CLIENTS: Final = (1, 4, 16)
REQUESTS: Final = 2  # of each client
REQUESTS_MIN: Final = 8  # of all: the first token of one request varies by a tenth
START_SECONDS_MAX: Final = 60
GOAL: Final = 0.98
RATE, FIRST = "tokens/s", "ms to first token"
TITLE: Final = "A server under load, compared with native builds"
ABOUT: Final = f"""\
Written by `benchmarks/bench_server.py`. SmolLM2 135M Q4_1, two threads, as many slots as clients. Each client asks for
{GENERATED} tokens after a prompt of {WORDS} words of its own, {REQUESTS} times (one alone {REQUESTS_MIN} times),
and reads them as they come.
The rate counts the tokens of all clients; the time to the first token is the median of all requests of a round.
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the servers that are compared, and its command."""

    name: str
    command: Sequence[str]

    def measure(self, clients: int) -> tuple[float, float]:
        """Return tokens per second, and milliseconds to the first token."""
        requests = max(clients * REQUESTS, REQUESTS_MIN)
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            port = reserved.getsockname()[1]
        options = ["--port", str(port), "-t", "2", "--parallel", str(clients), "-c", str(512 * clients)]
        with subprocess.Popen(
            [*self.command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                wait_until_ready(server, port, START_SECONDS_MAX)
                ask(port, 0)
                with ThreadPoolExecutor(clients) as pool:
                    start = time.perf_counter()
                    waits = list(pool.map(lambda number: ask(port, number), range(requests)))
                    seconds = time.perf_counter() - start
            finally:
                server.terminate()
        return requests * GENERATED / seconds, statistics.median(waits) * 1000


def contestants(program: Program) -> list[Contestant]:
    """Return all contestants, ours first."""
    natives = [native_build(name, compilers) for name, compilers in native_compilers().items()]
    model = ["-m", str(demo_model())]
    return [
        Contestant(OURS, [*program.command("llamafile-server"), "--nobrowser"]),
        *(Contestant(native.name, [native.program("llama-server"), *model]) for native in natives),
    ]


def limits(record: Record, others: Sequence[str]) -> list[Limit]:
    """Return the targets compared with each of the others."""
    found = []
    for cell in record.cells:
        for other in others:
            name = f"{cell.labels['clients']} clients, {cell.labels['measured']}: {OURS} / {other}"
            more_is_better = cell.labels["measured"] == RATE
            found.append(Limit(name, cell.ratio(other), GOAL if more_is_better else 1 / GOAL, more_is_better))
    return found


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder:
        program = Program.pack(folder / "smollm2.llamafile", [demo_model()], ["-m", demo_model().name])
        entrants = contestants(program)
        others = [one.name for one in entrants[1:]]
        record = Record("server", TITLE, ABOUT, "", ROUNDS, program.versions())
        for number in range(ROUNDS):
            for clients in CLIENTS:
                for one in entrants[:: -1 if number % 2 else 1]:
                    for measured, value in zip((RATE, FIRST), one.measure(clients), strict=True):
                        record.cell(clients=str(clients), measured=measured).add(one.name, value)
        record.write(folder, others, others, verdicts(limits(record, others)))
    subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record.name, *others], check=True)


if __name__ == "__main__":
    main()
