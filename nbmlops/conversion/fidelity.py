"""Compare a converted or served model's answers with the fitted object's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.core.records import Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from nbmlops.registry import Reference

TOLERANCE = 1e-5
WORST_ROWS = 5
TAIL = 0.999
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
    p999_difference : float
        The difference that all but one row in a thousand stay within.
    ties : int
        Rows with another label to which the fitted object itself gave the same probability, within tolerance, or a
        decision value of zero. They are counted neither as equal nor as different.
    """

    rows: int
    labels_equal: int
    labels_different: int
    max_difference: float
    worst: tuple[int, ...] = ()
    tolerance: float = TOLERANCE
    p999_difference: float = 0.0
    ties: int = 0

    @property
    def agrees(self) -> bool:
        """Every label but exact ties is equal and no difference is above the tolerance."""
        return self.rows > 0 and self.labels_different == 0 and self.max_difference <= self.tolerance


@dataclass(frozen=True)
class RowByRow:
    """How each row's answer agrees.

    Attributes
    ----------
    difference : ndarray, shape (n_rows,)
    different, tied : ndarray of bool, shape (n_rows,)
        Rows with another label, and those of them that are exact ties.
    """

    difference: np.ndarray[Any, Any]
    different: np.ndarray[Any, Any]
    tied: np.ndarray[Any, Any]

    @property
    def wrong(self) -> np.ndarray[Any, Any]:
        """Rows that a faithful model does not have."""
        import numpy as np

        return np.asarray((self.different & ~self.tied) | (self.difference > TOLERANCE))

    def summary(self) -> Fidelity:
        """Return the counts over all rows."""
        import numpy as np

        flipped = self.different & ~self.tied
        order = np.lexsort((-self.difference, ~flipped))
        bad = [int(row) for row in order[:WORST_ROWS] if flipped[row] or self.difference[row] > 0]
        some = len(self.difference) > 0
        return Fidelity(
            rows=len(self.difference),
            labels_equal=int((~self.different).sum()),
            labels_different=int(flipped.sum()),
            max_difference=float(self.difference.max(initial=0.0)),
            worst=tuple(bad),
            p999_difference=float(np.quantile(self.difference, TAIL, method="higher")) if some else 0.0,
            ties=int(self.tied.sum()),
        )


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
    return row_by_row(reference, predictions, probabilities).summary()


def row_by_row(reference: Any, predictions: npt.ArrayLike, probabilities: npt.ArrayLike | None = None) -> RowByRow:
    """Return what `agreement` sums up.

    Parameters
    ----------
    reference : Reference or Answers
        An `nbmlops.conversion.evidence.Answers` also has `tied`, which tells a tie without probabilities.
    predictions, probabilities : array_like
        As in `agreement`.
    """
    import numpy as np

    expected = np.asarray(reference.predictions)
    received = _shaped(np.asarray(predictions), expected)
    classes = reference.probabilities is not None or reference.classes is not None
    tied = np.zeros(len(expected), dtype=bool)
    if classes or expected.dtype.kind not in "fc":
        difference = np.zeros(len(expected))
        different = _differing_labels(expected, received)
        if different.any() and received.shape == expected.shape:
            tied[different] = _ties(reference, received, different)
    else:
        difference = _differences(expected, received, relative=True)
        different = difference > TOLERANCE
    if reference.probabilities is not None:
        given = np.full(1, np.nan) if probabilities is None else np.asarray(probabilities)
        difference = np.maximum(difference, _differences(np.asarray(reference.probabilities), given, relative=False))
    return RowByRow(difference, different, tied)


def _ties(reference: Any, received: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return which of `rows` have a label that the fitted object likes as much as its own."""
    import numpy as np

    if reference.probabilities is not None and received.ndim == 1:
        return alike(np.asarray(reference.probabilities)[rows], reference.classes or (), received[rows])
    tied = getattr(reference, "tied", None)
    return np.zeros(int(rows.sum()), dtype=bool) if tied is None else np.asarray(tied(rows, received[rows]))


def alike(likings: np.ndarray, classes: Any, received: np.ndarray) -> np.ndarray:
    """Return where a label is as likely as the likeliest, within tolerance.

    Parameters
    ----------
    likings : ndarray, shape (n_rows, n_classes) or (n_rows,)
        Probabilities or decision values. One a row is a decision between two classes, or of an outlier, with its
        border at zero.
    classes : sequence
        In the order of the columns of `likings`.
    received : ndarray, shape (n_rows,)
    """
    import numpy as np

    if likings.ndim == 1:
        return np.asarray(np.abs(likings) <= TOLERANCE)
    places = {label: place for place, label in enumerate(np.asarray(classes, dtype=object).tolist())}
    chosen = np.array([places.get(label, -1) for label in received.tolist()], dtype=np.int64)
    if likings.ndim != 2 or likings.shape[1] != len(places):
        return np.zeros(len(chosen), dtype=bool)
    liked = likings[np.arange(len(chosen)), chosen]
    return np.asarray((chosen >= 0) & (liked >= likings.max(axis=1) - TOLERANCE))


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
