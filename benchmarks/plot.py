"""Draw benchmarks/NAME.svg from benchmarks/NAME.json.

Run by the Python that has matplotlib (benchmarks/native.py). `plot.py NAME OTHER…` draws our result as a multiple of
each of the others', cell by cell, and beside it as a part of the machine's limit, if there is one; `plot.py NAME` draws
each measurement over the size; `plot.py NAME --hour` draws each over the minutes; `plot.py NAME --summary OTHER` draws
NAME-summary.svg, the picture of the README: two threads, one bar per test. NAME may be a path, for results elsewhere.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from operator import truediv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).parent))
OURS = "llamafile"
ROW_INCHES = 0.28
COUNTED = ("threads", "clients")
SUMMARY_INCHES = 0.45
SUMMARY = {"prompt 512": "reading a prompt", "generate 128": "generating"}


def draw_growth(record: dict[str, Any]) -> Figure:
    """Draw a line for each thing that was measured, by size."""
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    for name in record["cells"][0]["samples"]:
        cells = [cell for cell in record["cells"] if name in cell["samples"]]
        sizes = [float(cell["size"].split()[0]) for cell in cells]
        axes.plot(sizes, [statistics.median(cell["samples"][name]) for cell in cells], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="GB", ylabel="milliseconds", title=_title(record))
    axes.legend()
    return figure


def draw_hour(record: dict[str, Any]) -> Figure:
    """Draw the measurements over the minutes, one axis for each unit."""
    names = list(record["cells"][0]["samples"])
    units = list(dict.fromkeys(_unit(name) for name in names))
    figure, rows = plt.subplots(len(units), figsize=(9, 2.2 * len(units)), layout="constrained", sharex=True)
    minutes = [int(cell["minute"]) for cell in record["cells"]]
    for unit, axes in zip(units, rows, strict=True):
        for name in names:
            if _unit(name) == unit:
                axes.plot(minutes, [cell["samples"][name][0] for cell in record["cells"]], label=name)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        axes.legend(loc="lower right")
    rows[-1].set_xlabel("minutes")
    figure.suptitle(_title(record))
    return figure


def _unit(name: str) -> str:
    return next((unit for unit in ("MiB", "ms") if unit in name.split()), name)


def draw_ratios(record: dict[str, Any], others: list[str]) -> Figure:
    """Draw a bar for each cell and each of OTHERS, and one for the part of the limit."""
    cells = record["cells"][::-1]  # the first one is drawn on top
    figure, ratio_axes, limit_axes = _panels(cells, 1.2 + ROW_INCHES * len(cells))
    height = 0.8 / len(others)
    for number, other in enumerate(others):
        places, ratios = [], []
        for row, cell in enumerate(cells):
            if other in cell["samples"]:
                places.append(row + 0.4 - height * (number + 0.5))
                ratios.append(_ours(cell) / statistics.median(cell["samples"][other]))
        ratio_axes.barh(places, ratios, height, label=f"{OURS} / {other}")
    ratio_axes.axvline(1, color="black", linewidth=1)
    ratio_axes.set_yticks(range(len(cells)), [_label(cell) for cell in cells])
    ratio_axes.legend(loc="lower right")
    figure.suptitle(_title(record))
    if limit_axes:
        rows = [(row, cell) for row, cell in enumerate(cells) if "limits" in cell]
        _draw_parts(limit_axes, [row for row, _ in rows], [cell for _, cell in rows], 0.8, color="tab:gray")
    return figure


def draw_summary(record: dict[str, Any], other: str) -> Figure:
    """Draw our rate as a multiple of OTHER's: for each model, with two threads and all instructions.

    Beside it, the part of the machine's limit that it is.
    """
    cells = [cell for cell in record["cells"] if (cell["threads"], cell["instructions"]) == ("2", "all")]
    models = list(dict.fromkeys(cell["model"] for cell in cells))[::-1]  # the first one is drawn on top
    figure, ratio_axes, limit_axes = _panels(cells, 1 + SUMMARY_INCHES * len(models))
    height = 0.8 / len(SUMMARY)
    most = 1.0
    for number, (test, label) in enumerate(SUMMARY.items()):
        shown = [cell for model in models for cell in cells if (cell["test"], cell["model"]) == (test, model)]
        places = [row + 0.4 - height * (number + 0.5) for row in range(len(shown))]
        ratios = [_ours(cell) / statistics.median(cell["samples"][other]) for cell in shown]
        bars = ratio_axes.barh(places, ratios, height, label=label)
        ratio_axes.bar_label(bars, [f"{_ours(cell):,.0f} tokens/s" for cell in shown], padding=3)
        most = max(most, *ratios)
        if limit_axes:
            _draw_parts(limit_axes, places, shown, height)
    ratio_axes.axvline(1, color="black", linewidth=1)
    ratio_axes.set_xlim(0, most * (1.5 if limit_axes else 1.25))  # with room for the labels
    ratio_axes.set_yticks(range(len(models)), models)
    ratio_axes.set_xlabel(f"times as fast as {other} -march=native")
    figure.legend(*ratio_axes.get_legend_handles_labels(), loc="outside upper right", ncols=len(SUMMARY))
    return figure


def _panels(cells: list[dict[str, Any]], height: float) -> tuple[Figure, Axes, Axes | None]:
    """Return a figure with a place for ratios, and one for parts of limits if the cells have some."""
    if not any("limits" in cell for cell in cells):
        figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
        return figure, axes, None
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(11, height), layout="constrained", width_ratios=(5, 3)
    )
    return figure, left, right


def _draw_parts(axes: Axes, places: list[Any], cells: list[dict[str, Any]], height: float, **style: str) -> None:
    """Draw our rates as parts of the limits, in percent."""
    parts = [100 * _part(cell) for cell in cells]
    bars = axes.barh(places, parts, height, **style)
    axes.bar_label(bars, [f"{part:.0f} %" for part in parts], padding=3)
    axes.axvline(100, color="black", linewidth=1)
    axes.set_xlim(0, max(120, *axes.get_xlim()))
    axes.set_xlabel("% of the machine's limit")


def _ours(cell: dict[str, Any]) -> float:
    return float(statistics.median(cell["samples"][OURS]))


def _part(cell: dict[str, Any]) -> float:
    return float(statistics.median(map(truediv, cell["samples"][OURS], cell["limits"])))


def _title(record: dict[str, Any]) -> str:
    return f"{record['title']} ({record['commit']})"


def _label(cell: dict[str, Any]) -> str:
    labels = {key: value for key, value in cell.items() if key not in {"samples", "limits"}}
    return ", ".join(f"{value} {key}" if key in COUNTED else value for key, value in labels.items())


def main() -> None:
    """Draw the plot that the arguments name."""
    name, *others = sys.argv[1:]
    plt.rcParams["svg.hashsalt"] = Path(name).name  # reproducible element ids
    record = json.loads((HERE / f"{name}.json").read_text())
    if others[:1] == ["--summary"]:
        figure, path = draw_summary(record, others[1]), HERE / f"{name}-summary.svg"
    elif others == ["--hour"]:
        figure, path = draw_hour(record), HERE / f"{name}.svg"
    else:
        figure, path = draw_ratios(record, others) if others else draw_growth(record), HERE / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
