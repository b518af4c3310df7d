"""The pictures of an explanation, readable on light and dark backgrounds and without colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from nbmlops.core.display import COLOURS
from nbmlops.explanation.interactions import MOST_LEVELS, numbers, strongest
from nbmlops.explanation.stability import Importance
from nbmlops.explanation.subject import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NEUTRAL = COLOURS["muted"]
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low to high", [COLOURS["info"], "#a06fb0", COLOURS["bad"]])
MOST_COLUMNS = 12
MOST_POINTS = 400
NAME_LENGTH = 24


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG with a transparent background."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, transparent=True)
    return buffer.getvalue()


def bar(importance: Sequence[Importance], scale: str) -> Figure:
    """Return the importances as bars, each with the interval that rows and background leave open."""
    shown = list(importance[:MOST_COLUMNS])[::-1]
    figure, axes = _rows(len(shown))
    values = np.array([one.value for one in shown])
    spread = np.array([[one.value - one.low, one.high - one.value] for one in shown]).clip(min=0).T
    axes.barh(range(len(shown)), values, color=COLOURS["info"], height=0.6)
    axes.errorbar(values, range(len(shown)), xerr=spread, fmt="none", ecolor=NEUTRAL, capsize=3)
    axes.set_yticks(range(len(shown)), [_short(one.column) for one in shown])
    axes.set_xlabel(f"mean |contribution|, {scale}; lines: 95 % of the draws")
    return _neutral(figure)


def beeswarm(data: pd.DataFrame, values: Floats, order: Sequence[int], *, scale: str) -> Figure:
    """Return one point a row and column: how much it contributes, coloured by how high the column's value is.

    Parameters
    ----------
    data : DataFrame, shape (n_rows, n_columns)
    values : ndarray, shape (n_rows, n_columns)
    order : sequence of int
        Places of the columns, the most important first.
    scale : str
    """
    shown = list(order[:MOST_COLUMNS])[::-1]
    figure, axes = _rows(len(shown))
    few = np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int)
    axes.axvline(0, color=NEUTRAL, linewidth=0.8)
    for height, place in enumerate(shown):
        x = values[few, place]
        _points(axes, x, height + _swarm(x), colours=_ranked(numbers(data.iloc[few, place])[0]))
    axes.set_yticks(range(len(shown)), [_short(str(data.columns[place])) for place in shown])
    axes.set_xlabel(f"contribution, {scale}; colour: value of the column, blue low, red high, hollow missing")
    return _neutral(figure)


def dependence(data: pd.DataFrame, values: Floats, order: Sequence[int], *, scale: str) -> Figure:
    """Return what columns contribute over their value, coloured by the column that interacts most.

    Parameters
    ----------
    data : DataFrame, shape (n_rows, n_columns)
    values : ndarray, shape (n_rows, n_columns)
    order : sequence of int
        Places of the columns to show.
    scale : str
    """
    coded = [numbers(data.iloc[:, place]) for place in range(data.shape[1])]
    matrix = np.column_stack([column for column, _ in coded])
    few = np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int)
    figure = Figure(figsize=(3.4 * len(order), 3.1), layout="constrained")
    for axes, place in zip(np.ravel([figure.subplots(1, len(order))]), order, strict=True):
        other = strongest(place, values[:, place], matrix)
        colours = _ranked(matrix[few, other]) if other >= 0 else np.full(len(few), 0.5)
        x, labels = matrix[few, place], coded[place][1]
        aside = np.resize(np.linspace(-0.2, 0.2, 7), len(x)) if labels else 0.0
        _points(axes, np.where(np.isnan(x), _left_of(x), x) + aside, values[few, place], colours=colours)
        if labels and len(labels) <= MOST_LEVELS:
            axes.set_xticks(range(len(labels)), [_short(label, 8) for label in labels], rotation=45)
        beside = f"\ncolour: {_short(str(data.columns[other]))}" if other >= 0 else ""
        axes.set_xlabel(f"{_short(str(data.columns[place]))}{beside}")
    figure.axes[0].set_ylabel(f"contribution, {scale}")
    return _neutral(figure)


def waterfall(names: Sequence[str], contributions: Floats, *, base: float, scale: str) -> Figure:
    """Return the way from the base value to one row's output, the largest steps last.

    Parameters
    ----------
    names : sequence of str
        Columns with their values.
    contributions : ndarray, shape (n_columns,)
    base : float
    scale : str
    """
    order = np.argsort(-np.abs(contributions), kind="stable")
    steps = [(names[place], float(contributions[place])) for place in order[: MOST_COLUMNS - 1]]
    rest = order[MOST_COLUMNS - 1 :]
    if len(rest):
        steps.append((f"{len(rest)} other columns", float(contributions[rest].sum())))
    steps = steps[::-1]
    figure, axes = _rows(len(steps))
    moved = np.array([step for _, step in steps])
    starts = base + np.concatenate([[0.0], np.cumsum(moved)[:-1]])
    axes.barh(range(len(steps)), moved, left=starts, height=0.6, color=_signed(moved))
    for height, step in enumerate(moved):
        at = starts[height] + max(step, 0.0)
        axes.annotate(f" {step:+.3g}", (at, height), va="center", color=NEUTRAL, fontsize=8)
    axes.axvline(base, color=NEUTRAL, linewidth=0.8, linestyle=":")
    axes.axvline(base + moved.sum(), color=NEUTRAL, linewidth=0.8)
    axes.margins(x=0.12)
    axes.set_yticks(range(len(steps)), [_short(name, 34) for name, _ in steps])
    axes.set_xlabel(f"{scale}: from {base:.4g} (dotted) to {base + moved.sum():.4g}")
    return _neutral(figure)


def _signed(moved: Floats) -> list[str]:
    return [COLOURS["bad"] if step > 0 else COLOURS["info"] for step in moved]


def _rows(count: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.0, 0.8 + 0.3 * max(count, 2)), layout="constrained")
    return figure, figure.subplots()


def _points(axes: Axes, x: Any, y: Any, *, colours: Floats) -> None:
    known = ~np.isnan(colours)
    axes.scatter(x[known], y[known], c=colours[known], cmap=LOW_TO_HIGH, vmin=0, vmax=1, s=8, linewidths=0)
    axes.scatter(x[~known], y[~known], facecolors="none", edgecolors=NEUTRAL, s=9, linewidths=0.6)


def _swarm(x: Floats) -> Floats:
    """Return heights that spread points at like places: dense places get wide."""
    if len(x) < 2 or np.ptp(x) == 0:
        return np.linspace(-0.3, 0.3, len(x))
    cells = np.minimum(((x - x.min()) / np.ptp(x) * 60).astype(int), 59)
    height = np.zeros(len(x))
    counts = np.bincount(cells)
    for cell in np.flatnonzero(counts):
        inside = np.flatnonzero(cells == cell)
        reach = 0.38 * counts[cell] / counts.max()
        height[inside] = np.linspace(-reach, reach, len(inside)) if len(inside) > 1 else 0.0
    return height


def _ranked(values: Floats) -> Floats:
    """Return values as ranks from 0 to 1, equal ones alike; NaN stays."""
    known = np.isfinite(values)
    found = np.where(np.isnan(values), np.nan, 0.5)
    different, places = np.unique(values[known], return_inverse=True)
    if len(different) > 1:
        found[known] = places / (len(different) - 1)
    return found


def _left_of(x: Floats) -> float:
    known = x[np.isfinite(x)]
    return float(known.min() - 0.08 * (np.ptp(known) or 1.0)) if len(known) else 0.0


def _short(name: str, length: int = NAME_LENGTH) -> str:
    text = name.replace("$", r"\$")  # no mathematics
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _neutral(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.xaxis.label.set_color(NEUTRAL)
        axes.yaxis.label.set_color(NEUTRAL)
        axes.tick_params(colors=NEUTRAL, labelsize=8)
        axes.xaxis.label.set_fontsize(8)
        axes.yaxis.label.set_fontsize(8)
        for side, spine in axes.spines.items():
            spine.set_visible(side in {"left", "bottom"})
            spine.set_color(NEUTRAL)
    return figure
