"""Measure what a state of the system prompt on disk saves, and write benchmarks/prompt_cache.{md,json}.

Of a server that has just been started: the time from a request with a system prompt of 2,000 tokens to the first token
of its answer, in the first start that finds no state, in the second one that reads it, and without states. Files are in
the page cache.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, verdicts
from benchmarks.models import bench_models
from benchmarks.program import Program
from benchmarks.record import OURS, Record, workplace
from benchmarks.request import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "7"))
MODELS: Final = ("SmolLM2 135M Q4_1", "0.6B Q8_0", "0.6B Q4_0")
TOKENS: Final = 2000  # of the system prompt
CONTEXT: Final = 4096
READY_SECONDS: Final = 120
END_SECONDS: Final = 60
RATIO_MAX: Final = 0.1  # ten times less
FIRST_MAX: Final = 1.02  # what keeping a state may cost the first user, as a multiple of the time without
FIRST_START: Final = "first start"
WITHOUT: Final = "--cache-disk 0"
WORDS: Final = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "sleeps", "again")
TITLE: Final = "The system prompt of a second start"
ABOUT: Final = """\
Written by `benchmarks/bench_prompt_cache.py`. Milliseconds from a request to the first token of its answer, in a server
that has just been started: with a system prompt of 2,000 tokens and a short question. `llamafile` is the second start
of the same file, which reads the state of the system prompt from disk (the page cache); `first start` finds none, and
writes it after the answer; `--cache-disk 0` keeps none. Rows with `exec` are from the start of the process instead.
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Of one answer, in milliseconds: from the request, and from the start of the process, to the first token."""

    request: float
    start: float
    known: int  # tokens


def system_prompt(tokens: int) -> str:
    """Return English words, of which each is a token of usual vocabularies."""
    return " ".join(WORDS[number * 7 % len(WORDS)] for number in range(tokens))


def free_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, system: str) -> tuple[float, int]:
    """Return the seconds until the first token, and how many tokens of the prompt were known."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "What does the fox do?"}]
    body = {"messages": messages, "max_tokens": 2, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}  # fmt: skip  # one line of it
    connection = http.client.HTTPConnection("127.0.0.1", port)
    start = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    while not response.readline().startswith(b"data: "):
        pass
    seconds = time.perf_counter() - start
    rest = response.read()
    connection.close()
    known = re.findall(rb'"cached_tokens":\s*(\d+)', rest)
    return seconds, int(known[-1])


@contextmanager
def server(command: Sequence[str], home: Path) -> Iterator[tuple[int, float]]:
    """Run COMMAND for a user with HOME, until it answers. Give its port, and when it was started."""
    port = free_port()
    arguments = [*command, "--nobrowser", "--port", str(port), "-c", str(CONTEXT), "-t", "2"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    start = time.perf_counter()
    with subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_until_ready(process, port, READY_SECONDS)
        yield port, start
        process.send_signal(signal.SIGTERM)
        process.wait(END_SECONDS)


def first_token(command: Sequence[str], home: Path, system: str) -> Times:
    """Start a server and ask it once."""
    with server(command, home) as (port, start):
        until_ready = time.perf_counter() - start
        seconds, known = ask(port, system)
    return Times(seconds * 1000, (until_ready + seconds) * 1000, known)


def tokens_of(command: Sequence[str], home: Path, text: str) -> int:
    """Return how many tokens TEXT has."""
    with server(command, home) as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/tokenize", json.dumps({"content": text}), {"Content-Type": "application/json"})
        count = len(json.loads(connection.getresponse().read())["tokens"])
        connection.close()
    return count


def measure(record: Record, model: str, command: Sequence[str], folder: Path) -> None:
    """Start the three kinds of servers in turns.

    Raises:
        ValueError: the second start did not know the system prompt, or another one did.
    """
    home = folder / "home"
    home.mkdir()
    text = system_prompt(TOKENS)
    text = system_prompt(TOKENS * TOKENS // tokens_of([*command, WITHOUT.split()[0], "0"], home, text))
    for _ in range(ROUNDS):
        shutil.rmtree(home)
        home.mkdir()
        found = {
            WITHOUT: first_token([*command, *WITHOUT.split()], home, text),
            FIRST_START: first_token(command, home, text),
            OURS: first_token(command, home, text),
        }
        for name, times in found.items():
            if (times.known > TOKENS // 2) != (name == OURS):
                raise ValueError(f"{model}, {name}: {times.known} tokens were known")
            record.cell(model=model, measured="request").add(name, times.request)
            record.cell(model=model, measured="exec").add(name, times.start)


def limits(record: Record) -> list[Limit]:
    """Return the targets: ten times less than without, and as soon as without in the first start."""
    found = []
    for cell in record.cells:
        if cell.labels["measured"] == "request":
            without = cell.median(WITHOUT)
            name = cell.labels["model"]
            found.append(Limit(f"{name}: second start", cell.median(OURS), round(without * RATIO_MAX, 1)))
            found.append(Limit(f"{name}: first start", cell.median(FIRST_START), round(without * FIRST_MAX, 1)))
    return found


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        models = bench_models(bare.command("llamafile-quantize"))
        record = Record("prompt_cache", TITLE, ABOUT, "ms", ROUNDS, bare.versions(), has_plot=False)
        for number, model in enumerate(MODELS):
            place = folder / str(number)
            place.mkdir()
            program = Program.pack(place / "model.llamafile", [models[model]], ["-m", models[model].name])
            measure(record, model, program.command(), place)
            shutil.rmtree(place)
        others = [FIRST_START, WITHOUT]
        record.write(folder, others, others, verdicts(limits(record)))


if __name__ == "__main__":
    main()
