"""How near served answers are to the fitted object's: to the bit, and in units in the last place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.core.records import Record

if TYPE_CHECKING:
    import numpy as np

    from nbmlops.registry import Reference

BOUND = 256
"""Units in the last place by which a float may move when rows are sent in other numbers, or summed in another order."""

SMALL = 2.0**-10
"""Below this share of the largest value around, the unit is that share's: near zero a sum has no digits left."""


@dataclass(frozen=True)
class Identity(Record):
    """Answers to the same rows, compared.

    Attributes
    ----------
    rows : int
    identical : int
        Rows of which every value has the same bits.
    ulps : float
        The largest difference of a float, in units in the last place of the expected one; infinite where a label
        differs, the shapes do, or one side alone is NaN.
    worst : tuple of int
        Positions of the rows that differ most, at most five.
    """

    rows: int
    identical: int
    ulps: float = 0.0
    worst: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no difference is above the bound."""
        return self.ulps <= BOUND


def identity(expected: Reference, predictions: Any, probabilities: Any = None) -> Identity:
    """Compare answers with those of the reference, in the same order of rows.

    Parameters
    ----------
    expected : Reference
    predictions : array_like, shape (n_rows,) or (n_rows, n_outputs)
    probabilities : array_like, shape (n_rows, n_classes), optional
        Compared where the reference has them.
    """
    import numpy as np

    gaps = _gaps(np.asarray(expected.predictions), predictions)
    if expected.probabilities is not None:
        gaps = np.maximum(gaps, _gaps(np.asarray(expected.probabilities), probabilities))
    order = np.argsort(-gaps, kind="stable")[:5]
    return Identity(
        rows=len(gaps),
        identical=int((gaps == 0).sum()),
        ulps=float(gaps.max(initial=0.0)),
        worst=tuple(int(row) for row in order if gaps[row] > 0),
    )


def _gaps(expected: np.ndarray[Any, Any], given: Any) -> np.ndarray[Any, Any]:
    """Return the largest difference of each row; labels differ by infinity or not at all."""
    import numpy as np

    received = np.asarray(given)
    if received.size == expected.size and received.ndim != expected.ndim:
        received = received.reshape(expected.shape)
    if received.shape != expected.shape:
        return np.full(len(expected), np.inf)
    if expected.dtype.kind != "f" or received.dtype.kind not in "fiub":
        gaps = np.where(expected.astype(object) == received.astype(object), 0.0, np.inf)
    else:
        gaps = _ulps(expected, received.astype(expected.dtype))
    return np.asarray(gaps.max(axis=tuple(range(1, gaps.ndim)), initial=0.0))


def _ulps(expected: np.ndarray[Any, Any], received: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    finite = np.abs(expected[np.isfinite(expected)])
    floor = float(finite.max(initial=0.0)) * SMALL
    same = (expected == received) | (np.isnan(expected) & np.isnan(received))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        unit = np.spacing(np.maximum(np.abs(expected), expected.dtype.type(floor)))
        gaps = np.abs(expected.astype(np.float64) - received.astype(np.float64)) / unit
    return np.where(same, 0.0, np.nan_to_num(gaps, nan=np.inf, posinf=np.inf))
