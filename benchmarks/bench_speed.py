"""Measure tokens per second beside native builds of the same engine, and write benchmarks/speed.{md,json,svg}.

All contestants run the engine's own measuring loop, except llama-cpp-python, which is called through its own interface.
Takes three quarters of an hour on two cores; the first run also compiles the other contestants, which takes as long.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, read_again, verdicts
from benchmarks.models import bench_models
from benchmarks.native import WITHOUT_AMX, has_amx, native_build, native_compilers, peers_python
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from runtime.builder.artifacts import ENGINE_SDIST

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 3
ROUNDS_MORE: Final = 4  # where a goal is missed
PROMPT: Final = 512
GENERATED: Final = 128
THREADS: Final = (1, 2)
TESTS: Final = (f"prompt {PROMPT}", f"generate {GENERATED}")
PYTHON: Final = ENGINE_SDIST.distribution
GOAL: Final = 0.98
# The rows: the processor instructions that may be used.
ALL: Final = "all"
NO_AMX: Final = WITHOUT_AMX.strip()
NEXT_BEST: Final = "zen4"
TITLE: Final = "Tokens per second, compared with native builds"
ABOUT: Final = f"""\
Written by `benchmarks/bench_speed.py`. All contestants have the same engine source. The others were compiled on this
machine for its own processor, `-O3 -march=native`; the llamafile is the ordinary result of `make`, started by a shell,
with the models in its archive. {PROMPT} tokens of a prompt, then {GENERATED} generated, by the engine's own
`llama-bench` (ours: by the same code under the name `llamafile-bench`), and by `Llama.eval` in Python. Before each
round, all files are read into memory again: their place in memory makes a difference if weights are not copied.
On a processor with AMX, everything is also measured without AMX: the llamafile is started with
`LLAMAFILE_CPU={NEXT_BEST}`, the others are compiled without it.
Results below the goal get {ROUNDS_MORE} more rounds, and all of them count: single results vary by a tenth.
"""
# The same as llama-bench: one warm-up, then the tokens of a prompt in one call, and token after token.
ASK_PYTHON: Final = f"""
import json, sys, time
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx={PROMPT}, n_batch={PROMPT}, n_threads=int(sys.argv[2]),
              n_threads_batch=int(sys.argv[2]), verbose=False)
seconds = []
for tokens, calls in (({PROMPT}, 1), ({PROMPT}, 1), (1, 1), (1, {GENERATED})):
    model.reset()
    start = time.perf_counter()
    for _ in range(calls):
        model.eval([model.token_bos()] * tokens)
    seconds.append(time.perf_counter() - start)
print(json.dumps([{PROMPT} / seconds[1], {GENERATED} / seconds[3]]))
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the programs that are compared, and its command."""

    name: str
    command: Sequence[str]  # in front of the arguments
    rows: Sequence[str] = (ALL,)
    is_python: bool = False

    def measure(self, model: str, threads: int) -> tuple[float, float]:
        """Return tokens per second of a prompt, and generated."""
        if self.is_python:
            command = [*self.command, "-c", ASK_PYTHON, model, str(threads)]
            prompt, generated = json.loads(_output(command))
            return prompt, generated
        counts = ["-p", str(PROMPT), "-n", str(GENERATED), "-t", str(threads), "-r", "1", "-o", "json"]
        tests = json.loads(_output([*self.command, "-m", model, *counts]))
        return tests[0]["avg_ts"], tests[1]["avg_ts"]


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def contestants(program: Program) -> list[Contestant]:
    """Return all contestants, ours first."""
    ours = program.command("llamafile-bench")
    entrants = [Contestant(OURS, ours)]
    if has_amx():
        entrants.append(Contestant(OURS, ["env", f"LLAMAFILE_CPU={NEXT_BEST}", *ours], (NO_AMX,)))
    natives = [one for name, compilers in native_compilers().items() for one in _natives(name, compilers)]
    # pip compiles with the first of them, and its build has the same instructions.
    return [*entrants, *natives, Contestant(PYTHON, [str(peers_python())], natives[0].rows, is_python=True)]


def _natives(name: str, compilers: tuple[str, str]) -> list[Contestant]:
    native = native_build(name, compilers)
    command = [native.program("llama-bench")]
    if not has_amx():
        return [Contestant(native.name, command)]
    if native.name.endswith(WITHOUT_AMX):
        return [Contestant(native.name, command, (ALL, NO_AMX))]
    other = native_build(name, compilers, amx=False)
    return [Contestant(name, command), Contestant(name, [other.program("llama-bench")], (NO_AMX,))]


def measure(record: Record, entrants: Sequence[Contestant], models: dict[str, Path], archive: Path) -> None:
    """Run ROUNDS rounds, and more for results below the goal; ours has MODELS in ARCHIVE."""
    rows = {(name, threads, row) for name in models for threads in THREADS for one in entrants for row in one.rows}
    for number in range(ROUNDS + ROUNDS_MORE):
        if number == ROUNDS:
            rows = missed(record)
        if not rows:
            break
        for file in (archive, *models.values()):
            read_again(file)
        run_round(record, entrants[:: -1 if number % 2 else 1], models, rows)


def run_round(
    record: Record, entrants: Sequence[Contestant], models: dict[str, Path], rows: set[tuple[str, int, str]]
) -> None:
    """Run the tests that ROWS name (model, threads, instructions) once."""
    for (name, path), threads, one in product(models.items(), THREADS, entrants):
        wanted = [row for row in one.rows if (name, threads, row) in rows]
        if wanted:
            rates = one.measure(f"/zip/{path.name}" if one.name == OURS else str(path), threads)
            for row, (test, rate) in product(wanted, zip(TESTS, rates, strict=True)):
                record.cell(model=name, threads=str(threads), instructions=row, test=test).add(one.name, rate)


def missed(record: Record) -> set[tuple[str, int, str]]:
    """Return model, threads and instructions of the cells that are below the goal."""
    below = [cell for cell in record.cells if any(cell.ratio(other) < GOAL for other in cell.samples)]
    return {(cell.labels["model"], int(cell.labels["threads"]), cell.labels["instructions"]) for cell in below}


def limits(record: Record, others: Sequence[str]) -> list[Limit]:
    """Return the goal for each of the others."""
    worst = {other: min(cell.ratio(other) for cell in record.cells if other in cell.samples) for other in others}
    return [
        Limit(f"the worst cell compared with {other}", ratio, GOAL, at_least=True) for other, ratio in worst.items()
    ]


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        models = bench_models(bare.command("llamafile-quantize"))
        program = Program.pack(folder / "all.llamafile", models.values())
        entrants = contestants(program)
        others = list(dict.fromkeys(one.name for one in entrants if one.name != OURS))
        record = Record("speed", TITLE, ABOUT, "tokens/s", ROUNDS, program.versions())
        measure(record, entrants, models, program.path)
        record.write(folder, others, others, verdicts(limits(record, others)))
    clang = next(other for other in others if other.startswith("clang"))
    for arguments in (others, ["--summary", clang]):
        subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record.name, *arguments], check=True)


if __name__ == "__main__":
    main()
