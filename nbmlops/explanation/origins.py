"""From which raw column each prepared column comes, found by changing the raw columns one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nbmlops.core.quiet import quiet_answers

if TYPE_CHECKING:
    import pandas as pd

ROWS = 200
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Origins:
    """The raw column of each prepared column.

    Attributes
    ----------
    raw : ndarray of int, shape (n_prepared,)
        Place of the raw column.
    mixed : tuple of int
        Prepared columns that depend on several raw ones, as those of a principal component analysis do.
    """

    raw: Places
    mixed: tuple[int, ...] = ()

    def check(self) -> None:
        """Raise ValueError where contributions of prepared columns can't be told apart by raw column."""
        if self.mixed:
            raise ValueError(f"{len(self.mixed)} of its prepared columns mix several raw ones")

    def summed(self, values: npt.NDArray[np.float64], columns: int) -> npt.NDArray[np.float64]:
        """Return contributions of prepared columns, summed over those of one raw column.

        Parameters
        ----------
        values : ndarray, shape (n_rows, n_prepared, n_outputs)
        columns : int
            Number of raw columns.
        """
        found = np.zeros((len(values), columns, values.shape[2]))
        for place, raw in enumerate(self.raw):
            found[:, raw] += values[:, place]
        return found


def origins(prepare: Callable[[pd.DataFrame], Any], background: pd.DataFrame, names: Sequence[str] = ()) -> Origins:
    """Return which raw column moves which prepared one.

    Each raw column in turn gets the values of other rows. That needs no knowledge of the steps in between, so it holds
    for any of them. A prepared column that never moves (a category that these rows lack) goes to the raw column that
    its name begins with, or else to that of its neighbour: one-hot columns of a raw column lie side by side.

    Parameters
    ----------
    prepare : callable
        From a frame of raw columns to a matrix of prepared ones.
    background : DataFrame, shape (n_rows, n_columns)
    names : sequence of str, optional
        Of the prepared columns.
    """
    with quiet_answers():
        rows = background.iloc[:ROWS].reset_index(drop=True)
        before = _dense(prepare(rows))
        moved = np.zeros((rows.shape[1], before.shape[1]), dtype=bool)
        for place in range(rows.shape[1]):
            for shift in (1, max(len(rows) // 3, 2)):
                changed = rows.copy(deep=False)
                order = np.roll(np.arange(len(rows)), shift)
                changed.isetitem(place, rows.iloc[:, place].take(order).array)
                moved[place] |= _different(before, _dense(prepare(changed))).any(axis=0)
    count = moved.sum(axis=0)
    raw = np.where(count > 0, moved.argmax(axis=0), -1)
    named = list(names) if len(names) == len(raw) else []
    return Origins(_filled(raw, [str(name) for name in rows.columns], named), tuple(np.flatnonzero(count > 1).tolist()))


def _filled(raw: Places, columns: list[str], names: list[str]) -> Places:
    """Return `raw` with a raw column for every prepared one."""
    for place in np.flatnonzero(raw < 0) if names else ():
        name = names[place].rpartition("__")[2]
        begins = [other for other, column in enumerate(columns) if name.startswith(column)]
        raw[place] = max(begins, key=lambda other: len(columns[other]), default=-1)
    left = np.flatnonzero(raw < 0)
    unused = [place for place in range(len(columns)) if place not in set(raw.tolist())]
    if len(raw) == len(columns) and len(left) == len(unused):  # one each: only their order may differ
        raw[left] = unused
    known = np.flatnonzero(raw >= 0)
    for place in np.flatnonzero(raw < 0):
        raw[place] = raw[known[np.abs(known - place).argmin()]] if len(known) else 0
    return raw


def _dense(made: Any) -> npt.NDArray[Any]:
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made)


def _different(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if before.dtype.kind in "fc":
        return np.asarray(~((before == after) | (np.isnan(before) & np.isnan(after))))
    return np.asarray((before != after) & ~((before != before) & (after != after)))
