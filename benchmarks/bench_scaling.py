"""Measure the cost of an archive's size for operations on it, and write benchmarks/scaling.{md,json,svg}.

The archives have a member of up to 40 GB, which is a hole and takes no space on the disk, and behind it a small model.
Adding a large file needs all of it read and written: that is measured up to 4 GB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Limit, verdicts
from benchmarks.native import peers_python
from benchmarks.program import Program
from benchmarks.record import Record, workplace
from runtime.builder.artifacts import demo_model
from zipalign.layout import HeaderFields, aligned_header_offset, central_header, local_header, pack_directory
from zipalign.reader import read_archive

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 15
GB: Final = 10**9
SIZES: Final = (GB // 10, GB, 4 * GB, 10 * GB, 40 * GB)
WRITTEN_SIZE_MAX: Final = 4 * GB
WRITTEN_ROUNDS: Final = 3
FLAT: Final = 1.1  # times the smallest archive's time
NAME: Final = b"large.bin"
ADDING: Final = "adding that much"
TITLE: Final = "Cost of the archive's size"
ABOUT: Final = """\
Written by `benchmarks/bench_scaling.py`. Milliseconds, by the size of the largest member, which is a hole in a
sparse file. The first token is that of SmolLM2 135M, which lies behind that member. Only adding a large file reads and
writes all of it.
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on an archive, and the command that undoes it."""

    name: str
    command: Sequence[str]
    undo: Sequence[str] = ()

    def milliseconds(self) -> float:
        """Do it and return how long that took."""
        start = time.perf_counter()
        subprocess.run(self.command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        if self.undo:
            subprocess.run(self.undo, check=True, stdout=subprocess.DEVNULL)
        return seconds * 1000


def add_hole(path: Path, size: int) -> None:
    """Add a stored member of SIZE zero bytes that takes no space on the disk; its CRC is not that of zeros."""
    archive = read_archive(path)
    fields = HeaderFields(NAME, 0, 0, 0, 0, size, size, 0o100644)
    end = path.stat().st_size
    header_offset = aligned_header_offset(end, NAME, 1 << 16)
    header = local_header(fields).pack()
    records = [*(entry.record for entry in archive.entries), central_header(fields, header_offset)]
    with path.open("r+b") as file:
        file.seek(header_offset)
        file.write(header)
        directory_offset = file.seek(size, os.SEEK_CUR)
        file.write(pack_directory(records, directory_offset, b""))


def operations(folder: Path, size: int) -> list[Operation]:
    """Return the operations on an archive of about SIZE."""
    folder.mkdir()
    program = Program.pack(folder / "model.llamafile")
    add_hole(program.path, size)
    path, note = str(program.path), folder / "note"
    note.write_text("a small file\n")
    zipalign, assimilate = [sys.executable, "-m", "zipalign"], [sys.executable, "-m", "assimilate"]
    subprocess.run([*zipalign, "-q", "-j0", "--no-fsync", path, str(demo_model())], check=True)
    ask = ["-m", f"/zip/{demo_model().name}", "-p", "The capital of France is", "-n", "1", "--temp", "0"]
    return [
        Operation("first token", [*program.command(), *ask]),
        Operation("listing", [*zipalign, "--list", path]),
        Operation(
            "adding a small file", [*zipalign, "-qj0", path, str(note)], [*zipalign, "-q", "--remove", "note", path]
        ),
        Operation("assimilating", [*assimilate, path], [*assimilate, "--restore", path]),
    ]


def measure(record: Record, folder: Path) -> None:
    """Do everything to archives of all sizes, in turns."""
    everything = {size: operations(folder / str(size), size) for size in SIZES}
    for number in range(-1, ROUNDS):
        for size in SIZES[:: -1 if number % 2 else 1]:
            for operation in everything[size]:
                milliseconds = operation.milliseconds()
                if number >= 0:  # the first time fills the caches
                    record.cell(size=f"{size / GB:g} GB").add(operation.name, milliseconds)
    for size in (size for size in SIZES if size <= WRITTEN_SIZE_MAX):
        large, archive = folder / "large", folder / "large.zip"
        with large.open("wb") as file:
            for _ in range(0, size, 10**6):
                file.write(os.urandom(10**6))
        add = [sys.executable, "-m", "zipalign", "-qj0", str(archive), str(large)]
        for _ in range(WRITTEN_ROUNDS):
            record.cell(size=f"{size / GB:g} GB").add(
                ADDING, Operation(ADDING, add, ["rm", str(archive)]).milliseconds()
            )
        large.unlink()


def limits(record: Record) -> list[Limit]:
    """Return the targets: only adding grows."""
    smallest, largest = record.cells[0], record.cells[-1]
    names = [name for name in smallest.samples if name != ADDING]
    text = f"{largest.labels['size']} / {smallest.labels['size']}"
    return [Limit(f"{name}: {text}", largest.median(name) / smallest.median(name), FLAT) for name in names]


def main() -> None:
    """Measure, and write the results."""
    with workplace() as folder:
        bare = Program.pack(folder / "bare")
        record = Record("scaling", TITLE, ABOUT, "", ROUNDS, bare.versions())
        measure(record, folder)
        record.write(folder, list(record.cells[0].samples), (), f"{verdicts(limits(record))}\n")
    subprocess.run([peers_python(), Path(__file__).with_name("plot.py"), record.name], check=True)


if __name__ == "__main__":
    main()
