"""Measure apepack upgrade on files of 1 and 4 GiB, in one run, and write the table benchmarks/upgrade.md.

Each round upgrades each file and restores it, in turns; all earlier writes are on the disk before a clock starts. The
weights do not compress and have no holes. Needs build/llamafile, and 12 GiB in $TMPDIR (or /var/tmp).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from apepack.packing.pack import pack
from apepack.packing.payload import PackInputs
from apepack.provenance.description import renew_manifest
from benchmarks.measure import Limit, Measured, load_sentence, machine, run, verdicts
from benchmarks.record import write_times
from runtime.builder.artifacts import demo_model
from zipalign import Member, add_files, read_archive

ROUNDS: Final = 7
COPY_ROUNDS: Final = 3
GIB: Final = 1 << 30
SIZES: Final = (1, 4)  # in GiB
HERE: Final = Path(__file__).parent
RUNTIME: Final = HERE.parent / "build" / "llamafile"
APEPACK: Final = [sys.executable, "-m", "apepack"]


def run_here(measured: Measured, directory: Path) -> None:
    """Run a command once, after the disk has settled."""
    os.sync()
    run(measured, directory, {**os.environ, "PYTHONPATH": str(HERE.parent)})


def make_model(path: Path, size: int) -> None:
    """Write a model of SIZE bytes: a real one, and random bytes behind its tensors."""
    shutil.copyfile(demo_model(), path)
    block = os.urandom(1 << 20)
    with path.open("ab") as file:
        while file.tell() < size:
            file.write(block)


def make_files(directory: Path) -> int:
    """Write a runtime that differs from the present one, and llamafiles with that; returns the new runtime's size."""
    shutil.copyfile(RUNTIME, directory / "new")
    add_files(directory / "new", [Member("pages/new.txt", b"a new version")], level=6, alignment=1)
    renew_manifest(directory / "new")
    for size in SIZES:
        make_model(directory / "model.gguf", size * GIB)
        pack(PackInputs(directory / "model.gguf"), directory / f"{size}.llamafile", runtime=RUNTIME)
    (directory / "model.gguf").unlink()
    (directory / "4.exe").unlink(missing_ok=True)
    return read_archive(directory / "new").file_size


def measure(directory: Path) -> list[Measured]:
    """Return the measured rows."""
    upgrade = [*APEPACK, "upgrade", "--quiet", "--no-companion", "--runtime", "new"]
    restore = [*APEPACK, "upgrade", "--quiet", "--restore"]
    there = [Measured(f"apepack upgrade, {size} GiB, in place", [*upgrade, f"{size}.llamafile"]) for size in SIZES]
    back = [Measured(f"apepack upgrade --restore, {size} GiB", [*restore, f"{size}.llamafile"]) for size in SIZES]
    for number in range(ROUNDS):
        for row in (*there, *back) if number % 2 else (*there[::-1], *back[::-1]):
            run_here(row, directory)
    copies = [
        Measured(f"apepack upgrade -o, {size} GiB, a new file", [*upgrade, "-o", "x", f"{size}.llamafile"], "x")
        for size in SIZES
    ]
    copies += [
        Measured(f"cp, {size} GiB; sync", ["sh", "-c", f"cp {size}.llamafile x && sync x"], "x") for size in SIZES
    ]
    for _ in range(COPY_ROUNDS):
        for row in copies:
            run_here(row, directory)
    return [*there, *back, *copies]


def table(rows: list[Measured]) -> str:
    """Return rows as a table in Markdown."""
    lines = ["| command | median | min to max | peak memory |", "|---|---:|---:|---:|"]
    for row in rows:
        spread = f"{min(row.seconds):.2f} to {max(row.seconds):.2f} s"
        lines.append(f"| `{row.name}` | {row.median:.2f} s | {spread} | {row.peak_kib / 1024:.0f} MiB |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make all measurements and write the table."""
    if not RUNTIME.is_file():
        sys.exit("bench_upgrade: needs build/llamafile (make)")
    parent = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 -- /tmp is often in memory; the name inside is random
    directory = Path(tempfile.mkdtemp(prefix="upgrade-bench-", dir=parent))
    before = os.getloadavg()[0]
    try:
        where = machine(directory)
        runtime_size = make_files(directory)
        rows = measure(directory)
    finally:
        shutil.rmtree(directory)
    small, large = rows[:2]
    limits = [Limit("in place: 4 GiB / 1 GiB", large.median / small.median, 1.1)]
    text = f"""# apepack upgrade

Written by `benchmarks/bench_upgrade.py`; all commands in one run and in turns; median of {ROUNDS} runs, of
{COPY_ROUNDS} for the copies.

Machine: {where}.

{load_sentence(before)}
The new runtime has {runtime_size / 1e6:.1f} MB. An upgrade in place writes the old one to the undo record and the new
one to the file, waits for the disk after each step, and reads the new one again for its digests in the manifest.

## Targets

{verdicts(limits)}
## Measured

{table(rows)}"""
    write_times("upgrade", "apepack upgrade", where, {"upgrade": rows})
    (HERE / "upgrade.md").write_text(text)
    print(f"wrote {HERE / 'upgrade.md'}")  # noqa: T201 -- a program, not a library


if __name__ == "__main__":
    main()
