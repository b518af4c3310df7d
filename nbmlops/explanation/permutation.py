"""Any model at all: columns are told it one after the other, in a random order and back."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from nbmlops.explanation.origins import Places
from nbmlops.explanation.seam import Part, Prepared
from nbmlops.explanation.subject import Floats, Subject

if TYPE_CHECKING:
    import pandas as pd

BACKGROUND = 25  # rows
BATCH = 20_000  # rows in one call of the model
ORDERS = 1
"""Orders of the columns for each row, each also walked backwards."""
FEW, MANY_ORDERS = 5, 20
"""So few rows get so many orders."""


class Permutation:
    """Explains whatever answers with numbers, on its raw columns, of any dtype.

    For each row, each background row is turned into it column by column, in a random order and in the reverse one; what
    the output moves by is the column's. The steps of one walk add up to the whole way, so the sums are exact; each
    single value is an average over orders [1]_ and over the background.

    Whole columns are exchanged between frames, so texts, categories and times stay what they are.

    References
    ----------
    .. [1] E. Štrumbelj and I. Kononenko, "Explaining prediction models and individual predictions with feature
       contributions", Knowledge and Information Systems 41, 2014.
    """

    name = "permutation"
    apart = False

    def __init__(self, background: int = BACKGROUND, orders: int = ORDERS) -> None:
        self.background = background
        self.orders = orders

    def can_explain(self, subject: Subject) -> bool:
        """Return whether there are rows to fill unknown columns from."""
        return len(subject.background) > 0

    def prepare(self, subject: Subject) -> Prepared:
        """Return the averages over all walks."""
        draw = np.random.default_rng(subject.seed)
        count = min(self.background, len(subject.background))
        known = subject.background.iloc[np.sort(draw.choice(len(subject.background), count, replace=False))]
        orders = _orders(len(subject.columns), self.orders if len(subject.rows) > FEW else MANY_ORDERS, draw)
        step = max(BATCH // count, 1)

        def explain(rows: pd.DataFrame) -> Part:
            parts = []
            for first in range(0, len(rows), step):
                some = rows.iloc[first : first + step]
                parts.append(np.mean([_walk(subject, some, known, order=order) for order in orders], axis=0))
            whole = np.concatenate(parts)  # (n_rows, n_background, n_columns, n_outputs)
            return Part(whole.mean(axis=1), lambda places: whole[:, places].mean(axis=1))

        return Prepared(
            explain,
            base_values=subject.output(subject.scale, known).mean(axis=0),
            scale=subject.scale,
            background=count,
            how=f"averages over {2 * len(orders)} orders of the columns and {count} background rows",
        )


def _orders(columns: int, wanted: int, draw: np.random.Generator) -> list[Places]:
    """Return orders of the columns; all of them where these are few, for then the averages are exact."""
    if math.factorial(min(columns, 10)) <= 2 * wanted:
        return [np.array(order, dtype=np.int64) for order in permutations(range(columns))]
    return [draw.permutation(columns) for _ in range(wanted)]


def _walk(subject: Subject, rows: pd.DataFrame, known: pd.DataFrame, *, order: Places) -> Floats:
    """Return each step of the way there and back, averaged, shape (n_rows, n_background, n_columns, n_outputs)."""
    mine = rows.iloc[np.repeat(np.arange(len(rows)), len(known))].reset_index(drop=True)
    theirs = known.iloc[np.tile(np.arange(len(known)), len(rows))].reset_index(drop=True)
    there = _steps(subject, theirs, mine, order=order)
    back = -_steps(subject, mine, theirs, order=order[::-1])
    return ((there + back) / 2).reshape(len(rows), len(known), len(subject.columns), -1)


def _steps(subject: Subject, start: pd.DataFrame, end: pd.DataFrame, *, order: Places) -> Floats:
    """Return what the output moves by when columns of `start` become those of `end`, one after the other."""
    made = start.copy(deep=False)
    before = subject.output(subject.scale, made)
    moved = np.zeros((len(start), start.shape[1], before.shape[1]))
    for column in order:
        made.isetitem(column, end.iloc[:, column].array)
        after = subject.output(subject.scale, made)
        moved[:, column] = after - before
        before = after
    return moved
