"""Measure zipalign beside cp, zip and 7z, all in one run, and write the table benchmarks/zipalign.md.

Every command runs once in each of five rounds, so that other work of the machine affects all alike; all earlier writes
are on the disk before a clock starts. Needs 13 GiB in $TMPDIR (or /var/tmp) and 12 GiB of memory, and takes some
minutes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, Measured, in_turns, load_sentence, machine, run, verdicts
from benchmarks.record import write_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS: Final = 5
QUICK_ROUNDS: Final = 21
GIB: Final = 1 << 30
HERE: Final = Path(__file__).parent
ZIPALIGN: Final = [sys.executable, "-m", "zipalign"]
NOTE: Final = """\
`zip` is about 10 times slower than `cp` here (see below), so 15 times faster than `zip` would be 1.5 times as fast as
`cp`. Writing from one buffer, without reading or checksums, takes 0.19 s per GiB.
"""
FETCHED_SIZE: Final = 10 * GIB
FETCH: Final = """import mmap, sys
page, block = mmap.PAGESIZE, 1 << 20
memory = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for offset in range(0, len(memory), page):
    memory[offset] = 1
for offset in range(0, len(memory), block):
    memory.madvise(mmap.MADV_DONTNEED, offset + page, block - page)
print("ready", flush=True)
sys.stdin.read()
"""


def environment(directory: Path) -> dict[str, str]:
    """Return an environment with the checkout's package on the path and a separate byte code folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(HERE.parent), "PYTHONPYCACHEPREFIX": str(directory / "pycache")}


