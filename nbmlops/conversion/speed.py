"""How fast a converted model is against the fitted object, in one process, within a bounded time."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.core.records import Record
from nbmlops.registry import sample

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.conversion.onnx_model import OnnxModel

SIZES = (1, 32, 1000, 10_000)
ROTATION = 64
SECONDS_EACH = 0.05
FEWEST = 3
FEWEST_SMALL = 9
"""Turns of calls with few rows: what a busy machine does to a few of them must not decide."""
MANY = 1000  # rows
LONGEST = 0.5
"""Seconds that one call may be expected to take; a larger batch is not measured."""


@dataclass(frozen=True)
class Speed(Record):
    """Medians of one call, the two taking turns in one process.

    Attributes
    ----------
    rows : tuple of int
        Rows in a call, ascending. A size that would have taken too long is absent: nothing is claimed about it.
    fitted_ms, onnx_ms : tuple of float, milliseconds
        Time of the fitted object's own ``predict``, and of ONNX Runtime with one thread.
    """

    rows: tuple[int, ...]
    fitted_ms: tuple[float, ...]
    onnx_ms: tuple[float, ...]

    @property
    def ratios(self) -> dict[int, float]:
        """Rows in a call -> how many times as fast ONNX Runtime answers it."""
        return {rows: fitted / onnx for rows, fitted, onnx in zip(self.rows, self.fitted_ms, self.onnx_ms, strict=True)}

    @property
    def one_row(self) -> float:
        """How many times as fast ONNX Runtime answers one row."""
        return self.at(1)

    def at(self, rows: int) -> float:
        """Return how many times as fast ONNX Runtime answers `rows` rows, or the nearest number that was measured."""
        return self.ratios[self.nearest(rows)]

    def nearest(self, rows: int) -> int:
        """Return the measured number of rows that is nearest by ratio."""
        return min(self.rows, key=lambda size: max(size, rows) / min(size, rows))

    def __str__(self) -> str:
        return ", ".join(
            f"{ratio:,.3g} × at {rows:,} row{'s' if rows > 1 else ''}" for rows, ratio in self.ratios.items()
        )


def speed(model: Any, onnx: OnnxModel, rows: Any, *, frame: pd.DataFrame, sizes: Sequence[int] = SIZES) -> Speed:
    """Measure calls of several sizes, medians over rotating rows, within a few seconds.

    The fitted object gets the rows that a server would have to build for it; ONNX Runtime gets arrays, as the server
    decodes them. Where there are fewer rows than a call takes, they are repeated.

    Parameters
    ----------
    model : object
        The fitted object.
    onnx : OnnxModel
    rows : DataFrame, Series or ndarray, shape (n_rows, n_features)
        In the form that the fitted object takes.
    frame : pandas.DataFrame, shape (n_rows, n_features)
        The same rows as columns.
    sizes : sequence of int
        Rows in a call.
    """
    done: list[int] = []
    fitted: list[float] = []
    converted: list[float] = []
    for size in sorted(set(sizes)):
        if max(_expected(done, fitted, size), _expected(done, converted, size)) / 1000 > LONGEST:
            break
        theirs, ours = _medians(
            (lambda payload: sample.predict(model, payload), _rotating(rows, size)),
            (onnx.run, _fed(onnx, frame, size)),
            fewest=FEWEST if size >= MANY else FEWEST_SMALL,
        )
        done.append(size)
        fitted.append(theirs)
        converted.append(ours)
    return Speed(rows=tuple(done), fitted_ms=tuple(fitted), onnx_ms=tuple(converted))


def _expected(sizes: Sequence[int], times: Sequence[float], size: int) -> float:
    """Return how long a call may be expected to take, from what the rows between the last two sizes took."""
    if len(sizes) < 2:
        return 0.0
    each = max((times[-1] - times[-2]) / (sizes[-1] - sizes[-2]), 0.0)
    return times[-1] + each * (size - sizes[-1])


def _rotating(rows: Any, size: int) -> list[Any]:
    import numpy as np

    take = rows.iloc if hasattr(rows, "iloc") else rows
    if size >= len(rows):
        return [take[np.resize(np.arange(len(rows)), size)]]
    starts = range(0, len(rows) - size + 1, size)
    return [take[start : start + size] for start in itertools.islice(starts, ROTATION)]


def _fed(onnx: OnnxModel, frame: pd.DataFrame, size: int) -> list[dict[str, Any]]:
    """Return what `_rotating` does, as the arrays that ONNX Runtime is fed: built once and taken apart."""
    pieces = _rotating(frame, size)
    if len(pieces) == 1:
        return [onnx.feeds(pieces[0])]
    whole = onnx.feeds(frame.iloc[: size * len(pieces)])
    starts = range(0, size * len(pieces), size)
    return [{name: array[start : start + size] for name, array in whole.items()} for start in starts]


Turn = tuple[Callable[[Any], object], Sequence[Any]]


def _medians(*turns: Turn, fewest: int) -> tuple[float, ...]:
    """Return the median of each call in milliseconds; a repeated payload would flatter caches."""
    rotations = [(call, itertools.cycle(payloads)) for call, payloads in turns]
    times: list[list[float]] = [[] for _ in turns]
    for call, payloads in rotations:
        call(next(payloads))  # the first call allocates
    end = time.perf_counter() + SECONDS_EACH * len(turns)
    while len(times[0]) < fewest or time.perf_counter() < end:
        for place, (call, payloads) in enumerate(rotations):
            payload = next(payloads)
            start = time.perf_counter()
            call(payload)
            times[place].append(time.perf_counter() - start)
    return tuple(statistics.median(each) * 1000 for each in times)
