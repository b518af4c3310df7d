"""How far importances move when other rows, and another background, had been drawn: what is noise is not read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nbmlops.core.records import Record
from nbmlops.explanation.origins import Places
from nbmlops.explanation.subject import Floats

DRAWS = 200
LEVEL = 0.95


@dataclass(frozen=True)
class Importance(Record):
    """How much one column moves the model's output.

    Attributes
    ----------
    column : str
    value : float
        Mean of the absolute contributions over all rows and outputs, on the explanation's scale.
    low, high : float
        Where that mean lies in 95 % of the draws.
    rank : int
        1 for the largest.
    best_rank, worst_rank : int
        In 95 % of the draws the rank is one of these or lies between them.
    """

    column: str
    value: float
    low: float
    high: float
    rank: int
    best_rank: int
    worst_rank: int

    @property
    def settled(self) -> bool:
        """Whether the rank is the same in 95 % of the draws."""
        return self.best_rank == self.worst_rank


def magnitudes(values: Floats) -> Floats:
    """Return the mean absolute contribution of each column, shape (n_columns,)."""
    return np.asarray(np.abs(values).mean(axis=(0, 2)))


def importances(
    columns: Sequence[str],
    values: Floats,
    *,
    rebased: Callable[[Places], Floats] | None = None,
    background: int = 0,
    seed: int = 0,
) -> tuple[Importance, ...]:
    """Return the columns by falling importance, each with what rows and background leave open.

    Every draw takes as many rows, and as many background rows, with replacement (the bootstrap [1]_).

    Parameters
    ----------
    columns : sequence of str
    values : ndarray, shape (n_rows, n_columns, n_outputs)
    rebased : callable, optional
        Takes places of background rows and gives `values` as they are with these alone.
    background : int
        Rows of background to draw from.
    seed : int

    References
    ----------
    .. [1] B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979.
    """
    found = magnitudes(values)
    draws = drawn(values, rebased=rebased, background=background, seed=seed)
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(draws, edges, axis=0)
    ranks = np.argsort(np.argsort(-draws, axis=1), axis=1) + 1
    best = np.quantile(ranks, edges[0], axis=0, method="higher")
    worst = np.quantile(ranks, edges[1], axis=0, method="lower")
    return tuple(
        Importance(
            column=str(columns[place]),
            value=float(found[place]),
            low=float(low[place]),
            high=float(high[place]),
            rank=rank,
            best_rank=int(min(best[place], rank)),
            worst_rank=int(max(worst[place], rank)),
        )
        for rank, place in enumerate(np.argsort(-found, kind="stable"), start=1)
    )


def drawn(
    values: Floats, *, rebased: Callable[[Places], Floats] | None = None, background: int = 0, seed: int = 0
) -> Floats:
    """Return the importances of each draw, shape (n_draws, n_columns)."""
    draw = np.random.default_rng(seed)
    rows = len(values)
    absolute = np.abs(values).mean(axis=2)
    found = np.empty((DRAWS, values.shape[1]))
    for number in range(DRAWS):
        if rebased is not None and background:
            absolute = np.abs(rebased(draw.integers(0, background, background))).mean(axis=2)
        found[number] = np.bincount(draw.integers(0, rows, rows), minlength=rows) @ absolute / rows
    return found


def unsettled(importance: Sequence[Importance]) -> tuple[tuple[str, str], ...]:
    """Return neighbours in the order whose intervals of ranks overlap: nobody should read their order."""
    pairs = pairwise(importance)
    return tuple((one.column, other.column) for one, other in pairs if one.worst_rank >= other.best_rank)
