"""Name what has become slower, or larger, than in the results that are committed.

    python -m benchmarks.regressions [NAME.json…]

`make bench` runs it last. Each file is compared with the one of the same name in HEAD. The other contestants of a cell
are named as well: if theirs has changed alike, the machine was another one or had other work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measure import spread
from benchmarks.record import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Change", "changes", "report"]

WORSE: Final = 0.95  # times as good as before
_HERE: Final = Path(__file__).parent
_RATE: Final = "/s"
_OUR_NAMES: Final = (OURS, "apepack ", "zipalign ", "assimilate ")
_COUNTED: Final = ("threads", "clients", "hosts")
_NOT_LABELS: Final = {"samples", "limits"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One contestant's results in one cell, before and now."""

    cell: str
    before: Sequence[float]
    now: Sequence[float]
    more_is_better: bool
    others: float | None  # times as good as before, the others' median

    @property
    def ratio(self) -> float:
        """How many times as good as before the result is."""
        ratio = statistics.median(self.now) / statistics.median(self.before)
        return ratio if self.more_is_better else 1 / ratio

    @property
    def ranges_overlap(self) -> bool:
        """Whether some of the results now are as some of those before."""
        return min(self.now) <= max(self.before) and min(self.before) <= max(self.now)

    def __str__(self) -> str:
        """Return the line that names it."""
        ranges = "ranges overlap" if self.ranges_overlap else "ranges do not overlap"
        others = "" if self.others is None else f"; the others {self.others:.2f}"
        before, now = spread(self.before, ".4g"), spread(self.now, ".4g")
        return f"{self.cell}: {before} before, {now} now, {self.ratio:.2f}, {ranges}{others}"


def changes(before: Json, now: Json) -> list[Change]:
    """Return our results in the cells that BEFORE and NOW both have."""
    old = {_key(cell): cell for cell in before["cells"]}
    pairs = [(old[_key(cell)], cell) for cell in now["cells"] if _key(cell) in old]
    return [change for earlier, later in pairs for change in _changes_of(earlier, later, now["unit"])]


def _changes_of(before: Json, now: Json, unit: str) -> Iterator[Change]:
    labels = {key: value for key, value in now.items() if key not in _NOT_LABELS}
    more_is_better = labels.get("measured", unit).endswith(_RATE)
    names = [name for name in now["samples"] if before["samples"].get(name)]
    ours = [name for name in names if name.startswith(_OUR_NAMES)] or names
    ratios = [_ratio(before, now, name, more_is_better=more_is_better) for name in names if name not in ours]
    for name in ours:
        values = [f"{value} {key}" if key in _COUNTED else str(value) for key, value in labels.items()]
        cell = ", ".join([*values, *([name] if name != OURS else [])])
        others = statistics.median(ratios) if ratios else None
        yield Change(cell, before["samples"][name], now["samples"][name], more_is_better, others)


def _ratio(before: Json, now: Json, name: str, *, more_is_better: bool) -> float:
    return Change("", before["samples"][name], now["samples"][name], more_is_better, None).ratio


def _key(cell: Json) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in cell.items() if key not in _NOT_LABELS))


def report(name: str, before: Json, now: Json) -> str:
    """Return lines about the benchmark NAME."""
    all_ = changes(before, now)
    worse = sorted((change for change in all_ if change.ratio < WORSE), key=lambda change: change.ratio)
    count = f"{len(worse)} of {len(all_)} results worse by more than {1 - WORSE:.0%}".replace("%", " %")
    lines = [f"{name}: {count} than at {before['commit']} of {before['date']}"]
    if before["machine"] != now["machine"]:
        lines.append(f"  measured on another machine: {before['machine']}; now: {now['machine']}")
    lost = {_key(cell) for cell in before["cells"]} - {_key(cell) for cell in now["cells"]}
    if lost:
        lines.append(f"  not measured any more: {len(lost)} cells")
    return "\n".join([*lines, *(f"  {change}" for change in worse)]) + "\n"


def committed(name: str, revision: str = "HEAD") -> Json | None:
    """Return the results in the file NAME of REVISION; None if it has no such file."""
    command = ["git", "show", f"{revision}:./{name}"]
    said = subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=False)
    return None if said.returncode else dict(json.loads(said.stdout))


def main() -> None:
    """Print a report about each file that is not as committed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regressions", description=__doc__)
    parser.add_argument("files", metavar="NAME.json", type=Path, nargs="*", help="default: all of benchmarks/")
    for file in parser.parse_args().files or sorted(_HERE.glob("*.json")):
        if not file.is_file():
            parser.error(f"there is no file {file}")
        before, now = committed(file.name), json.loads(file.read_text())
        if before is None:
            sys.stdout.write(f"{file.stem}: no results are committed\n")
        elif before != now:
            sys.stdout.write(report(file.stem, before, now))


if __name__ == "__main__":
    main()
