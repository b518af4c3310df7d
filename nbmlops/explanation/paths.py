"""Exact Shapley values of an ensemble of trees, from the paths to its leaves.

A leaf with value v is reached when the conditions of all columns on its path hold. Told only some columns, the trees
follow both ways at a split on another one, weighted by how many training rows went there; the leaf is then worth v
times a product with one factor a column: 1 or 0 where the column is known, its share z of the rows where it is not.
The Shapley value of column i in such a product is an integral over one variable (Owen's multilinear extension),

    v (o_i - z_i) ∫₀¹ Π_{j≠i} (z_j + (o_j - z_j) q) dq,

whose integrand is a polynomial, so that Gauss-Legendre quadrature gives it exactly. No subsets are counted, every
factor is positive, and leaves of one length are done at once. Where there are more rows than ways for a leaf's
conditions to hold or not, each way is worked out once and looked up.

References
----------
.. [1] S. M. Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature
   Machine Intelligence 2, 2020 (the path-dependent values that are computed here).
.. [2] G. Owen, "Multilinear extensions of games", Management Science 18(5), 1972.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.explanation.subject import Floats

CATEGORIES = 256
"""Codes that a set of categories tells apart; the place after them stands for a missing or unknown one."""

CHUNK = 2_000_000  # numbers in one intermediate array


@dataclass(frozen=True)
class Paths:
    """The leaves of an ensemble, each with one condition for every column on its path.

    Attributes
    ----------
    column : ndarray of int, shape (n_conditions,)
        All arrays of conditions are ordered by leaf.
    low, high : ndarray, shape (n_conditions,)
        The condition holds for ``low < x <= high``; NaN where that side is open.
    missing : ndarray of bool, shape (n_conditions,)
        Whether it holds for NaN.
    share : ndarray, shape (n_conditions,)
        Part of the training rows that kept to the path at the column's splits, above 0.
    category : ndarray of int, shape (n_conditions,)
        Row of `sets` that decides instead of the interval; -1 where the column is a number.
    sets : ndarray of bool, shape (n_sets, 257)
        Whether each code is in the set; the last one is a missing, negative or too large code.
    start : ndarray of int, shape (n_leaves,)
        Place of each leaf's first condition.
    value : ndarray, shape (n_leaves, n_outputs)
    base : ndarray, shape (n_outputs,)
        The ensemble's answer where no column is known.
    """

    column: npt.NDArray[np.int64]
    low: Floats
    high: Floats
    missing: npt.NDArray[np.bool_]
    share: Floats
    category: npt.NDArray[np.int64]
    sets: npt.NDArray[np.bool_]
    start: npt.NDArray[np.int64]
    value: Floats
    base: Floats

    def contributions(self, rows: Any) -> Floats:
        """Return what each column adds to each output, shape (n_rows, n_columns, n_outputs).

        Parameters
        ----------
        rows : ndarray, shape (n_rows, n_columns)
            As the trees compare them.
        """
        rows = np.asarray(rows, dtype=np.float64)
        found = np.zeros((len(rows), rows.shape[1], self.value.shape[1]))
        lengths = np.diff(np.append(self.start, len(self.column)))
        for length in np.unique(lengths):
            leaves = np.flatnonzero(lengths == length)
            tabled = 2**length <= len(rows)  # fewer ways to hold or not than rows: each is worked out once
            cost = (2**length * ((length + 1) // 2) if tabled else 1) * length
            step = max(CHUNK // int(max(cost, length * found[0].size)), 1)
            for first in range(0, len(leaves), step):
                self._add(found, rows, leaves[first : first + step], tabled=tabled)
        return found

    def _add(self, found: Floats, rows: Floats, leaves: npt.NDArray[np.int64], *, tabled: bool) -> None:
        """Add what leaves with equally many conditions contribute."""
        places = self.start[leaves][:, None] + np.arange(self._length(leaves[0]))  # (n_leaves, n_conditions)
        share, columns = self.share[places], self.column[places].ravel()
        length = places.shape[1]
        table = weights_of((np.arange(2**length)[:, None] >> np.arange(length)) & 1, share[:, None]) if tabled else None
        to_columns = np.zeros((self.value.shape[1], len(columns), rows.shape[1]))
        to_columns[:, np.arange(len(columns)), columns] = np.repeat(self.value[leaves].T, length, axis=1)
        step = max(CHUNK // (places.size * (1 if tabled else (length + 1) // 2)), 1)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            held = self.holds(rows[part], places.ravel()).reshape(-1, *places.shape)
            if table is None:
                weights = weights_of(held, share)
            else:
                ways = held.astype(np.float32) @ (2.0 ** np.arange(length, dtype=np.float32))  # exact, and BLAS does it
                at = ways.astype(np.int64) + 2**length * np.arange(len(leaves))
                weights = table.reshape(-1, length).take(at, axis=0)
            found[part] += np.moveaxis(weights.reshape(len(held), -1) @ to_columns, 0, 2)

    def _length(self, leaf: int) -> int:
        after = self.start[leaf + 1] if leaf + 1 < len(self.start) else len(self.column)
        return int(after - self.start[leaf])

    def holds(self, rows: Floats, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return whether each of some conditions holds, shape (n_rows, n_places)."""
        values = rows[:, self.column[places]]
        with np.errstate(invalid="ignore"):
            held: npt.NDArray[np.bool_] = ~(values <= self.low[places]) & ~(values > self.high[places])
        null = np.isnan(values)
        if null.any():
            held = np.where(null, self.missing[places], held)
        category = self.category[places]
        coded = np.flatnonzero(category >= 0)
        if len(coded):
            codes = values[:, coded]
            known = (codes >= 0) & (codes < CATEGORIES)  # false for NaN too
            held[:, coded] = self.sets[category[coded], np.where(known, codes, CATEGORIES).astype(np.int64)]
        return held


def weights_of(held: npt.NDArray[Any], share: Floats) -> Floats:
    """Return the Shapley values of a product's factors, each ``share`` where unknown and ``held``, 1 or 0, where known.

    Parameters
    ----------
    held, share : ndarray, shape (…, n_factors)
        Alike after broadcasting.
    """
    length = share.shape[-1]
    points, weights = np.polynomial.legendre.leggauss((length + 1) // 2)
    gain = held - share
    factors = share[..., None] + gain[..., None] * ((points + 1) / 2)
    others = factors.prod(axis=-2, keepdims=True) / factors
    return np.asarray((others @ (weights / 2)) * gain)
