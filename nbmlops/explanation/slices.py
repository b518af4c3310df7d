"""What matters where: importances within the levels of a column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nbmlops.core.records import Record
from nbmlops.explanation.interactions import numbers
from nbmlops.explanation.stability import magnitudes
from nbmlops.explanation.subject import Floats

if TYPE_CHECKING:
    import pandas as pd

COLUMNS, LEVELS, QUARTERS, FEWEST = 3, 6, 4, 5


@dataclass(frozen=True)
class Slice(Record):
    """Rows that have something in common.

    Attributes
    ----------
    column, label : str
        What they have in common: the column, and its value or range.
    rows : int
    output : float
        Mean of the model's output.
    importance : tuple of (str, float)
        The columns that move the output most in these rows, with the mean of their absolute contributions.
    """

    column: str
    label: str
    rows: int
    output: float
    importance: tuple[tuple[str, float], ...]


def slices(data: pd.DataFrame, values: Floats, outputs: Floats, *, by: Sequence[int], most: int = 3) -> list[Slice]:
    """Return the slices by levels (of texts and categories) or quarters (of numbers) of some columns.

    Parameters
    ----------
    data : DataFrame, shape (n_rows, n_columns)
    values : ndarray, shape (n_rows, n_columns, n_outputs)
    outputs : ndarray, shape (n_rows, n_outputs)
    by : sequence of int
        Places of the columns to slice by.
    most : int
        Columns to name in each slice.
    """
    found = []
    for place in by:
        for label, rows in _levels(data.iloc[:, place]):
            if len(rows) < FEWEST:
                continue
            inside = magnitudes(values[rows])
            top = tuple((str(data.columns[one]), float(inside[one])) for one in np.argsort(-inside)[:most])
            name = str(data.columns[place])
            found.append(Slice(name, label, len(rows), float(outputs[rows, -1].mean()), top))
    return found


def _levels(column: pd.Series[Any]) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    values, labels = numbers(column)
    known = values[~np.isnan(values)]
    different, counts = np.unique(known, return_counts=True)
    if labels or len(different) <= QUARTERS:
        for level in different[np.argsort(-counts, kind="stable")][:LEVELS]:
            yield (labels[int(level)] if labels else f"{level:g}"), np.flatnonzero(values == level)
    else:
        edges = np.quantile(known, np.linspace(0, 1, QUARTERS + 1))
        cell = np.clip(np.searchsorted(edges[1:-1], values, side="left"), 0, QUARTERS - 1)
        for number in range(QUARTERS):
            label = f"{edges[number]:.4g} to {edges[number + 1]:.4g}"
            yield label, np.flatnonzero((cell == number) & ~np.isnan(values))
    if np.isnan(values).any():
        yield "missing", np.flatnonzero(np.isnan(values))
