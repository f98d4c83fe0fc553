"""Measure the portable runtime beside the native one, both on one thread, and write the table benchmarks/portable.md.

SmolLM2-135M as it is packed by `make demo` reads a prompt and goes on for some tokens: the native engine as its own
llamafile-bench measures it, the portable runtime in a process of its own, whose memory is watched from outside.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apepack.packing.portable_part import portable_members
from benchmarks.measure import Limit, Measured, in_turns, load_sentence, machine, verdicts
from benchmarks.record import commit, write_times
from runtime.builder.artifacts import demo_model
from runtime.builder.build import build
from runtime.gguf.header import GgufHeader
from runtime.platforms import host_platform
from zipalign.input_file import map_file

PROMPT_TOKENS: Final = 512
TOKENS: Final = {"native": 64, "cached": 32, "plain": 8}  # a second or more of each
ROUNDS: Final = 3
STARTS: Final = 7
CONTEXT: Final = 1024
HERE: Final = Path(__file__).parent
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
WATCH_SECONDS: Final = 0.005
MIB: Final = 1 << 20
PORTABLE: Final = ("plain", "cached")
NAMES: Final = {
    "native": "the native engine",
    "plain": "the portable runtime",
    "cached": "the portable runtime with `--cache-weights`",
}


@dataclass
class Speed:
    """Tokens a second, and the most memory that was in use at a time, in bytes."""

    name: str
    prompt: float
    generation: float
    anonymous: int = 0
    resident: int = 0


def read_and_write(path: str, *, cache: bool) -> dict[str, float]:
    """Read a prompt and go on, in this process; return tokens a second."""
    from runtime.portable.transformer import Transformer  # noqa: PLC0415  # numpy is for the processes that compute
    from runtime.portable.weights import Weights  # noqa: PLC0415  # the same

    model = Transformer(Weights(map_file(path), cache=cache), CONTEXT)
    if cache:
        model.forward([1])  # so that the weights are there; otherwise they never are
        model.rewind(0)
    count = TOKENS["cached" if cache else "plain"]
    started = time.perf_counter()
    token = int(model.forward(range(100, 100 + PROMPT_TOKENS)).argmax())
    read = time.perf_counter()
    for _ in range(count):
        token = int(model.forward([token]).argmax())
    return {"prompt": PROMPT_TOKENS / (read - started), "generation": count / (time.perf_counter() - read)}


def measured(path: Path, way: str) -> Speed:
    """Let another process do that, and watch how much memory it takes."""
    command = [sys.executable, "-m", "benchmarks.bench_portable", way, str(path)]
    environment = {**os.environ, **ONE_THREAD}
    peak = {"RssAnon": 0, "VmRSS": 0}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE.parent, env=environment) as process:
        watch = threading.Thread(target=watch_memory, args=(process.pid, peak))
        watch.start()
        output = process.communicate()[0]
        watch.join()
    if process.returncode:
        sys.exit(f"bench_portable: {way} ended with status {process.returncode}")
    return Speed(way, **json.loads(output), anonymous=peak["RssAnon"], resident=peak["VmRSS"])


def watch_memory(pid: int, peak: dict[str, int]) -> None:
    """Raise each number of PEAK to the process's current one, again and again until it ends."""
    while True:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return
        facts = dict(line.split(":", 1) for line in lines)
        if "VmRSS" not in facts:  # a zombie: it has ended
            return
        peak.update({name: max(most, int(facts[name].split()[0]) * 1024) for name, most in peak.items()})
        time.sleep(WATCH_SECONDS)


