"""The minutes of a server's hour, and the changes in it."""

from __future__ import annotations

import pytest

from benchmarks.endurance import Answer, Minute, limits, minutes_of
from benchmarks.request import GENERATED


def _minutes(count: int, *, rate: float = 0, memory: float = 0, first: int = 0) -> list[Minute]:
    """Return COUNT minutes: after the FIRST ones, which differ, RATE and MEMORY are added from one to the next."""
    steady = [Minute(100 + rate * number, 50, 200 + memory * number, 300 + memory * number) for number in range(count)]
    return [*[Minute(1, 1, 1, 1)] * first, *steady[first:]]


def test_answers_belong_to_the_minute_in_which_they_end() -> None:
    answers = [Answer(59.9, 0.5), Answer(60.0, 0.25), Answer(119.0, 0.75), Answer(180.5, 9.0)]

    first, second, third = minutes_of(answers, [(1024, 2048), (2048, 4096), (2048, 4096)])

    assert first == Minute(GENERATED / 60, 500, 1, 2)
    assert second == Minute(2 * GENERATED / 60, 750, 2, 4)
    assert third == Minute(0, 0, 2, 4)  # the last answer came after it


@pytest.mark.parametrize(
    ("minutes", "kept"),
    [
        (_minutes(60), [True, True, True]),
        (_minutes(60, first=5), [True, True, True]),  # caches fill in the first minutes
        (_minutes(60, rate=-0.2), [False, True, True]),  # 12 of 100 an hour
        (_minutes(60, rate=0.2), [True, True, True]),
        (_minutes(60, memory=0.2), [True, False, False]),
        (_minutes(60, memory=-0.2), [True, True, True]),
        (_minutes(4, memory=0.2), [True, False, False]),
        (_minutes(1), [True, True, True]),
    ],
)
def test_changes_are_those_of_an_hour_without_its_first_minutes(minutes: list[Minute], kept: list[bool]) -> None:
    assert [limit.kept for limit in limits(minutes)] == kept


def test_a_change_is_in_per_cent_an_hour() -> None:
    rate, anonymous, _ = limits(_minutes(10, rate=-1, memory=1))

    assert rate.value == pytest.approx(60 / 95.5 * 100)
    assert anonymous.value == pytest.approx(60 / 204.5 * 100)
