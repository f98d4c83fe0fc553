"""Measure speculative decoding without a second model, and write benchmarks/speculative.{md,json}.

The engine drafts tokens that followed the same tokens before, in the prompt or in the answer, and the model checks all
of a draft at once. Takes eight minutes on two cores.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, verdicts
from benchmarks.program import Program
from benchmarks.record import Record, workplace
from benchmarks.request import complete, running
from benchmarks.texts import TASKS, same_part
from benchmarks.widened import widened_model
from runtime.builder.artifacts import demo_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.texts import Task

ROUNDS: Final = 3
WITHOUT: Final = "without"
TYPES: Final = ("ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache")
RATE, ACCEPTED, SAME = "tokens/s", "% of drafts accepted", "% as without"
EDITING: Final = "code editing"
EDITING_GOAL: Final = 1.5
NEVER_SLOWER: Final = 1.0
CONTEXT: Final = "4096"
TITLE: Final = "Speculative decoding without a second model"
ABOUT: Final = f"""\
Written by `benchmarks/bench_speculative.py`. The server, two threads, one slot, `--spec-type` as in the head of each
column. Code editing: the file of 90 lines in the prompt, a class renamed, the whole file as the answer. Summary: in
other words than the text. Free text: the first 128 tokens of a story. Repetitive text: a model too small for the edit
describes the file and repeats itself. The first two answers are given by a grammar, so that all write the same.
The larger model is the demo model within matrices of a model with half a billion weights: it writes much the same
text, at a larger model's speed. Rates are of generation; `{ACCEPTED}`: of all drafted tokens, none if nothing
was drafted; `{SAME}`: the part of the answer, from its start, that is the same as without drafts."""


def ask_all(record: Record, program: Program, model: str, spec_type: str, texts: dict[str, str]) -> None:
    """Let MODEL do all tasks with SPEC_TYPE once; TEXTS has the answers of the first round without."""
    options = [] if spec_type == WITHOUT else ["--spec-type", spec_type]
    command = [*program.command("llamafile-server"), "--nobrowser", "-t", "2", "-np", "1", "-c", CONTEXT, *options]
    with running(command) as (_, port):
        complete(port, {"prompt": "warm", "n_predict": 1})
        for task in TASKS:
            answer = complete(port, task.request())
            task.check(answer["content"])
            values = results(task, answer, texts.setdefault(f"{model} {task.name}", answer["content"]))
            for measured, value in values.items():
                if spec_type != WITHOUT or measured != ACCEPTED:
                    record.cell(model=model, task=task.name, measured=measured).add(spec_type, value)


def results(task: Task, answer: Mapping[str, object], text: str) -> dict[str, float]:
    """Return what ANSWER, of the server, says of TASK; TEXT is what it should be."""
    timings = answer["timings"]
    if not isinstance(timings, dict):
        raise TypeError(f"got timings {timings!r}")
    found = {RATE: float(timings["predicted_per_second"])}
    if timings.get("draft_n"):
        found[ACCEPTED] = 100 * timings["draft_n_accepted"] / timings["draft_n"]
    if not task.answer:
        found[SAME] = 100 * same_part(str(answer["content"]), text)
    return found


def limits(record: Record) -> list[Limit]:
    """Return the targets: code editing is faster, and nothing is slower."""
    found = []
    for name in TYPES:
        rates = [cell for cell in record.cells if cell.labels["measured"] == RATE]
        ratios = {
            (cell.labels["model"], cell.labels["task"]): cell.median(name) / cell.median(WITHOUT) for cell in rates
        }
        editing = min(ratio for (_, task), ratio in ratios.items() if task == EDITING)
        worst = min(ratios, key=lambda key: ratios[key])
        found += [
            Limit(f"{name} / {WITHOUT}: {EDITING}, the model that gains less", editing, EDITING_GOAL, at_least=True),
            Limit(f"{name} / {WITHOUT}: worst, {', '.join(worst)}", ratios[worst], NEVER_SLOWER, at_least=True),
        ]
    return found


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        models = {"SmolLM2 135M Q4_1": demo_model()} | dict([widened_model(bare.command("llamafile-quantize"), "Q8_0")])
        packed = {}
        for number, (name, path) in enumerate(models.items()):
            (folder / str(number)).mkdir()
            packed[name] = Program.pack(folder / str(number) / "model.llamafile", [path], ["-m", path.name])
        record = Record("speculative", TITLE, ABOUT, "", rounds, bare.versions(), has_plot=False)
        names, texts = (WITHOUT, *TYPES), dict[str, str]()
        for number in range(rounds):
            for name, program in packed.items():
                for spec_type in names[:: -1 if number % 2 else 1]:
                    ask_all(record, program, name, spec_type, texts)
        record.write(folder, names, (), verdicts(limits(record)))


if __name__ == "__main__":
    main()
