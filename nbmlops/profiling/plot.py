"""The picture of a profile."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from nbmlops.core.display import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nbmlops.profiling.report import Level

NEUTRAL = COLOURS["muted"]


def draw(levels: Sequence[Level]) -> Figure:
    """Return latency percentiles on the left and requests per second on the right, readable on light and dark."""
    figure = Figure(figsize=(7.5, 2.6), layout="constrained")
    latency, rate = figure.subplots(1, 2)
    names = [str(level.concurrency) for level in levels]
    lines = (("p50", "ok", "o"), ("p95", "info", "s"), ("p99", "warn", "^"))
    for name, tone, marker in lines:
        values = [getattr(level, f"{name}_ms") for level in levels]
        latency.plot(names, values, color=COLOURS[tone], marker=marker, label=name)
    latency.set_ylabel("latency, ms")
    latency.set_ylim(bottom=0)
    latency.legend(frameon=False, labelcolor=NEUTRAL)
    bars = rate.bar(names, [level.rps for level in levels], color=COLOURS["info"], width=0.5)
    rate.bar_label(bars, fmt="{:,.0f}", color=NEUTRAL)
    rate.set_ylabel("requests/s")
    rate.margins(y=0.15)
    for axes in (latency, rate):
        _neutral(axes)
    return figure


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG with a transparent background."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, transparent=True)
    return buffer.getvalue()


def _neutral(axes: Axes) -> None:
    axes.set_xlabel("connections", color=NEUTRAL)
    axes.yaxis.label.set_color(NEUTRAL)
    axes.tick_params(colors=NEUTRAL)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(NEUTRAL)
