from __future__ import annotations

import click
import pytest

from zipalign import console


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def count_to(total: int, *, quiet: bool = False) -> None:
    with console.steps("counting", quiet=quiet) as show:
        for done in range(1, total + 1):
            show(done, total)


def test_off_a_terminal_steps_are_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    count_to(205)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 10
    assert (lines[0], lines[-1]) == ("counting: 21 of 205", "counting: 205 of 205")
    assert captured.out == ""


def test_few_steps_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    count_to(3)
    assert capsys.readouterr().err.splitlines() == [f"counting: {done} of 3" for done in (1, 2, 3)]


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    count_to(10, quiet=True)
    assert capsys.readouterr().err == ""


def test_tqdms_own_variable_is_honoured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    count_to(10)
    assert capsys.readouterr().err == ""


def test_a_job_that_has_begun_says_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with console.steps("counting", quiet=False, hint="about 5 min") as show:
        show(0, 2)
        show(1, 2)
    assert capsys.readouterr().err.splitlines() == ["counting (about 5 min)", "counting: 1 of 2"]


@pytest.mark.parametrize(("seconds", "left"), [(1, ""), (2, ", about 10 s left"), (15, ", about 2 min left")])
def test_a_long_job_says_how_long_it_will_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: int, left: str
) -> None:
    clock = iter(range(100, 10_000, seconds))
    monkeypatch.setattr("zipalign.console.time.monotonic", lambda: next(clock))
    with console.steps("counting", quiet=False) as show:
        show(1, 22)
        show(3, 22)
    assert capsys.readouterr().err.splitlines() == [f"counting: 3 of 22{left}"]


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("4096", 4096), ("3K", 3 << 10), ("16M", 16 << 20), ("2G", 2 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert console.Size().convert(text, None, None) == size
    assert console.Size().convert(size, None, None) == size


@pytest.mark.parametrize("text", ["", "M", "1.5M", "-1", "1k", "1T", "1 M"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size"):
        console.Size().convert(text, None, None)
