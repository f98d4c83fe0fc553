"""Measure a model divided over several hosts, beside one host and the engine's programs: benchmarks/hosts.{md,json}.

The hosts are network namespaces of this machine with cables of 1 Gbit/s, so all share its processors: what is measured
is the cost of dividing a model, not the gain. Needs root.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.cables import hosts
from benchmarks.measure import Limit, verdicts
from benchmarks.models import billion_model
from benchmarks.native import native_build, native_compilers
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from benchmarks.request import wait_until_ready
from runtime.builder.artifacts import demo_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.cables import Host

ROUNDS: Final = 3
COUNTS: Final = (2, 3)  # hosts beside the one that is asked
GENERATED: Final = 32
WORDS: Final = 30
THREADS: Final = "1"
START_SECONDS_MAX: Final = 120
PORT: Final = 8089
WORKER_PORT: Final = 50052
GOAL: Final = 1.0
GOAL_SENT: Final = 0.05
RATE, PROMPT, LOAD, SENT, EACH = (
    "tokens/s", "prompt tokens/s", "s to load", "MB sent to load", "kB both ways per token"
)  # fmt: skip  # one line of it
SENDING: Final = "llamafile, weights sent"
TITLE: Final = "A model divided over several hosts"
ABOUT: Final = f"""\
Written by `benchmarks/bench_hosts.py`. The hosts are network namespaces of one machine, with cables of 1 Gbit/s to the
one that is asked; they share two cores, {THREADS} thread each. {GENERATED} tokens after {WORDS} words. `{OURS}`:
the workers are the same llamafile, which has the weights; `{SENDING}`: they have none; `local`: no
workers. The engine's own `llama-server` and `ggml-rpc-server` are built from the same source for this very processor.
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server, and the workers that it uses."""

    name: str
    server: Sequence[str]
    worker: Sequence[str]  # empty: no workers
    names_hosts: bool  # the worker takes --allow

    def measure(self, near: Sequence[Host]) -> dict[str, float]:
        """Return what is measured, by its name."""
        with ExitStack() as stack:
            for host in near if self.worker else ():
                stack.callback(_end, _start(host.command(*self._worker_command(host))))
            time.sleep(1)  # until they listen
            before = _transferred(near)
            start = time.perf_counter()
            workers = ",".join(f"{host.address}:{WORKER_PORT}" for host in near)
            rpc = ["--rpc", workers] if self.worker else []
            server = _start([*self.server, "--port", str(PORT), "-t", THREADS, "-c", "1024", "--parallel", "1", *rpc])
            stack.callback(_end, server)
            wait_until_ready(server, PORT, START_SECONDS_MAX)
            loaded = time.perf_counter() - start
            after = _transferred(near)
            _ask(1)  # the first one sends the graphs
            between = _transferred(near)
            timings = _ask(GENERATED)
            moved = sum(_transferred(near)) - sum(between)
        return {
            RATE: timings["predicted_per_second"],
            PROMPT: timings["prompt_per_second"],
            LOAD: loaded,
            **({SENT: (after[0] - before[0]) / 1e6, EACH: moved / 1e3 / GENERATED} if self.worker else {}),
        }

    def _worker_command(self, host: Host) -> list[str]:
        allow = ["--allow", host.near_address] if self.names_hosts else []
        return [*self.worker, "-H", host.address, "-p", str(WORKER_PORT), "-t", THREADS, *allow]


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def _transferred(near: Sequence[Host]) -> tuple[int, int]:
    pairs = [host.transferred() for host in near]
    return sum(sent for sent, _ in pairs), sum(received for _, received in pairs)


def _ask(tokens: int) -> dict[str, float]:
    prompt = " ".join(f"{tokens} {word}" for word in range(WORDS // 2))
    body = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "temperature": 0, "cache_prompt": False}
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
    timings: dict[str, float] = json.loads(connection.getresponse().read())["timings"]
    connection.close()
    return timings


def contestants(folder: Path, name: str, model: Path) -> list[Contestant]:
    """Return all contestants for MODEL, ours first."""
    full_folder = folder / name
    full_folder.mkdir()
    packed = Program.pack(full_folder / "full.llamafile", [model], ["-m", model.name])
    alias = packed.command("llamafile-rpc-server")
    bare_folder = folder / f"{name}-bare"
    bare_folder.mkdir()
    bare = Program.pack(bare_folder / "bare.llamafile").command("llamafile-rpc-server")
    server = [packed.command()[0], str(packed.path), "--server", "--nobrowser"]
    clang, compilers = next((name, pair) for name, pair in native_compilers().items() if name.startswith("clang"))
    native = native_build(clang, compilers)
    return [
        Contestant(OURS, server, alias, names_hosts=True),
        Contestant(SENDING, server, bare, names_hosts=True),
        Contestant("local", server, (), names_hosts=False),
        Contestant(
            native.name,
            [native.program("llama-server"), "-m", str(model)],
            [native.program("ggml-rpc-server")],
            names_hosts=False,
        ),
    ]


def limits(record: Record, native: str) -> list[Limit]:
    """Return the targets: the speed of the engine's own programs, and few bytes to workers that have the weights."""
    found = []
    for cell in record.cells:
        labels = cell.labels
        name = f"{labels['model']}, {labels['hosts']} hosts, {labels['measured']}"
        if labels["measured"] in {RATE, PROMPT}:
            found.append(Limit(f"{name}: {OURS} / {native}", cell.ratio(native), GOAL, at_least=True))
        if labels["measured"] == SENT:
            part = cell.median(OURS) / cell.median(SENDING)
            found.append(Limit(f"{name}: {OURS} / {SENDING}", part, GOAL_SENT))
    return found


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder, hosts(max(COUNTS)) as all_hosts:
        tools = Program.pack(folder / "tools")
        models = {"SmolLM2 135M Q4_1": demo_model()} | dict(
            [billion_model(tools.command("llamafile-quantize"), "Q4_0")]
        )
        entrants = {name: contestants(folder, f"model{number}", path)
                    for number, (name, path) in enumerate(models.items())}  # fmt: skip  # one line of it
        record = Record("hosts", TITLE, ABOUT, "", ROUNDS, tools.versions(), has_plot=False)
        for _ in range(ROUNDS):
            for name, ours in entrants.items():
                for count in COUNTS:
                    for one in ours:
                        for measured, value in one.measure(all_hosts[:count]).items():
                            record.cell(model=name, hosts=str(count), measured=measured).add(one.name, value)
        others = [one.name for one in next(iter(entrants.values()))[1:]]
        record.write(folder, others, others[-1:], verdicts(limits(record, others[-1])))


if __name__ == "__main__":
    main()
