"""Measure `apepack verify` of 4 GiB beside sha256sum, all in one run, and write the table benchmarks/verify.md.

The weights are in one file, and in four. Needs 9 GiB in $TMPDIR (or /var/tmp), 9 GiB of memory and a runtime for this
machine in the cache, and takes a minute or two.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.measure import Limit, Measured, load_sentence, machine, run, verdicts
from benchmarks.record import write_times
from tests.builders.gguf import U16, Gguf, Info, number, text

ROUNDS: Final = 3
GIB: Final = 1 << 30
SIZE: Final = 4 * GIB
SHARDS: Final = 4
TARGET: Final = 1.5  # GiB a second
HERE: Final = Path(__file__).parent
APEPACK: Final = [sys.executable, "-m", "apepack"]
ABOUT: Final = """\
`apepack verify` computes SHA-256 of everything, each member in one thread, by OpenSSL. With the weights in one file,
the limit is SHA-256 on one core; with the weights in several files, it is all cores. `sha256sum` may be one that does
not use the processor's instructions for it. The CRC-32 of members in the manifest is not computed again: the manifest's
digests cover it.
"""


def fill(path: Path, size: int) -> None:
    """Append SIZE incompressible bytes."""
    block = os.urandom(1 << 20)
    with path.open("ab") as file:
        for _ in range(0, size, len(block)):
            file.write(block)


def make_weights(folder: Path, count: int) -> Path:
    """Write a model of 4 GiB in COUNT files, and return the first."""
    folder.mkdir()
    size = SIZE // count
    for at in range(count):
        name = f"w-{at + 1:05}-of-{count:05}.gguf" if count > 1 else "w.gguf"
        pairs = [text("general.architecture", "llama")] if at == 0 else []
        if count > 1:
            pairs += [number("split.no", at, U16), number("split.count", count, U16)]
            pairs += [number("split.tensors.count", count)]
        Gguf(pairs=pairs, tensors=[Info(f"t{at}", (size // 4,))], data_size=0).write(folder / name)
        fill(folder / name, size)
    return min(folder.iterdir())


def measure(folder: Path) -> list[Measured]:
    """Pack both files, and measure all commands."""
    rows = []
    for count, name in ((1, "one file"), (SHARDS, f"{SHARDS} files")):
        weights = make_weights(folder / str(count), count)
        output = folder / f"{count}.llamafile"
        command = [*APEPACK, "-q", "--no-gpu", "--no-companion", "-o", str(output), str(weights)]
        subprocess.run(command, check=True, cwd=HERE.parent, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder / str(count))
        rows.append(Measured(f"apepack verify, weights in {name}", [*APEPACK, "verify", "-q", str(output)]))
    rows.append(Measured("sha256sum", ["sha256sum", str(folder / "1.llamafile")]))
    rows.append(
        Measured("zipalign --check", [sys.executable, "-m", "zipalign", "--check", str(folder / "1.llamafile")])
    )
    for row in rows:  # reads the files into memory
        run(row, HERE.parent)
        row.seconds.clear()
        row.processor_seconds.clear()
    for turn in range(ROUNDS):
        for row in rows[:: -1 if turn % 2 else 1]:
            run(row, HERE.parent)
    return rows


def speed(seconds: float) -> float:
    """Return GiB a second."""
    return SIZE / GIB / seconds


def table(rows: list[Measured]) -> str:
    """Return rows as a table in Markdown."""
    lines = [
        "| command | median | GiB/s | processor time | GiB/s of it | peak memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        used = min(row.processor_seconds)
        times = f"{row.median:.2f} s | {speed(row.median):.2f} | {used:.2f} s | {speed(used):.2f}"
        lines += [f"| `{row.name}` | {times} | {row.peak_kib / 1024:.0f} MiB |"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make all measurements and write the table."""
    parent = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 -- /tmp is often in memory; the name inside is random
    folder = Path(tempfile.mkdtemp(prefix="verify-bench-", dir=parent))
    before = os.getloadavg()[0]
    try:
        where = machine(folder)
        rows = measure(folder)
    finally:
        shutil.rmtree(folder)
    one, several, digest, _ = rows
    limits = [
        Limit("GiB/s of verify, weights in one file", speed(one.median), TARGET, at_least=True),
        Limit(f"GiB/s of verify, weights in {SHARDS} files", speed(several.median), TARGET, at_least=True),
        Limit("processor time of verify / sha256sum", min(one.processor_seconds) / min(digest.processor_seconds), 1.1),
    ]
    head = f"""# Verifying 4 GiB

Written by `benchmarks/bench_verify.py`; all commands in turns, median of {ROUNDS} runs, files in the page cache.
Processor times are the smallest of all runs: beside other work they say more than the time on the clock.

Machine: {where}.

{load_sentence(before)}
{ABOUT}"""
    write_times("verify", "Verifying 4 GiB", where, {"verify": rows})
    (HERE / "verify.md").write_text(f"{head}\n## Targets\n\n{verdicts(limits)}\n## Times\n\n{table(rows)}")
    print(f"wrote {HERE / 'verify.md'}")  # noqa: T201 -- a program, not a library


if __name__ == "__main__":
    main()
