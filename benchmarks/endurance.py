"""A server that works for an hour: its rate, the waits of its clients, and its memory, minute by minute.

A leak or a slowdown is a line with a slope: it is fitted to all minutes after the first ones, in which caches fill.
"""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, anonymous_kib, percentile, resident_kib, slope, verdicts
from benchmarks.record import Record
from benchmarks.request import GENERATED, WORDS, ask, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.program import Program

__all__ = ["Answer", "Minute", "endure", "limits", "minutes_of"]

NAME: Final = "server-hour"
TITLE: Final = "A server under load for an hour"
RATE, WAIT, ANONYMOUS, RESIDENT = "tokens/s", "ms to first token, 95 %", "anonymous MiB", "resident MiB"
WARM_UP: Final = 5  # minutes, if there are more than twice as many
RATE_CHANGE_MAX: Final = 5.0  # per cent an hour
MEMORY_CHANGE_MAX: Final = 2.0
MINUTES_OF_HOUR: Final = 60
# Of the prompts, in turn. Each digit is a token: with numbers that grow for an hour, so would the prompts, from 239 to
# 439 tokens, and the memory of the slots. With three digits, all prompts have 339.
NUMBERS: Final = range(100, 1000)


@dataclass(frozen=True, slots=True)
class Answer:
    """A request that was answered."""

    end: float  # seconds after the start of all
    wait: float  # seconds to its first token


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened in one minute, and the memory at its end."""

    rate: float  # tokens/s
    wait: float  # ms to the first token that 95 % of its answers did not exceed; 0 if there was no answer
    anonymous: float  # MiB
    resident: float


def minutes_of(answers: Sequence[Answer], memory: Sequence[tuple[int, int]]) -> list[Minute]:
    """Return the minutes of ANSWERS; MEMORY has the anonymous and the resident KiB at the end of each."""
    found = []
    for number, (anonymous, resident) in enumerate(memory):
        own = [one for one in answers if number * 60 <= one.end < (number + 1) * 60]
        wait = percentile([one.wait for one in own], 95) * 1000 if own else 0
        found.append(Minute(len(own) * GENERATED / 60, wait, anonymous / 1024, resident / 1024))
    return found


def limits(minutes: Sequence[Minute]) -> list[Limit]:
    """Return the targets: how much the fitted lines rise or fall in an hour, in per cent of the middle."""
    steady = minutes[WARM_UP if len(minutes) > 2 * WARM_UP else 0 :]
    rate = _change([one.rate for one in steady])
    anonymous = _change([one.anonymous for one in steady])
    resident = _change([one.resident for one in steady])
    return [
        Limit(f"{RATE}: falls by % an hour", -rate, RATE_CHANGE_MAX),
        Limit(f"{ANONYMOUS}: grows by % an hour", anonymous, MEMORY_CHANGE_MAX),
        Limit(f"{RESIDENT}: grows by % an hour", resident, MEMORY_CHANGE_MAX),
    ]


def _change(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return slope(values) * MINUTES_OF_HOUR / mean * 100 if len(values) > 1 and mean else 0.0


def endure(program: Program, arguments: Sequence[str], clients: int, minutes: int, folder: Path) -> str:
    """Load the server that PROGRAM is with ARGUMENTS, write the results, and return their name.

    FOLDER is where it works.
    """
    about = f"""\
Written by `benchmarks/bench_server.py --minutes {minutes}`. SmolLM2 135M Q4_1; {clients} clients, each of which
asks for {GENERATED} tokens after a prompt of {WORDS} words of its own, again and again; all prompts have 339 tokens.
The server's arguments are `{" ".join(arguments)}`.
The rate counts the answers that end in a minute; memory is that of the server at its end. The changes are slopes of
lines fitted to all minutes by least squares, without the first {WARM_UP} if there are more than {2 * WARM_UP}."""
    record = Record(NAME, TITLE, about, "", 1, program.versions())
    measured = _load([*program.command("llamafile-server"), *arguments], clients, minutes)
    for number, one in enumerate(measured, 1):
        values = {RATE: one.rate, WAIT: one.wait, ANONYMOUS: one.anonymous, RESIDENT: one.resident}
        for name, value in values.items():
            record.cell(minute=str(number)).add(name, value)
    record.write(folder, (RATE, WAIT, ANONYMOUS, RESIDENT), (), verdicts(limits(measured)))
    return NAME


def _load(command: Sequence[str], clients: int, minutes: int) -> list[Minute]:
    answers: list[Answer] = []
    memory = []
    numbers, over = itertools.cycle(NUMBERS), threading.Event()
    with running(command) as (server, port):
        ask(port, 0)
        start = time.perf_counter()

        def client(_: int) -> None:
            while not over.is_set():
                wait = ask(port, next(numbers))
                answers.append(Answer(time.perf_counter() - start, wait))

        with ThreadPoolExecutor(clients) as pool:
            asking = [pool.submit(client, number) for number in range(clients)]
            for minute in range(1, minutes + 1):
                time.sleep(max(start + minute * 60 - time.perf_counter(), 0))
                memory.append((anonymous_kib(server.pid), resident_kib(server.pid)))
                if any(one.done() for one in asking):  # it failed
                    break
            over.set()
        for one in asking:
            one.result()
    return minutes_of(answers, memory)
