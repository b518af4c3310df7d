"""Compare a converted or served model's answers with the fitted object's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbmlops.core.records import Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from nbmlops.registry import Reference

TOLERANCE = 1e-5
WORST_ROWS = 5
INCOMPARABLE = sys.float_info.max
"""The difference to a NaN, an infinity or an answer of another shape; JSON has no infinity."""


@dataclass(frozen=True)
class Fidelity(Record):
    """How far answers agree, row by row.

    Attributes
    ----------
    rows : int
    labels_equal, labels_different : int
        Rows whose label is, or is not, the reference's. A regression has no labels: both count rows within tolerance.
    max_difference : float
        The largest difference of a probability; of a regression's values, relative to the value. The largest float
        where the shapes differ or one side alone is NaN.
    worst : tuple of int
        Positions of the rows that differ most, at most five, those with another label first.
    tolerance : float
        What `max_difference` may be.
    """

    rows: int
    labels_equal: int
    labels_different: int
    max_difference: float
    worst: tuple[int, ...] = ()
    tolerance: float = TOLERANCE

    @property
    def agrees(self) -> bool:
        """Every label is equal and no difference is above the tolerance."""
        return self.rows > 0 and self.labels_different == 0 and self.max_difference <= self.tolerance


def agreement(reference: Reference, predictions: npt.ArrayLike, probabilities: npt.ArrayLike | None = None) -> Fidelity:
    """Compare answers with those of the reference, in the same order of rows.

    Parameters
    ----------
    reference : Reference
        The saved sample with the fitted object's own answers.
    predictions : array_like, shape (n_rows,) or (n_rows, n_outputs)
        Labels, or the values of a regression.
    probabilities : array_like, shape (n_rows, n_classes), optional
        Compared where the reference has them; a missing side is a disagreement.
    """
    import numpy as np

    expected = np.asarray(reference.predictions)
    received = _shaped(np.asarray(predictions), expected)
    classes = reference.probabilities is not None or reference.classes is not None
    if classes or expected.dtype.kind not in "fc":
        difference = np.zeros(len(expected))
        different = _differing_labels(expected, received)
    else:
        difference = _differences(expected, received, relative=True)
        different = difference > TOLERANCE
    if reference.probabilities is not None:
        given = np.full(1, np.nan) if probabilities is None else np.asarray(probabilities)
        difference = np.maximum(difference, _differences(np.asarray(reference.probabilities), given, relative=False))
    order = np.lexsort((-difference, ~different))
    bad = [int(row) for row in order[:WORST_ROWS] if different[row] or difference[row] > 0]
    return Fidelity(
        rows=len(expected),
        labels_equal=int((~different).sum()),
        labels_different=int(different.sum()),
        max_difference=float(difference.max(initial=0.0)),
        worst=tuple(bad),
    )


def _shaped(received: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return `received` as a column or row of the same values where only that differs from `expected`."""
    one_each = received.size == expected.size and received.ndim != expected.ndim
    return received.reshape(expected.shape) if one_each else received


def _differing_labels(expected: np.ndarray, received: np.ndarray) -> np.ndarray:
    import numpy as np

    if received.shape != expected.shape:
        return np.ones(len(expected), dtype=bool)
    # Text compares as text and numbers as numbers, whatever their width: object arrays do both.
    unequal = np.asarray(expected.astype(object) != received.astype(object), dtype=bool)
    return np.asarray(unequal.any(axis=tuple(range(1, unequal.ndim))))


def _differences(expected: np.ndarray, received: np.ndarray, *, relative: bool) -> np.ndarray:
    import numpy as np

    if received.shape != expected.shape or received.dtype.kind not in "fiub":
        return np.full(len(expected), INCOMPARABLE)
    left, right = expected.astype(np.float64), received.astype(np.float64)
    scale = np.ones_like(left)
    if relative:
        # Values near zero are measured against the largest one, so that a tiny unit of measure hides nothing.
        floor = min(1.0, float(np.nanmax(np.abs(left), initial=0.0)) or 1.0)
        scale = np.maximum(np.abs(left), floor)
    both = np.isnan(left) & np.isnan(right)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.where(both | (left == right), 0.0, np.abs(left - right) / scale)
    return np.asarray(
        np.nan_to_num(gap, nan=INCOMPARABLE, posinf=INCOMPARABLE).max(axis=tuple(range(1, gap.ndim)), initial=0.0)
    )
