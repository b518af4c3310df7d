"""How fast a converted model is against the fitted object, in one process, within a bounded time."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.report import Speed

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.conversion.onnx_model import OnnxModel

BATCH = 1000
ROTATION = 64
SECONDS_EACH = 0.1
FEWEST = 3


def speed(model: Any, onnx: OnnxModel, rows: Any, *, frame: pd.DataFrame) -> Speed:
    """Measure one row and a batch of rows, medians over rotating rows, in well under a second.

    The fitted object gets the rows that a server would have to build for it; ONNX Runtime gets arrays, as the server
    decodes them.

    Parameters
    ----------
    model : object
        The fitted object.
    onnx : OnnxModel
    rows : DataFrame, Series or ndarray, shape (n_rows, n_features)
        In the form that the fitted object takes.
    frame : pandas.DataFrame, shape (n_rows, n_features)
        The same rows as columns.
    """
    batch = min(BATCH, len(frame))
    fitted, converted = [], []
    for size in (1, batch):
        fitted.append(_median(model.predict, _rotating(rows, size)))
        converted.append(_median(onnx.run, [onnx.feeds(piece) for piece in _rotating(frame, size)]))
    return Speed(rows=(1, batch), fitted_ms=(fitted[0], fitted[1]), onnx_ms=(converted[0], converted[1]))


def _rotating(rows: Any, size: int) -> list[Any]:
    starts = range(0, max(len(rows) - size + 1, 1), size)
    take = rows.iloc if hasattr(rows, "iloc") else rows
    return [take[start : start + size] for start in itertools.islice(starts, ROTATION)]


def _median(call: Callable[[Any], object], payloads: Iterable[Any]) -> float:
    """Return the median of a call in milliseconds; a repeated payload would flatter caches."""
    rotation = itertools.cycle(payloads)
    call(next(rotation))  # the first call allocates
    times: list[float] = []
    end = time.perf_counter() + SECONDS_EACH
    while len(times) < FEWEST or time.perf_counter() < end:
        payload = next(rotation)
        start = time.perf_counter()
        call(payload)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000
