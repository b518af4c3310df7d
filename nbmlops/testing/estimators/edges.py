"""Rows on both sides of the jumps in a model's answers, found by asking it: where a conversion goes wrong first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbmlops.testing.estimators.answers import scores

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.testing.estimators.case import Fitted

HALVINGS = 64  # from any two doubles of one sign and size to adjacent ones
SMALLEST_JUMP = 1e-4
TRIES = 6  # pairs that are looked at for each one wanted


def edges(fitted: Fitted, frame: pd.DataFrame, pairs: int, *, seed: int = 0) -> pd.DataFrame:
    """Return rows that differ from their neighbour by one step of a number, and in the answer.

    A number of a row is exchanged for another row's; where the answer changes, the interval between the two is halved
    until its ends are adjacent, as doubles or, where the case says so, as float32. No knowledge of the model is needed.

    Parameters
    ----------
    fitted : Fitted
    frame : DataFrame, shape (n_rows, n_features)
        Rows to begin with.
    pairs : int
        At most so many jumps are followed.

    Returns
    -------
    DataFrame, shape (at most 2 * pairs, n_features)
        Empty where no number is a float, or none moves the answer.
    """
    import pandas as pd

    names = [name for name in frame.columns if frame[name].dtype == np.float64]
    if not names or frame.empty or pairs == 0:
        return frame.head(0)
    rng = np.random.default_rng(seed)
    tried = pairs * TRIES
    rows = _Moved(frame.iloc[rng.integers(0, len(frame), tried)], rng.choice(np.array(names, dtype=object), tried))
    others = _Moved(frame.iloc[rng.integers(0, len(frame), tried)], rows.column)
    low, high = rows.values(), others.values()
    gap = np.abs(scores(fitted, rows.at(low)) - scores(fitted, rows.at(high))).max(axis=1)
    kept = np.flatnonzero((gap > SMALLEST_JUMP) & np.isfinite(low) & np.isfinite(high))[:pairs]
    if not len(kept):
        return frame.head(0)
    rows = _Moved(rows.rows.iloc[kept], rows.column[kept])
    low, high = _halved(fitted, rows, (low[kept], high[kept]))
    if fitted.case.jumps_in == "float32":
        low, high = _outwards(low, high), _outwards(high, low)
    return pd.concat([rows.at(low), rows.at(high)], ignore_index=True)


@dataclass(frozen=True)
class _Moved:
    """Rows with the column of each in which it is moved."""

    rows: pd.DataFrame
    column: np.ndarray[Any, Any]

    def values(self) -> np.ndarray[Any, Any]:
        return np.array([self.rows[name].iat[place] for place, name in enumerate(self.column)], dtype=np.float64)

    def at(self, values: np.ndarray[Any, Any]) -> pd.DataFrame:
        changed = self.rows.reset_index(drop=True)
        for name in dict.fromkeys(self.column):
            changed[name] = changed[name].mask(self.column == name, values)
        return changed


def _halved(fitted: Fitted, rows: _Moved, ends: tuple[Any, Any]) -> tuple[Any, Any]:
    low, high = ends
    at_low, at_high = scores(fitted, rows.at(low)), scores(fitted, rows.at(high))
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        if np.all((middle == low) | (middle == high)):
            break
        at_middle = scores(fitted, rows.at(middle))
        left = np.abs(at_middle - at_low).max(axis=1) >= np.abs(at_high - at_middle).max(axis=1)
        high, at_high = np.where(left, middle, high), np.where(left[:, None], at_middle, at_high)
        low, at_low = np.where(left, low, middle), np.where(left[:, None], at_low, at_middle)
    return low, high


def _outwards(end: Any, other: Any) -> np.ndarray[Any, Any]:
    """Return one end moved away from the other to the next float32 but one."""
    away = np.where(end < other, -np.inf, np.inf).astype(np.float32)
    return np.asarray(np.nextafter(np.nextafter(end.astype(np.float32), away), away), dtype=np.float64)
