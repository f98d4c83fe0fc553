"""Measure replicas behind haproxy, and what one that dies costs, and write benchmarks/replicas.{md,json}.

One, two and four replicas share the processors of this machine with each other, with haproxy and with the clients.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, percentile, verdicts
from benchmarks.program import Program
from benchmarks.record import Record, workplace
from benchmarks.request import GENERATED, WORDS, ask
from runtime.builder.artifacts import demo_model
from tests.builders.load import Load
from tests.builders.replicas import replicas

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS: Final = 3
SLOTS: Final = 16  # of all replicas together
REQUESTS: Final = {1: 8, 4: 16, 16: 48}  # of all clients together, by their number
HAPROXY: Final = "haproxy"
MEASURED: Final = ("tokens/s", "requests/s", "ms to first token, median", "ms to first token, 95 %")
KILLED: Final = 4  # replicas, of which one dies or each is restarted in turn
TITLE: Final = "Replicas behind haproxy"
ABOUT: Final = f"""\
Written by `benchmarks/bench_replicas.py`. SmolLM2 135M Q4_1; the replicas have {SLOTS} slots together, and share the
processors: each has as many threads as there are processors for it, and at least one. haproxy has the configuration of
[docs/serving/](../docs/serving/README.md), least connections; without a proxy, the clients ask the one server directly.
Each client asks for {GENERATED} tokens after a prompt of {WORDS} words of its own, and reads them as they come.
Clients ask {", ".join(f"{count} times if there are {clients}" for clients, count in REQUESTS.items())}."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A number of replicas, behind haproxy or not."""

    replicas: int
    has_proxy: bool = True

    @property
    def name(self) -> str:
        """The head of its column."""
        return f"{self.replicas} replica{'s' * (self.replicas > 1)}{'' if self.has_proxy else ', no proxy'}"

    def measure(self, program: Program, clients: int, folder: Path) -> tuple[float, ...]:
        """Return the values of MEASURED."""
        with replicas(_haproxy(), command(program, self.replicas), self.replicas, folder) as group:
            port = group.port if self.has_proxy else group.servers[0].port
            for server in group.servers:
                ask(server.port, 0)
            with ThreadPoolExecutor(clients) as pool:
                start = time.perf_counter()
                waits = list(pool.map(lambda number: ask(port, number), range(REQUESTS[clients])))
                seconds = time.perf_counter() - start
        rate = len(waits) / seconds
        return rate * GENERATED, rate, statistics.median(waits) * 1000, percentile(waits, 95) * 1000


def _haproxy() -> str:
    found = shutil.which(HAPROXY)
    if found is None:
        raise FileNotFoundError(f"the benchmark needs {HAPROXY} (Debian's package of this name)")
    return found


def command(program: Program, count: int) -> list[str]:
    """Return the command of one of COUNT replicas, without its port."""
    threads, slots = max((os.cpu_count() or 1) // count, 1), SLOTS // count
    options = ["-t", str(threads), "--parallel", str(slots), "-c", str(512 * slots)]
    return [*program.command("llamafile-server"), "--nobrowser", *options]


def failures(program: Program, folder: Path) -> list[Limit]:
    """Return how many requests failed while a replica died, and while all were restarted in turn."""
    with replicas(_haproxy(), command(program, KILLED), KILLED, folder) as group:
        first = group.servers[0]
        with Load(group.port, SLOTS) as load:
            load.wait_for(SLOTS)
            first.end(signal.SIGKILL)
            load.wait_for(SLOTS)
            first.start()
            load.wait_for(1, "replica1")
        with Load(group.port, SLOTS) as restarts:
            for number, server in enumerate(group.servers, 1):
                restarts.wait_for(SLOTS)
                server.end(signal.SIGTERM, timeout=120)
                server.start()
                restarts.wait_for(1, f"replica{number}")
    own = sum(failure.replica == "replica1" for failure in load.failures)
    asked, restarted = len(load.outcomes), len(restarts.outcomes)
    return [
        Limit(f"failed of {asked} requests, one of {KILLED} replicas killed: those that it was sending", own, SLOTS),
        Limit(f"failed of {asked} requests, one of {KILLED} replicas killed: others", len(load.failures) - own, 0),
        Limit(f"failed of {restarted} requests, all replicas restarted in turn", len(restarts.failures), 0),
    ]


def main() -> None:
    """Measure, and write the results."""
    entrants = [Contestant(1, has_proxy=False), *(Contestant(count) for count in (1, 2, 4))]
    names = [one.name for one in entrants]
    with workplace() as folder:
        program = Program.pack(folder / "smollm2.llamafile", [demo_model()], ["-m", demo_model().name])
        version = subprocess.run([_haproxy(), "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
        record = Record(
            "replicas", TITLE, ABOUT, "", ROUNDS, {**program.versions(), "of haproxy": version}, has_plot=False
        )
        for number in range(ROUNDS):
            for clients in REQUESTS:
                for one in entrants[:: -1 if number % 2 else 1]:
                    for measured, value in zip(MEASURED, one.measure(program, clients, folder), strict=True):
                        record.cell(clients=str(clients), measured=measured).add(one.name, value)
        record.write(folder, names, [], verdicts(failures(program, folder)))


if __name__ == "__main__":
    main()
