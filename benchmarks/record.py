"""Results, cell by cell, and their output as a table in Markdown and as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measure import load_sentence, machine, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.measure import Measured

__all__ = ["OURS", "Cell", "Record", "commit", "workplace", "write_times"]

OURS: Final = "llamafile"
_HERE: Final = Path(__file__).parent
_RESULTS: Final = Path(os.environ.get("BENCHMARK_RESULTS", _HERE))


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a folder for files of some gigabytes, in $TMPDIR or where files do not lie in memory."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:  # noqa: S108 -- a new folder of our own
        yield Path(name)


@dataclass
class Cell:
    """One test, with several results of each contestant."""

    labels: dict[str, str]
    samples: dict[str, list[float]] = field(default_factory=dict)
    limits: list[float] = field(default_factory=list)  # what the machine allowed each of ours (benchmarks/roofline.py)

    def add(self, name: str, value: float) -> None:
        """Add one more value of NAME's."""
        self.samples.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Return the middle one of NAME's values."""
        return statistics.median(self.samples[name])

    def ratio(self, name: str) -> float:
        """Return our median as a multiple of NAME's."""
        return self.median(OURS) / self.median(name)

    def fractions(self) -> list[float]:
        """Return each of our values as a part of its limit."""
        return [value / limit for value, limit in zip(self.samples[OURS], self.limits, strict=True)]

    def facts(self) -> dict[str, Any]:
        """Return it for a file in JSON."""
        limits = {"limits": [round(limit, 3) for limit in self.limits]} if self.limits else {}
        return {**self.labels, **limits, "samples": self.samples}


@dataclass
class Record:
    """One run of one benchmark."""

    name: str  # of its files
    title: str
    about: str
    unit: str
    rounds: int
    versions: Mapping[str, str]
    digits: int = 1
    has_plot: bool = True
    folder: Path = _RESULTS  # of its files
    more_facts: dict[str, Any] = field(default_factory=dict)  # in JSON
    cells: list[Cell] = field(default_factory=list)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def cell(self, **labels: str) -> Cell:
        """Return the cell with these labels, a new one if there is none."""
        for cell in self.cells:
            if cell.labels == labels:
                return cell
        self.cells.append(Cell(labels))
        return self.cells[-1]

    def write(self, directory: Path, others: Sequence[str], rivals: Sequence[str], notes: str) -> None:
        """Write NAME.md and NAME.json, with the ratios of ours to RIVALS, some of OTHERS; commands ran in DIRECTORY."""
        facts = self._facts(directory)
        cells = [cell.facts() for cell in self.cells]
        text = json.dumps(
            {"title": self.title, "unit": self.unit, **facts, **self.more_facts, "cells": cells}, indent=1
        )
        same = f" The same numbers are in [{self.name}.json]({self.name}.json)."
        plot = f"\n\n![the same numbers as a plot]({self.name}.svg)" if self.has_plot else ""
        markdown = self._text(facts, same + plot, others, rivals, notes)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.json").write_text(text + "\n")
        (self.folder / f"{self.name}.md").write_text(markdown)

    def text(self, directory: Path, others: Sequence[str], rivals: Sequence[str], notes: str) -> str:
        """Return what write() would write to NAME.md, without references to other files."""
        return self._text(self._facts(directory), "", others, rivals, notes)

    def _facts(self, directory: Path) -> dict[str, Any]:
        return {
            "commit": commit(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": machine(directory),
            "versions": dict(self.versions),
            "rounds": self.rounds,
            "load": [round(self.load_before, 2), round(os.getloadavg()[0], 2)],
        }

    def _text(self, facts: dict[str, Any], files: str, others: Sequence[str], rivals: Sequence[str], notes: str) -> str:
        return f"""# {self.title}

{self.about}

Measured at commit {facts["commit"]} on {facts["date"]}; {self.rounds} rounds, in each of them all contestants; medians,
with the minimum and maximum of all rounds.{files}

Machine: {facts["machine"]}.
Versions: {", ".join(f"{name} {version}" for name, version in self.versions.items())}.

{load_sentence(self.load_before)}
{self.table(others, rivals)}
{notes}"""

    def table(self, others: Sequence[str], rivals: Sequence[str]) -> str:
        """Return the results, with the ratios of ours to RIVALS, some of OTHERS."""
        labels = list(self.cells[0].labels)
        names = [*([OURS] if rivals else []), *others]
        unit = f", {self.unit}" if self.unit else ""
        has_limits = any(cell.limits for cell in self.cells)
        heads = [*labels, *(name + unit for name in names), *(f"{OURS} / {name}" for name in rivals)]
        heads += [f"limit{unit}", f"{OURS} / limit, %"] if has_limits else []
        lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(labels) + "---:|" * (len(heads) - len(labels))]
        for cell in self.cells:
            columns = [*cell.labels.values(), *(self._spread(cell, name) for name in names)]
            columns += [f"{cell.ratio(name):.2f}" if name in cell.samples else "" for name in rivals]
            columns += self._limit(cell) if has_limits else []
            lines.append("| " + " | ".join(columns) + " |")
        return "\n".join(lines) + "\n"

    def _limit(self, cell: Cell) -> list[str]:
        if not cell.limits:
            return ["", ""]
        percents = [100 * fraction for fraction in cell.fractions()]
        return [spread(cell.limits, f".{self.digits}f"), spread(percents, ".0f")]

    def _spread(self, cell: Cell, name: str) -> str:
        if name not in cell.samples:
            return ""
        return spread(cell.samples[name], f".{self.digits}f")


def write_times(name: str, title: str, where: str, parts: Mapping[str, Sequence[Measured]]) -> None:
    """Write NAME.json with the seconds of rows that ran on the machine WHERE, by the PARTS of a table.

    For benchmarks with a text of their own: the file is what later results are compared with.
    """
    cells = [
        {"part": part, "measured": "seconds", "samples": {row.name: row.seconds for row in rows}}
        for part, rows in parts.items()
    ]
    facts = {"commit": commit(), "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": where}
    text = json.dumps({"title": title, "unit": "seconds", **facts, "cells": cells}, indent=1)
    (_HERE / f"{name}.json").write_text(text + "\n")


def commit() -> str:
    """Return the commit that is measured, and whether the checkout differs from it in more than measurements."""
    results = [f":(exclude,top)benchmarks/*.{suffix}" for suffix in ("md", "json", "svg")]
    name = _git("rev-parse", "--short=12", "HEAD")
    return f"{name}-dirty" if _git("diff", "--name-only", "HEAD", "--", ":/", *results) else name


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=True).stdout.strip()
