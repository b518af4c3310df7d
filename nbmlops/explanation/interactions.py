"""Which other column changes what a column contributes, and how columns look as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nbmlops.explanation.subject import Floats

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
FEWEST = 5  # rows in a bin that says something
MOST_LEVELS = 12
ROUNDING = 1e-9


def numbers(column: pd.Series[Any]) -> tuple[Floats, list[str]]:
    """Return a column as numbers, NaN where it is null, and the labels of its codes (none for a number).

    Texts are coded in their order, categories in theirs, times as seconds since 1970.
    """
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.float64)
        return np.where(codes < 0, np.nan, codes), [str(level) for level in dtype.categories]
    if dtype.kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), []
    if dtype.kind == "M":
        moments = pd.to_datetime(column, utc=True)
        seconds = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        return seconds.to_numpy(dtype=np.float64, na_value=np.nan), []
    known = column.notna().to_numpy()
    levels, codes = np.unique([str(text) for text in column[known]], return_inverse=True)
    found = np.full(len(column), np.nan)
    found[known] = codes
    return found, levels.tolist()


def strongest(column: int, contributions: Floats, matrix: Floats) -> int:
    """Return the place of the column that goes along most with what `column` contributes at like values; -1 for none.

    Rows are put into bins by the value of `column`; within a bin its value hardly changes, so what is left of its
    contribution comes from the others. The correlations of a bin are weighted by its rows.

    Parameters
    ----------
    column : int
    contributions : ndarray, shape (n_rows,)
        Of `column`.
    matrix : ndarray, shape (n_rows, n_columns)
        All columns as numbers.
    """
    found = np.zeros(matrix.shape[1])
    for rows in _bins(matrix[:, column]):
        left = _without_trend(contributions[rows], matrix[rows, column])
        others = np.nan_to_num(matrix[rows] - np.nanmean(matrix[rows], axis=0), nan=0.0)
        scale = np.sqrt((left**2).sum() * (others**2).sum(axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            found += np.nan_to_num(np.abs(left @ others) / scale, posinf=0.0) * len(rows)
    found[column] = 0.0
    return int(found.argmax()) if found.max(initial=0.0) > 0 else -1


def _without_trend(contributions: Floats, values: Floats) -> Floats:
    """Return what the column's own value leaves of its contributions; zeros where that is rounding alone."""
    left, own = contributions - contributions.mean(), values - values.mean()
    spread = float(own @ own)
    left = left - own * (float(own @ left) / spread) if spread > 0 else left
    return np.where(np.abs(left) > ROUNDING * np.abs(contributions).max(), left, 0.0)


def _bins(values: Floats) -> list[npt.NDArray[np.int64]]:
    known = values[~np.isnan(values)]
    if len(np.unique(known)) <= MOST_LEVELS:
        places = [np.flatnonzero(values == level) for level in np.unique(known)]
    else:
        edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
        cell = np.where(np.isnan(values), -1, np.searchsorted(edges, values))
        places = [np.flatnonzero(cell == number) for number in range(BINS)]
    return [rows for rows in places if len(rows) >= FEWEST]