def native(folder: Path, model: Path) -> Speed:
    """Let the engine do the same."""
    program = folder / "llamafile-bench"
    if not program.exists():
        program.symlink_to(build(host_platform()).path)
    counts = ["-p", str(PROMPT_TOKENS), "-n", str(TOKENS["native"])]
    command = [str(program), "-m", str(model), "-t", "1", *counts, "-r", "1", "-o", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    tests: list[dict[str, Any]] = json.loads(result.stdout)
    speeds = {bool(test["n_gen"]): test["avg_ts"] for test in tests}
    return Speed("native", speeds[False], speeds[True])


def start(row: Measured) -> None:
    """Run a command that says one token, and note how long it took."""
    started = time.perf_counter()
    subprocess.run(row.command, check=True, capture_output=True, cwd=HERE.parent, env={**os.environ, **ONE_THREAD})
    row.seconds.append(time.perf_counter() - started)


def packed_modules(folder: Path) -> Path:
    """Make an archive of the modules as a llamafile has them, but in the form that every Python reads, for this one."""
    path = folder / "modules.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in portable_members():
            archive.writestr(member.name, member.source if isinstance(member.source, bytes) else b"")
    return path


def starts(folder: Path, model: Path) -> list[Measured]:
    """Return every way to the first token, each measured."""
    one = ["-p", "The capital of France is", "-n", "1", "--temp", "0"]
    options = ["-m", str(model)]
    program = folder / "llamafile"
    program.symlink_to(build(host_platform()).path)
    rows = [
        Measured("the native program", [str(program), *options, "-t", "1", *one]),
        Measured("`python -m runtime`", [sys.executable, "-m", "runtime", str(model), *one]),
        Measured("the same, its modules in an archive", [sys.executable, str(packed_modules(folder)), *options, *one]),
        Measured("Python alone, importing numpy and gguf", [sys.executable, "-c", "import numpy, gguf"]),
    ]
    for row in rows:  # fills the caches
        start(row)
        row.seconds.clear()
    in_turns(rows, STARTS, start)
    return rows


def best(speeds: list[Speed]) -> Speed:
    """Return the fastest of each, and the most memory."""
    return Speed(
        speeds[0].name,
        max(speed.prompt for speed in speeds),
        max(speed.generation for speed in speeds),
        max(speed.anonymous for speed in speeds),
        max(speed.resident for speed in speeds),
    )


def sizes(model: Path) -> tuple[int, int]:
    """Return how many bytes the weights take as they are stored, and the largest of them as 32-bit numbers."""
    tensors = GgufHeader.unpack(map_file(model)).tensors
    return model.stat().st_size, max(4 * math.prod(tensor.dimensions) for tensor in tensors)


def speed_table(ways: list[Speed]) -> str:
    """Return speeds as a table in Markdown."""
    engine = ways[0]
    lines = ["| one thread | prompt | of the native | generation | of the native |", "|---|---:|---:|---:|---:|"]
    for way in ways:
        prompt = f"{way.prompt:.0f} tokens/s | {way.prompt / engine.prompt:.1%}"
        generation = f"{way.generation:.1f} tokens/s | {way.generation / engine.generation:.1%}"
        lines.append(f"| {NAMES[way.name]} | {prompt} | {generation} |")
    return "\n".join(lines) + "\n"


def memory(ways: list[Speed], model: Path) -> str:
    """Return the peak memory of the portable runtime and its target, as Markdown."""
    stored, largest = sizes(model)
    rows = [
        f"| {NAMES[way.name]} | {way.resident / MIB:.0f} MiB | {way.anonymous / MIB:.0f} MiB |"
        for way in ways
        if way.resident
    ]
    table = "\n".join(["| | resident | of it not mapped from files |", "|---|---:|---:|", *rows])
    plain = next(way for way in ways if way.name == "plain")
    text = "MiB resident: the weights as stored, and the largest tensor as 32-bit numbers"
    promise = Limit(text, plain.resident / MIB, round((stored + largest) / MIB))
    return f"""\
The weights are {stored / MIB:.0f} MiB as stored; the largest tensor, that of the vocabulary, would be
{largest / MIB:.0f} MiB as 32-bit numbers. Python itself, numpy, gguf, and all pages read so far count as well.

{table}

{verdicts([promise])}"""


def start_table(rows: list[Measured]) -> str:
    """Return times as a table in Markdown."""
    lines = ["| until the first token | median | middle half of all |", "|---|---:|---:|"]
    for row in rows:
        first, third = row.middle_half
        lines.append(f"| {row.name} | {row.median:.2f} s | {first:.2f} to {third:.2f} s |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure everything and write the table."""
    if sys.argv[1:]:
        way, path = sys.argv[1:]
        print(json.dumps(read_and_write(path, cache=way == "cached")))  # noqa: T201  # a program, not a library
        return
    before = os.getloadavg()[0]
    model = demo_model()
    with tempfile.TemporaryDirectory(prefix="portable-bench-") as scratch:
        folder = Path(scratch)
        runs = [[native(folder, model), *(measured(model, way) for way in PORTABLE)] for _ in range(ROUNDS)]
        ways = [best(list(way)) for way in zip(*runs, strict=True)]
        rows = starts(folder, model)
        tables = f"""\
## Speed

{speed_table(ways)}
## Memory

{memory(ways, model)}
## Start

{STARTS} starts of each in turns, with the weights in the page cache.

{start_table(rows)}"""
        where = machine(folder)
    write_times("portable", "The portable runtime: until the first token", where, {"start": rows})
    (HERE / "portable.md").write_text(f"""# The portable runtime compared with the native one

Written by `benchmarks/bench_portable.py`: {model.stem}, {PROMPT_TOKENS} tokens of a prompt, then some more generated;
the best of {ROUNDS} runs in turns, with one thread each (`-t 1`).

Measured at commit {commit()}. Machine: {where}.

{load_sentence(before)}
{tables}""")
    print(f"wrote {HERE / 'portable.md'}")  # noqa: T201  # the same


if __name__ == "__main__":
    main()
