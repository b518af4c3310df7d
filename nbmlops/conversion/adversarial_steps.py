"""Rows at the steps of a model's answers, found by halving: through scalers, imputers and whatever else comes before.

Between two rows that differ in one number and are answered differently, the number is halved until two neighbouring
floats remain between which the answer jumps. Where it changes smoothly there is no such jump, and no row. The fitted
object alone is asked, so this needs to know nothing of how it is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.adversarial import Column, Edit
from nbmlops.conversion.estimators import as_fitted
from nbmlops.conversion.failing import failures
from nbmlops.registry import sample

if TYPE_CHECKING:
    import pandas as pd

SEED = 20133
PAIRS = 100
PARTS = 8  # that a span is cut into at a time: 18 calls get from one float64 range to two neighbours
SECONDS = 2.0
ROUNDS = 26
SMOOTH = 1e-4  # of the answers' first difference; what falls below within `EARLY` rounds is no step
EARLY = 6
CELLS = 5_000_000
ULPS = 8
"""Numbers of the column's own precision that arithmetic before a step may shift it by."""
CLEAR = 8 * ULPS
"""Numbers from a step at which no arithmetic in float64 blurs it any more, and float32 does."""

Array = Any


@dataclass
class _Spans:
    """Rows with a number between two ends, at which the answers differ."""

    rows: Array
    columns: Array
    low: Array
    high: Array
    first: Array


def at_steps(
    model: Any, inputs: pd.DataFrame, columns: Sequence[Column], *, signature: Mapping[str, Any], exact: bool
) -> tuple[list[Edit], Array]:
    """Return changes that put a number of a row next to a step of the answers, and each one's place across it.

    Parameters
    ----------
    model : object
        The fitted object.
    inputs : pandas.DataFrame, shape (n_rows, n_features)
        The saved sample.
    columns : sequence of Column
    signature : mapping
    exact : bool
        Nothing computes before the steps, so that each side has one right answer.

    Returns
    -------
    list of Edit, ndarray of int
        The second is -1 for a row that has one right answer.
    """
    import numpy as np

    numeric = [column for column in columns if column.kind in {"float64", "float32", "integer"}]
    numeric = [column for column in numeric if column.low < column.high]
    if not numeric or PAIRS * (PARTS + 1) * inputs.shape[1] > CELLS:
        return [], np.zeros(0, dtype=np.int64)
    spans = _drawn(inputs, numeric)
    ask = _asking(model, inputs, numeric, signature=signature)
    try:
        spans = _halved(spans, numeric, ask)
    except failures():  # it refuses a number between two that it takes: nothing is known about such a model
        return [], np.zeros(0, dtype=np.int64)
    return _edits(spans, numeric, exact=exact)


def _drawn(inputs: pd.DataFrame, numeric: Sequence[Column]) -> _Spans:
    """Return rows and, for one column of each, its own number and another row's."""
    import numpy as np

    draw = np.random.default_rng(SEED)
    rows, others = draw.integers(0, len(inputs), (2, PAIRS))
    columns = np.arange(PAIRS) % len(numeric)
    values = np.stack([inputs[column.name].to_numpy(dtype=np.float64, na_value=np.nan) for column in numeric], axis=1)
    ends = np.sort([values[rows, columns], values[others, columns]], axis=0)
    usable = np.isfinite(ends).all(axis=0) & (ends[0] < ends[1])
    return _Spans(rows[usable], columns[usable], ends[0][usable], ends[1][usable], np.zeros(int(usable.sum())))


def _asking(
    model: Any, inputs: pd.DataFrame, numeric: Sequence[Column], *, signature: Mapping[str, Any]
) -> Callable[[Array, Array, Array], Array]:
    """Return a function of rows, places in `numeric` and numbers to put there, that gives answers as numbers."""
    import numpy as np
    import pandas as pd

    def ask(rows: Array, columns: Array, numbers: Array) -> Array:
        asked = inputs.iloc[rows].reset_index(drop=True)
        for place in np.unique(columns):
            name, here = numeric[place].name, columns == place
            values = asked[name].to_numpy().copy()
            values[here] = numbers[here]
            asked[name] = pd.Series(values, index=asked.index, dtype=asked[name].dtype)
        return _answers(model, as_fitted(asked, signature, model))

    return ask


