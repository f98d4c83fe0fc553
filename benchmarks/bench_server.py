"""Measure a server under load beside native builds of the same one, and write benchmarks/server.{md,json,svg}.

One to 64 clients at once, each of which sends the next request after an answer. All servers get the same arguments;
the clients share the processors with the server. Takes a quarter of an hour on two cores.

`--minutes 60` measures something else: our server alone for an hour, and writes benchmarks/server-hour.{md,json,svg}.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.endurance import endure
from benchmarks.measure import Limit, percentile, verdicts
from benchmarks.native import native_build, native_compilers, peers_python
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from benchmarks.request import GENERATED, WORDS, ask, running
from runtime.builder.artifacts import demo_model

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 3
CLIENTS: Final = (1, 4, 16, 64)
REQUESTS: Final = 2  # of each client
REQUESTS_MIN: Final = 8  # of all: the first token of one request varies by a tenth
GOAL: Final = 0.98
# With so many clients and more, what the server itself does decides, and the goals are higher.
MANY: Final = 16
GOAL_MANY: Final = 1.5
WAIT_MANY_MAX: Final = 0.6
CONTEXT: Final = 512  # tokens of each slot
# Of prompts that slots have left; full within minutes. The engine's default of 8 GiB would be full after a while, too.
CACHE_MIB: Final = 512
RATE, FIRST, LAST = "tokens/s", "ms to first token, median", "ms to first token, 95 %"
MEASURED: Final = (RATE, FIRST, LAST)
TITLE: Final = "A server under load, compared with native builds"
ABOUT: Final = f"""\
Written by `benchmarks/bench_server.py`. SmolLM2 135M Q4_1; all servers have the arguments `-t 2 --parallel N -c M` for
N clients, {CONTEXT} tokens each, and the engine's defaults otherwise (`-b 2048 -ub 512`, continuous batching).
Each client asks for {GENERATED} tokens after a prompt of {WORDS} words of its own, {REQUESTS} times
(one alone {REQUESTS_MIN} times), and reads them as they come.
The rate counts the tokens of all clients; the times to the first token are those of all requests of a round.
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the servers that are compared, and its command."""

    name: str
    command: Sequence[str]

    def measure(self, clients: int) -> tuple[float, ...]:
        """Return the values of MEASURED."""
        requests = max(clients * REQUESTS, REQUESTS_MIN)
        with running([*self.command, *slots(clients)]) as (_, port):
            ask(port, 0)
            with ThreadPoolExecutor(clients) as pool:
                start = time.perf_counter()
                waits = list(pool.map(lambda number: ask(port, number), range(requests)))
                seconds = time.perf_counter() - start
        return requests * GENERATED / seconds, statistics.median(waits) * 1000, percentile(waits, 95) * 1000


def slots(clients: int) -> list[str]:
    """Return the arguments of a server with a slot for each of CLIENTS."""
    return ["-t", "2", "--parallel", str(clients), "-c", str(CONTEXT * clients)]


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
        clients, measured = cell.labels["clients"], cell.labels["measured"]
        is_many = int(clients) >= MANY
        for other in others:
            name = f"{clients} clients, {measured}: {OURS} / {other}"
            if measured == RATE:
                found.append(Limit(name, cell.ratio(other), GOAL_MANY if is_many else GOAL, at_least=True))
            else:
                is_goal = is_many and measured == LAST
                found.append(Limit(name, cell.ratio(other), WAIT_MANY_MAX if is_goal else round(1 / GOAL, 2)))
    return found


def compare(program: Program, folder: Path, counts: Sequence[int], rounds: int) -> None:
    """Measure all contestants with each of COUNTS clients, and write the results."""
    entrants = contestants(program)
    others = [one.name for one in entrants[1:]]
    record = Record("server", TITLE, ABOUT, "", rounds, program.versions())
    for number in range(rounds):
        for clients in counts:
            for one in entrants[:: -1 if number % 2 else 1]:
                for measured, value in zip(MEASURED, one.measure(clients), strict=True):
                    record.cell(clients=str(clients), measured=measured).add(one.name, value)
    record.write(folder, others, others, verdicts(limits(record, others)))
    subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record.name, *others], check=True)


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="how many at once")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--minutes", type=int, help=f"load our server for so long, with {MANY} clients by default")
    options = parser.parse_args()
    with workplace() as folder:
        program = Program.pack(folder / "smollm2.llamafile", [demo_model()], ["-m", demo_model().name])
        if options.minutes is None:
            compare(program, folder, options.clients, options.rounds)
            return
        clients = MANY if options.clients is CLIENTS else options.clients[0]
        arguments = ["--nobrowser", *slots(clients), "--cache-ram", str(CACHE_MIB)]
        record = endure(program, arguments, clients, options.minutes, folder)
    subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record, "--hour"], check=True)


if __name__ == "__main__":
    main()
