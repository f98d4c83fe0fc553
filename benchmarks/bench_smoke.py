"""Show the main ratios in some three minutes, and write nothing: tokens per second, and the time to the first token.

With fewer models, contestants, tokens and rounds than bench_speed and bench_first_token, whose code this is. A ratio
that surprises here is measured there.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Final

from benchmarks import bench_first_token
from benchmarks.bench_speed import THREADS, Models, Plan, measure, notes_on_limits
from benchmarks.contestants import Contestant, Test, native_contestants, our_contestants
from benchmarks.models import bench_models
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS: Final = 2
FIRST_TOKEN_ROUNDS: Final = 5
TEST: Final = Test(prompt=512, generated=32)
MODELS: Final = ("SmolLM2 135M Q4_1", "0.6B Q8_0", "0.6B Q4_K_M")
STARTED: Final = "SmolLM2 135M Q4_1"
TITLE: Final = "The main ratios"
ABOUT: Final = "Printed by `benchmarks/bench_smoke.py`, from few rounds: a ratio varies by a tenth."


def speed(folder: Path, rivals: list[Contestant], models: dict[str, Path]) -> str:
    """Return the table of tokens per second."""
    program = Program.pack(folder / "all.llamafile", models.values())
    record = Record("smoke", TITLE, ABOUT, "tokens/s", ROUNDS, program.versions())
    entrants = [*our_contestants(OURS, program), *rivals]
    plan = Plan(Models(models, {}), program.path, ROUNDS, 0, THREADS[-1:], TEST)
    measure(record, entrants, plan)
    names = list(dict.fromkeys(one.name for one in rivals))
    return record.text(folder, names, names, notes_on_limits(record))


def first_token(folder: Path, model: Path) -> str:
    """Return lines about the time to the first token."""
    record = Record("smoke", "", "", "ms", FIRST_TOKEN_ROUNDS, {})
    entrants = bench_first_token.contestants(folder / "first-token", model)
    shown = [one for one in entrants if one.name == OURS or one.name.startswith("clang")] or entrants
    bench_first_token.measure(record, STARTED, shown, FIRST_TOKEN_ROUNDS, memory_rounds=0)
    return record.table([one.name for one in shown[1:]], [one.name for one in shown[1:]])


def main() -> None:
    """Measure and print."""
    start = time.monotonic()
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        found = bench_models(bare.command("llamafile-quantize"))
        rivals = [one for one in native_contestants() if one.has_all_types]
        sys.stdout.write(speed(folder, rivals, {name: found[name] for name in MODELS}))
        sys.stdout.write(f"\nMilliseconds from exec to the first token:\n\n{first_token(folder, found[STARTED])}")
        shutil.rmtree(folder / "first-token")
    sys.stdout.write(f"\nAll of it took {time.monotonic() - start:.0f} seconds.\n")


if __name__ == "__main__":
    main()
