"""Results that became worse are named, with what tells whether to believe it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.regressions import Change, changes, report

Json = dict[str, Any]


def results(*cells: Json, unit: str = "tokens/s", machine: str = "this") -> Json:
    return {"unit": unit, "commit": "abc", "date": "2026-01-02", "machine": machine, "cells": list(cells)}


def cell(ours: list[float], other: list[float] | None = None, /, **labels: Any) -> Json:
    samples = {"llamafile": ours} | ({"clang 19": other} if other else {})
    return {"model": "m", **labels, "samples": samples}


@pytest.mark.parametrize(
    ("unit", "labels", "ratio"),
    [
        ("tokens/s", {}, 0.5),
        ("", {"measured": "tokens/s"}, 0.5),
        ("", {"measured": "ms to first token"}, 2),
        ("seconds", {}, 2),
    ],
)
def test_more_is_better_for_rates_alone(unit: str, labels: Json, ratio: float) -> None:
    (change,) = changes(results(cell([10], **labels), unit=unit), results(cell([5], **labels), unit=unit))
    assert change.ratio == pytest.approx(ratio)


def test_the_others_are_a_control() -> None:
    (change,) = changes(results(cell([10], [20])), results(cell([8], [15])))
    assert change.ratio == pytest.approx(0.8)
    assert change.others == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("before", "now", "overlap"),
    [([10, 11], [8, 9], False), ([10, 11], [8, 10], True), ([8, 9], [9, 12], True), ([8], [9], False)],
)
def test_ranges(before: list[float], now: list[float], overlap: bool) -> None:  # noqa: FBT001 -- a column of a table
    assert Change("", before, now, more_is_better=True, others=None).ranges_overlap is overlap


def test_without_a_llamafile_among_them_all_contestants_are_ours() -> None:
    """As where threads, replicas or operations are compared."""
    before = results({"measured": "seconds", "samples": {"1 thread": [1.0], "2 threads": [1.0]}}, unit="")
    now = results({"measured": "seconds", "samples": {"1 thread": [1.0], "2 threads": [2.0]}}, unit="")
    assert [(change.cell, change.ratio) for change in changes(before, now)] == [
        ("seconds, 1 thread", 1.0),
        ("seconds, 2 threads", 0.5),
    ]


def test_other_programs_are_a_control_of_the_commands_too() -> None:
    before = results({"part": "4 GiB", "samples": {"apepack verify": [1.0], "sha256sum": [1.0]}}, unit="seconds")
    now = results({"part": "4 GiB", "samples": {"apepack verify": [2.0], "sha256sum": [4.0]}}, unit="seconds")
    (change,) = changes(before, now)
    assert (change.cell, change.ratio, change.others) == ("4 GiB, apepack verify", 0.5, 0.25)


def test_counts_are_named() -> None:
    (change,) = changes(results(cell([10], threads="2")), results(cell([10], threads="2")))
    assert change.cell == "m, 2 threads"


def test_limits_are_no_labels() -> None:
    assert len(changes(results(cell([10], limits=[20])), results(cell([10], limits=[21])))) == 1


def test_the_report_names_the_worst_first() -> None:
    before = results(cell([10, 11, 12], [10]), cell([10], test="b"), cell([10], test="c"), cell([10], test="gone"))
    now = results(cell([9, 9.5, 10.5], [10]), cell([4], test="b"), cell([9.9], test="c"), cell([1], test="new"))
    assert report("speed", before, now).splitlines() == [
        "speed: 2 of 3 results worse by more than 5 % than at abc of 2026-01-02",
        "  not measured any more: 1 cells",
        "  m, b: 10 (10 to 10) before, 4 (4 to 4) now, 0.40, ranges do not overlap",
        "  m: 11 (10 to 12) before, 9.5 (9 to 10.5) now, 0.86, ranges overlap; the others 1.00",
    ]


def test_another_machine_is_named() -> None:
    text = report("speed", results(cell([10]), machine="that"), results(cell([10])))
    assert "0 of 1 results" in text
    assert "measured on another machine: that; now: this" in text
