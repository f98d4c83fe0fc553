"""Measure how long the first token takes, and the memory for it, and write benchmarks/first_token.{md,json,svg}.

From exec to the first byte of the answer: of a packed model, in each way it can be started, and of native builds of
the same engine that read the model from a file of its own. Everything is in the page cache.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assimilate.conversion import assimilate
from benchmarks.measure import Limit, anonymous_kib, verdicts
from benchmarks.models import bench_models
from benchmarks.native import WITHOUT_AMX, native_build, native_compilers, peers_python
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from runtime.platforms import host_platform

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 11
MEMORY_ROUNDS: Final = 3
MODELS: Final = ("SmolLM2 135M Q4_1", "0.6B Q4_0", "0.6B F16")
ASSIMILATED: Final = "llamafile, assimilated"
AS_STORED: Final = "llamafile --no-repack"
NATIVE_NO_WARMUP: Final = ", --no-warmup"
PROMPT: Final = "The capital of France is"
ASK: Final = ("-p", PROMPT, "-n", "1", "--temp", "0", "-t", "2", "--no-display-prompt")
POLL_SECONDS: Final = 0.002
RATIO_MAX: Final = 1.02
ABOVE_MAX: Final = 0.010  # seconds
TITLE: Final = "Time and memory to the first token"
ABOUT: Final = """\
Written by `benchmarks/bench_first_token.py`. Milliseconds from exec to the first byte of the answer to five words,
and the peak of anonymous memory until then, in MiB. The llamafile, started by a shell, has its model in its archive;
the others read it from a separate file. `llama-completion` warms up unless `--no-warmup` is given; a llamafile does
not. `--no-repack` computes with weights as they are stored; otherwise, weights are copied where the processor computes
faster with another order.
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the programs that are compared, and its command."""

    name: str
    command: Sequence[str]

    def milliseconds(self) -> float:
        """Return how long the first token took."""
        start = time.perf_counter()
        with subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            output = process.stdout or io.BytesIO()
            first = output.read(1)
            seconds = time.perf_counter() - start
            output.read()
        if not first or process.returncode:
            raise subprocess.CalledProcessError(process.returncode, self.command)
        return seconds * 1000

    def mebibytes(self) -> float:
        """Return the most anonymous memory of a run, as often as it was looked at."""
        most = 0
        with subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                most = max(most, anonymous_kib(process.pid))
                time.sleep(POLL_SECONDS)
        return most / 1024


def contestants(folder: Path, model: Path) -> list[Contestant]:
    """Return all contestants, ours first."""
    folder.mkdir()
    program = Program.pack(folder / "model.llamafile", [model], ["-m", model.name])
    native = folder / "assimilated"
    shutil.copy(program.path, native)
    assimilate(native, host_platform())
    found = [
        Contestant(OURS, [*program.command(), *ASK]),
        Contestant(ASSIMILATED, [str(native), *ASK]),
        Contestant(AS_STORED, [*program.command(), *ASK, "--no-repack"]),
    ]
    for name, compilers in native_compilers().items():
        built = native_build(name, compilers)
        command = [built.program("llama-completion"), "-m", str(model), "-no-cnv", *ASK]
        found += [Contestant(built.name, command), Contestant(built.name + NATIVE_NO_WARMUP, [*command, "--no-warmup"])]
    return found


def measure(
    record: Record,
    model: str,
    entrants: Sequence[Contestant],
    rounds: int = ROUNDS,
    memory_rounds: int = MEMORY_ROUNDS,
) -> None:
    """Run all contestants in turns."""
    for one in entrants:
        one.milliseconds()  # fills the caches
    for number in range(rounds):
        for one in entrants[:: -1 if number % 2 else 1]:
            record.cell(model=model, measured="ms").add(one.name, one.milliseconds())
            if number < memory_rounds:
                record.cell(model=model, measured="MiB").add(one.name, one.mebibytes())


def limits(record: Record, natives: Sequence[str]) -> list[Limit]:
    """Return the targets: compared with the best native build; of memory, with those that copy the same weights."""
    found = []
    for cell in record.cells:
        is_time = cell.labels["measured"] == "ms"
        best = min(cell.median(native) for native in natives if is_time or WITHOUT_AMX not in native)
        allowed = best * RATIO_MAX + ABOVE_MAX * 1000 if is_time else best * RATIO_MAX
        found.append(Limit(f"{cell.labels['model']}: {cell.labels['measured']}", cell.median(OURS), round(allowed, 1)))
    return found


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        models = bench_models(bare.command("llamafile-quantize"))
        record = Record("first_token", TITLE, ABOUT, "", ROUNDS, bare.versions())
        for number, model in enumerate(MODELS):
            entrants = contestants(folder / str(number), models[model])
            measure(record, model, entrants)
            shutil.rmtree(folder / str(number))
        others = [one.name for one in entrants[1:]]
        natives = [other for other in others if other not in {ASSIMILATED, AS_STORED}]
        record.write(folder, others, natives, verdicts(limits(record, natives)))
    subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record.name, *others], check=True)


if __name__ == "__main__":
    main()
