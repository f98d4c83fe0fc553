"""What is read from an answer of the server, and the targets."""

from __future__ import annotations

import pytest

from benchmarks.bench_speculative import ACCEPTED, RATE, SAME, TYPES, WITHOUT, limits, results
from benchmarks.record import Record
from benchmarks.texts import TASKS

FORCED, FREE = TASKS[0], next(task for task in TASKS if not task.answer)


def test_drafts_are_counted_if_there_are_some() -> None:
    timings = {"predicted_per_second": 20.0}

    assert results(FREE, {"content": "abxd", "timings": timings}, "abcd") == {RATE: 20, SAME: 50}
    assert results(FORCED, {"content": "", "timings": {**timings, "draft_n": 8, "draft_n_accepted": 6}}, "") == {
        RATE: 20,
        ACCEPTED: 75,
    }


def test_an_answer_without_timings_is_refused() -> None:
    with pytest.raises(TypeError, match="got timings None"):
        results(FREE, {"content": "", "timings": None}, "")


def test_the_worst_cell_decides_whether_something_is_slower() -> None:
    record = Record("speculative", "", "", "", 1, {})
    for task, rate in (("code editing", 30.0), ("free text", 9.0)):
        cell = record.cell(model="M", task=task, measured=RATE)
        cell.add(WITHOUT, 10)
        for name in TYPES:
            cell.add(name, rate)
    record.cell(model="M", task="free text", measured=ACCEPTED).add(TYPES[0], 1)

    editing, worst = limits(record)[:2]

    assert (editing.value, editing.kept) == (3, True)
    assert (worst.value, worst.kept) == (0.9, False)
    assert "M, free text" in worst.text
