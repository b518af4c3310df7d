"""The samples as a picture: requests a second of each server, on a logarithmic scale."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from .goals import Measured, connections, number, rates

# Readable on white and on black alike, since the file is shown on both.
INK = "#7a828e"
COLOURS = {"nbmlops": "#e8590c", "onnx": "#3b82c4", "sklearn": "#9aa5b1", "none": "#c9b458"}
LEGEND = {
    "nbmlops": "nbmlops (token, metrics and data capture on)",
    "onnx": "a peer with the same ONNX file",
    "sklearn": "a peer with scikit-learn",
    "none": "no model at all: says hello",
}
PANELS = (1, 32)
LEFT_OUT = ("capture off", "two versions", "2 workers")


def draw(found: Measured, path: Path) -> None:
    """Write the picture; the same samples give the same bytes."""
    names = [
        name
        for name, server in found["servers"].items()
        if server["model"] == "boosting" and not any(text in name for text in LEFT_OUT)
    ]
    names.sort(key=lambda name: statistics.median(rates(found, name, 32)))
    with mpl.rc_context(
        {"svg.hashsalt": "nbmlops", "font.size": 9, "font.family": "DejaVu Sans", "svg.fonttype": "path"}
    ):
        figure = Figure(figsize=(10, 1.5 + 0.3 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(PANELS), sharey=True)
        for one, level in zip(axes, PANELS, strict=True):
            _panel(one, found, names=names, level=level)
        axes[0].set_yticks(range(len(names)), names)
        for label, name in zip(axes[0].get_yticklabels(), names, strict=True):
            if found["servers"][name]["library"] == "nbmlops":
                label.set(color=COLOURS["nbmlops"], fontweight="bold")
        handles = [mpl.patches.Patch(color=COLOURS[kind], label=text) for kind, text in LEGEND.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
        figure.suptitle("Requests of one row answered in a second, one worker process", color=INK, fontweight="bold")
        figure.savefig(path, transparent=True, metadata={"Date": None})


def _kind(found: Measured, name: str) -> str:
    server = found["servers"][name]
    kind: str = "nbmlops" if server["library"] == "nbmlops" else server["runtime"]
    return kind


def _panel(axes: Axes, found: Measured, *, names: list[str], level: int) -> None:
    samples = [rates(found, name, level) for name in names]
    middles = [statistics.median(values) for values in samples]
    spread = [
        [middle - min(values) for middle, values in zip(middles, samples, strict=True)],
        [max(values) - middle for middle, values in zip(middles, samples, strict=True)],
    ]
    colours = [COLOURS[_kind(found, name)] for name in names]
    axes.barh(range(len(names)), middles, color=colours, height=0.72)
    axes.errorbar(middles, range(len(names)), xerr=spread, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    for place, values in enumerate(samples):
        axes.annotate(
            number(middles[place]),
            (max(values), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontweight="bold" if _kind(found, names[place]) == "nbmlops" else "normal",
        )
    axes.set_xscale("log")
    axes.set_xlim(min(10, min(middles) / 2), max(middles) * 5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(connections(level), color=INK, fontsize=10)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
