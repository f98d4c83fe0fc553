"""Measure tokens per second beside native builds of the same engine, and write benchmarks/speed.{md,json,svg}.

All contestants run the engine's own measuring loop, except llama-cpp-python, which is called through its own interface.
Takes an hour on two cores; the first run also compiles the other contestants, which takes three quarters of an hour.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.contestants import (
    NEXT_BEST,
    Contestant,
    Test,
    earlier_contestants,
    native_contestants,
    our_contestants,
    python_contestants,
)
from benchmarks.measure import Limit, read_again, spread, verdicts
from benchmarks.models import bench_models, more_models
from benchmarks.native import peers_python
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from benchmarks.roofline import Roofline, facts_of, tokens_per_second, work_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = tuple[str, int, str]  # model, threads, instructions
    Rooflines = dict[Row, list[tuple[Roofline, Roofline]]]  # those before and after each result of ours

ROUNDS: Final = 3
ROUNDS_MORE: Final = 4  # where a goal is missed
TEST: Final = Test(prompt=512, generated=128)
THREADS: Final = (1, 2)
GOAL: Final = 0.98
HERE: Final = Path(__file__).parent
TITLE: Final = "Tokens per second, compared with native builds"
ABOUT: Final = f"""\
Written by `benchmarks/bench_speed.py`. All contestants have the same engine source. The others were compiled on this
machine for its own processor, `-O3 -march=native`; the llamafile is the ordinary result of `make`, started by a shell,
with the models in its archive. {TEST.prompt} tokens of a prompt, then {TEST.generated} generated, by the engine's own
`llama-bench` (ours: by the same code under the name `llamafile-bench`), and by `Llama.eval` in Python. Before each
round, all files are read into memory again: their place in memory makes a difference if weights are not copied.
On a processor with AMX, everything is also measured without AMX: the llamafile is started with
`LLAMAFILE_CPU={NEXT_BEST}`, the others are compiled without it.
Results below the goal get {ROUNDS_MORE} more rounds, and all of them count: single results vary by a tenth.
The limit is that of the machine, measured by `llamafile-bench --roofline` right before and right after each result of
the llamafile; the mean of both is its limit. A token that is generated needs all weights from memory, one of a prompt
two operations for each of them (`benchmarks/roofline.py`); a model that is smaller than the caches can exceed it. The
types that fewer models have are compared with one native build alone, which halves the time.
"""


@dataclass(frozen=True, slots=True)
class Models:
    """The models to measure with: their paths by name."""

    usual: dict[str, Path]  # with all contestants
    more: dict[str, Path]  # with those that have all types

    @property
    def paths(self) -> dict[str, Path]:
        """All of them."""
        return self.usual | self.more

    def of(self, one: Contestant) -> dict[str, Path]:
        """Return those that ONE is measured with."""
        return self.paths if one.has_all_types else self.usual

    def named(self, part: str) -> Models:
        """Return those whose names contain PART."""
        return Models(*({name: path for name, path in of.items() if part in name} for of in (self.usual, self.more)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how often."""

    models: Models
    archive: Path  # ours, with the models
    rounds: int = ROUNDS
    rounds_more: int = ROUNDS_MORE
    threads: Sequence[int] = THREADS
    test: Test = TEST


def measure(record: Record, entrants: Sequence[Contestant], plan: Plan) -> None:
    """Run the rounds of PLAN, and more of them for results below the goal."""
    instructions = [row for one in entrants if one.name == OURS for row in one.rows]
    rows = set(product(plan.models.paths, plan.threads, instructions))
    rooflines: Rooflines = {}
    for number in range(plan.rounds + plan.rounds_more):
        if number == plan.rounds:
            rows = missed(record)
        if not rows:
            break
        for file in (plan.archive, *plan.models.paths.values()):
            read_again(file)
        run_round(record, entrants[:: -1 if number % 2 else 1], plan, rows, rooflines)
    set_limits(record, plan, rooflines)


def run_round(record: Record, entrants: Sequence[Contestant], plan: Plan, rows: set[Row], rooflines: Rooflines) -> None:
    """Run the tests that ROWS name once, and add the rooflines beside ours to ROOFLINES."""
    for (name, path), threads, one in product(plan.models.paths.items(), plan.threads, entrants):
        wanted = [row for row in one.rows if (name, threads, row) in rows and name in plan.models.of(one)]
        if not wanted:
            continue
        if one.name == OURS:
            before = Roofline.measured(one.command, threads)
            rates = one.measure(f"/zip/{path.name}", threads, plan.test)
            pair = before, Roofline.measured(one.command, threads)
            rooflines.setdefault((name, threads, one.rows[0]), []).append(pair)
        else:
            rates = one.measure(str(path), threads, plan.test)
        for row, (test, rate) in product(wanted, zip(plan.test.names, rates, strict=True)):
            record.cell(model=name, threads=str(threads), instructions=row, test=test).add(one.name, rate)