def _answers(model: Any, rows: Any) -> Array:
    """Return a model's answers as numbers, shape (n_rows, n_numbers): probabilities, values, or one column a label."""
    import numpy as np

    if callable(getattr(model, "predict_proba", None)):
        found = model.predict_proba(rows)
        return np.concatenate(found, axis=1) if isinstance(found, list) else np.asarray(found, dtype=np.float64)
    answers = np.asarray(sample.predict(model, rows))
    answers = answers.reshape(len(answers), -1)
    if answers.dtype.kind in "fiub":
        return answers.astype(np.float64)
    return np.concatenate([answers == one for one in np.unique(answers.astype(str))], axis=1).astype(np.float64)


def _halved(spans: _Spans, numeric: Sequence[Column], ask: Callable[[Array, Array, Array], Array]) -> _Spans:
    """Return the spans that end in a step, as narrow as the time allows."""
    import numpy as np

    end = time.monotonic() + SECONDS
    for turn in range(ROUNDS):
        if not len(spans.rows) or time.monotonic() > end:
            break
        cuts = _cut(spans, numeric)
        answers = ask(np.tile(spans.rows, PARTS + 1), np.tile(spans.columns, PARTS + 1), cuts.ravel())
        jumps = np.abs(np.diff(answers.reshape(PARTS + 1, len(spans.rows), -1), axis=0)).max(axis=2)
        if turn == 0:
            spans.first = jumps.max(axis=0)
        best, kept = jumps.argmax(axis=0), jumps.max(axis=0) > (SMOOTH * spans.first if turn >= EARLY else 0.0)
        here = np.arange(len(spans.rows))
        low, high = cuts[best, here], cuts[best + 1, here]
        narrow = turn > 0 and bool(((low == spans.low) & (high == spans.high)).all())
        spans = _Spans(spans.rows[kept], spans.columns[kept], low[kept], high[kept], spans.first[kept])
        if narrow:
            break
    return spans


def _cut(spans: _Spans, numeric: Sequence[Column]) -> Array:
    """Return the ends of each span and the numbers between them that its column can hold, shape (PARTS + 1, n)."""
    import numpy as np

    steps = np.arange(PARTS + 1)[:, None] / PARTS
    cuts = np.clip(spans.low + (spans.high - spans.low) * steps, spans.low, spans.high)
    kinds = np.array([column.kind for column in numeric])[spans.columns]
    cuts = np.where(kinds == "float32", cuts.astype(np.float32).astype(np.float64), cuts)
    cuts = np.where(kinds == "integer", np.floor(cuts), cuts)
    cuts[0], cuts[-1] = spans.low, spans.high
    return cuts


def _edits(spans: _Spans, numeric: Sequence[Column], *, exact: bool) -> tuple[list[Edit], Array]:
    """Return both ends of each span and, in float64, the nearest numbers of float32."""
    import numpy as np

    edits: list[Edit] = []
    across: list[int] = []
    for row, place, low, high in zip(spans.rows, spans.columns, spans.low, spans.high, strict=True):
        column, start = numeric[place], len(edits)
        single = np.float32 if column.kind == "float32" else np.float64
        reach = ULPS * float(np.spacing(single(max(abs(low), abs(high)))))
        near = not exact and column.kind != "integer" and high - low <= reach
        for number in _around(column, float(low), float(high)):
            edits.append((int(row), column.name, int(number) if column.kind == "integer" else number))
            beside = near and low - reach <= number <= high + reach
            across.append(start + (1 if number <= low else 0) if beside else -1)
    return edits, np.array(across, dtype=np.int64)


def _around(column: Column, low: float, high: float) -> list[float]:
    """Return the ends, low and high first; for a float64 column, numbers just clear of them and the nearest float32."""
    import numpy as np

    if column.kind != "float64":
        return [low, high]
    near = np.float32(low)
    down, up = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    clear = CLEAR * float(np.spacing(max(abs(low), abs(high))))
    return [low, high, low - clear, high + clear, float(near), float(down), float(up)]
