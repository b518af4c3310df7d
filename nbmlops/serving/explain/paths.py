"""Exact Shapley values of an ensemble of trees, from the paths to its leaves.

A leaf with value v is reached when the conditions of all columns on its path hold. Told only some columns, the trees
follow both ways at a split on another one, weighted by how many training rows went there; the leaf is then worth v
times a product with one factor a column: 1 or 0 where the column is known, its share z of the rows where it is not.
The Shapley value of column i in such a product is an integral over one variable (Owen's multilinear extension),

    v (o_i - z_i) ∫₀¹ Π_{j≠i} (z_j + (o_j - z_j) q) dq,

whose integrand is a polynomial, so that Gauss-Legendre quadrature gives it exactly. No subsets are counted, every
factor is positive, and all leaves are done at once.

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

Floats = npt.NDArray[np.float64]

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
        if not len(self.start):
            return found
        longest = int(np.diff(np.append(self.start, len(self.column))).max())
        points, weights = np.polynomial.legendre.leggauss((longest + 1) // 2)
        points, weights = (points + 1) / 2, weights / 2
        step = max(CHUNK // (len(self.column) * len(points)), 1)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            found[part] = self._of(rows[part], points, weights)
        return found

    def _of(self, rows: Floats, points: Floats, weights: Floats) -> Floats:
        gain = self.holds(rows) - self.share  # o - z, shape (n_rows, n_conditions)
        factors = self.share + gain[:, None, :] * points[:, None]  # (n_rows, n_points, n_conditions)
        whole = np.multiply.reduceat(factors, self.start, axis=2)
        lengths = np.diff(np.append(self.start, len(self.column)))
        others = np.repeat(whole, lengths, axis=2) / factors
        weight = np.einsum("k,rkc->rc", weights, others) * gain
        leaf = np.repeat(np.arange(len(self.start)), lengths)
        found = np.zeros((len(rows), rows.shape[1], self.value.shape[1]))
        for output in range(self.value.shape[1]):
            terms = weight * self.value[leaf, output]
            for row, values in enumerate(terms):
                found[row, :, output] = np.bincount(self.column, values, rows.shape[1])
        return found

    def holds(self, rows: Floats) -> npt.NDArray[np.bool_]:
        """Return whether each condition holds, shape (n_rows, n_conditions)."""
        values = rows[:, self.column]
        with np.errstate(invalid="ignore"):
            inside = ~(values <= self.low) & ~(values > self.high)
        held = np.where(np.isnan(values), self.missing, inside)
        coded = np.flatnonzero(self.category >= 0)
        if len(coded):
            codes = values[:, coded]
            known = (codes >= 0) & (codes < CATEGORIES)  # false for NaN too
            places = np.where(known, codes, CATEGORIES).astype(np.int64)
            held[:, coded] = self.sets[self.category[coded], places]
        return held