def set_limits(record: Record, plan: Plan, rooflines: Rooflines) -> None:
    """Set the limits of each cell, and note the rates that they are computed from."""
    works = {name: work_of(path) for name, path in plan.models.paths.items()}
    batches = dict(zip(plan.test.names, (plan.test.prompt, 1), strict=True))
    for cell in record.cells:
        name, threads, instructions, test = cell.labels.values()
        cell.limits = [
            statistics.mean(tokens_per_second(works[name], one, batches[test], int(threads)) for one in pair)
            for pair in rooflines[name, int(threads), instructions]
        ]
    found: dict[str, list[Roofline]] = {}
    for (_, _, instructions), pairs in rooflines.items():
        found.setdefault(instructions, []).extend(chain.from_iterable(pairs))
    record.more_facts["rooflines"] = {row: facts_of(measured) for row, measured in found.items()}


def notes_on_limits(record: Record) -> str:
    """Return the rates that the limits are computed from."""
    lines = []
    for row, facts in record.more_facts["rooflines"].items():
        reads = ", ".join(spread(rates, ".1f") for rates in facts["GB/s"].values())
        kinds = dict.fromkeys(peak["kind"] for peak in facts["peaks"])
        rates = {
            kind: [spread(peak["GOP/s"], ".0f") for peak in facts["peaks"] if peak["kind"] == kind] for kind in kinds
        }
        peaks = "".join(f"; {kind} {', '.join(found)} GOP/s" for kind, found in rates.items())
        counts = " and ".join(facts["GB/s"])
        lines.append(f"* {row} ({facts['variant']}), {counts} threads: memory is read at {reads} GB/s{peaks}\n")
    return f"Of all measurements of limits, the medians, with the minimum and maximum:\n\n{''.join(lines)}"


def missed(record: Record) -> set[Row]:
    """Return model, threads and instructions of the cells that are below the goal."""
    below = [cell for cell in record.cells if any(cell.ratio(other) < GOAL for other in cell.samples)]
    return {(cell.labels["model"], int(cell.labels["threads"]), cell.labels["instructions"]) for cell in below}


def limits(record: Record, others: Sequence[str]) -> list[Limit]:
    """Return the goal for each of the others."""
    worst = {other: min(cell.ratio(other) for cell in record.cells if other in cell.samples) for other in others}
    return [
        Limit(f"the worst cell compared with {other}", ratio, GOAL, at_least=True) for other, ratio in worst.items()
    ]


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_speed", description=__doc__)
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=HERE, help="write into FOLDER")
    parser.add_argument("--rounds", metavar="N", type=int, default=ROUNDS, help=f"rounds (default: {ROUNDS})")
    parser.add_argument("--models", metavar="PART", default="", help="measure only the models with PART in their names")
    return parser.parse_args()


def main() -> None:
    """Measure, and write the results."""
    options = arguments()
    with workplace() as folder:
        quantize = Program.pack(folder / "bare").command("llamafile-quantize")
        models = Models(bench_models(quantize), more_models(quantize)).named(options.models)
        if not models.paths:
            sys.exit(f"no model has '{options.models}' in its name")
        program = Program.pack(folder / "all.llamafile", models.paths.values())
        entrants = our_contestants(OURS, program)
        entrants += [*native_contestants(), *python_contestants(), *earlier_contestants(folder / "earlier")]
        others = list(dict.fromkeys(one.name for one in entrants if one.name != OURS))
        record = Record("speed", TITLE, ABOUT, "tokens/s", options.rounds, program.versions())
        record.folder = options.output.resolve()
        rounds_more = ROUNDS_MORE if options.rounds >= ROUNDS else 0
        measure(record, entrants, Plan(models, program.path, options.rounds, rounds_more))
        present = [other for other in others if any(other in cell.samples for cell in record.cells)]
        notes = f"{notes_on_limits(record)}\n{verdicts(limits(record, present))}"
        record.write(folder, present, present, notes)
    for plotted in (present, ["--summary", others[0]]):
        command = [str(peers_python()), str(HERE / "plot.py"), str(record.folder / record.name), *plotted]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
