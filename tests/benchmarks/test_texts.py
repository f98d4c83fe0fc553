"""Tasks for models, and the comparison of their answers."""

from __future__ import annotations

import json

import pytest

from benchmarks.texts import TASKS, same_part


@pytest.mark.parametrize(
    ("answer", "other", "expected"),
    [
        ("abcd", "abcd", 1),
        ("abxd", "abcd", 0.5),
        ("ab", "abcd", 0.5),
        ("abcde", "abcd", 1),
        ("x", "abcd", 0),
        ("x", "", 1),
    ],
)
def test_same_part_counts_from_the_start(answer: str, other: str, expected: float) -> None:
    assert same_part(answer, other) == expected


def test_the_edited_file_is_in_the_question_and_changed_in_the_answer() -> None:
    editing = TASKS[0]

    assert editing.question.count("class Host:") == 1
    assert "class Machine:" in editing.answer
    assert "Host" not in editing.answer


def test_the_summary_repeats_no_long_part_of_its_text() -> None:
    summary = next(task for task in TASKS if task.name == "summary")
    words = summary.answer.split()

    assert not [place for place in range(len(words) - 4) if " ".join(words[place : place + 5]) in summary.question]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_grammar_gives_the_answer_that_is_known(task: object) -> None:
    one = next(other for other in TASKS if other is task)
    request = one.request()

    assert one.question in request["prompt"]
    if one.answer:
        assert json.loads(request["grammar"].removeprefix("root ::= ")) == one.answer
        one.check(one.answer)
        with pytest.raises(ValueError, match="got another answer"):
            one.check(one.answer[:-1])
    else:
        assert "grammar" not in request