@contextlib.contextmanager
def memory_fetched() -> Iterator[None]:
    """Keep a virtual machine from handing its free memory back to the host while commands are measured.

    The first command would have to fetch every page again, at up to 2 s per GiB. Only whole blocks of 2 MiB are
    handed back, so a process that keeps one page of each MiB and frees the others leaves memory that stays.
    """
    command = [sys.executable, "-c", FETCH, str(FETCHED_SIZE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not process.stdout.readline():
            sys.exit(f"bench_zipalign: needs {FETCHED_SIZE >> 30} GiB of free memory")
        yield
        process.communicate()


def run_here(measured: Measured, directory: Path, *, settle: bool = True) -> None:
    """Run a command once, after the disk has settled, and without the remains of an earlier run."""
    if measured.output is not None:
        (directory / measured.output).unlink(missing_ok=True)
    if settle:
        os.sync()
    run(measured, directory, environment(directory))


def make_input(path: Path, size: int) -> None:
    """Write an incompressible file, and leave it in the page cache."""
    block = os.urandom(1 << 20)  # small: the children's peak memory begins with that of this process
    with path.open("wb") as file:
        for _ in range(0, size, len(block)):
            file.write(block)


def copies(directory: Path, size: int) -> tuple[list[Measured], list[Limit]]:
    """Measure putting one large file into a new archive."""
    make_input(directory / "model.gguf", size)
    rows = [
        Measured("cp", ["cp", "model.gguf", "copy"], "copy"),
        Measured("zipalign -j0 --no-fsync", [*ZIPALIGN, "-j0", "--no-fsync", "x.zip", "model.gguf"], "x.zip"),
        Measured("cp; sync", ["sh", "-c", "cp model.gguf copy && sync copy"], "copy"),
        Measured("zipalign -j0", [*ZIPALIGN, "-j0", "x.zip", "model.gguf"], "x.zip"),
        Measured("zip -0 -j", ["zip", "-q", "-0", "-j", "x.zip", "model.gguf"], "x.zip"),
        Measured("7z -mx0", ["7z", "a", "-tzip", "-mx0", "-bso0", "-bsp0", "x.zip", "model.gguf"], "x.zip"),
    ]
    in_turns(rows, ROUNDS, lambda row: run_here(row, directory))
    (directory / "model.gguf").unlink()
    cp, quick, cp_sync, durable, info_zip, _ = rows
    gib = f"{size // GIB} GiB"
    limits = [
        Limit(f"{gib}: zipalign / (cp; sync)", durable.median / cp_sync.median, 1.15),
        Limit(f"{gib}: zipalign --no-fsync / cp", quick.median / cp.median, 1.15),
        Limit(f"{gib}: zip -0 / zipalign --no-fsync", info_zip.median / quick.median, 15, at_least=True),
        Limit(f"{gib}: peak memory of zipalign in MiB", max(quick.peak_kib, durable.peak_kib) / 1024, 64),
    ]
    return rows, limits


def small_appends(directory: Path) -> tuple[list[Measured], list[Limit]]:
    """Measure adding .args to a small llamafile and to a large one."""
    (directory / ".args").write_text("-m\nmodel.gguf\n")
    rows = []
    for name, size in (("4 MiB", 4 << 20), ("4 GiB", 4 * GIB)):
        archive = f"{size}.llamafile"
        make_input(directory / "model.gguf", size)
        run_here(Measured("", [*ZIPALIGN, "-j0", archive, "model.gguf"]), directory)
        (directory / "model.gguf").unlink()
        rows.append(Measured(f"add .args to {name}", [*ZIPALIGN, "-j0", archive, ".args"]))
    in_turns(rows, QUICK_ROUNDS, lambda row: run_here(row, directory))
    small, large = rows
    return rows, [Limit("adding .args: 4 GiB / 4 MiB", large.median / small.median, 1.1)]


def starts(directory: Path) -> tuple[list[Measured], list[Limit]]:
    """Measure the start-up time."""
    run_here(Measured("", [*ZIPALIGN, "-j0", "small.zip", ".args"]), directory)
    rows = [
        Measured("python -c 'import click'", [sys.executable, "-c", "import click"]),
        Measured("zipalign --help", [*ZIPALIGN, "--help"]),
        Measured("zipalign ZIP, nothing to do", [*ZIPALIGN, "small.zip"]),
    ]
    for row in rows:  # compiles byte code
        run_here(row, directory, settle=False)
        row.seconds.clear()
    in_turns(rows, QUICK_ROUNDS, lambda row: run_here(row, directory, settle=False))
    base, *others = rows
    return rows, [Limit(f"{row.name} / import click", row.median / base.median, 1.3) for row in others]


def table(rows: list[Measured]) -> str:
    """Return rows as a table in Markdown."""
    lines = ["| command | median | min to max | peak memory |", "|---|---:|---:|---:|"]
    for row in rows:
        spread = f"{min(row.seconds):.3f} to {max(row.seconds):.3f} s"
        lines.append(f"| `{row.name}` | {row.median:.3f} s | {spread} | {row.peak_kib / 1024:.0f} MiB |")
    return "\n".join(lines) + "\n"


def checksum() -> str:
    """Name the library that computes CRC-32."""
    try:
        import isal  # noqa: F401, PLC0415 -- only to detect it
    except ImportError:
        return "zlib"
    return "isal"


def main() -> None:
    """Make all measurements and write the table."""
    for name in ("zip", "7z"):
        if shutil.which(name) is None:
            sys.exit(f"bench_zipalign: needs {name}")
    parent = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 -- /tmp is often in memory; the name inside is random
    directory = Path(tempfile.mkdtemp(prefix="zipalign-bench-", dir=parent))
    before = os.getloadavg()[0]
    parts: list[tuple[str, Callable[[], tuple[list[Measured], list[Limit]]]]] = [
        ("One file of 1 GiB, in the page cache", lambda: copies(directory, GIB)),
        ("One file of 4 GiB, in the page cache", lambda: copies(directory, 4 * GIB)),
        ("Adding .args", lambda: small_appends(directory)),
        ("Starting", lambda: starts(directory)),
    ]
    try:
        where = f"{machine(directory)}, CRC-32 by {checksum()}"
        text, limits, times = "", [], dict[str, list[Measured]]()
        with memory_fetched():
            for title, measure in parts:
                rows, promised = measure()
                text += f"\n## {title}\n\n{table(rows)}"
                limits += promised
                times[title] = rows
    finally:
        shutil.rmtree(directory)
    head = f"""# zipalign compared with its peers

Written by `benchmarks/bench_zipalign.py`; all commands in one run and in turns; median of {ROUNDS} runs, of
{QUICK_ROUNDS} for the short ones.

Machine: {where}.

{load_sentence(before)}"""
    write_times("zipalign", "zipalign compared with its peers", where, times)
    (HERE / "zipalign.md").write_text(f"{head}\n## Targets\n\n{verdicts(limits)}\n{NOTE}{text}")
    print(f"wrote {HERE / 'zipalign.md'}")  # noqa: T201 -- a program, not a library


if __name__ == "__main__":
    main()
