"""Linear models: a coefficient times the distance from the mean, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbmlops.core.quiet import quiet_answers
from nbmlops.explanation.seam import Part, Prepared
from nbmlops.explanation.subject import Floats, Subject

if TYPE_CHECKING:
    import pandas as pd


class Linear:
    """Explains whatever ends in ``coef_`` and ``intercept_``.

    For independent columns these are the Shapley values [1]_, with the background's mean for what is unknown.

    References
    ----------
    .. [1] S. M. Lundberg and S.-I. Lee, "A unified approach to interpreting model predictions", NeurIPS 2017.
    """

    name = "linear"
    apart = False

    def can_explain(self, subject: Subject) -> bool:
        """Return whether the last step has coefficients, one for each of its columns."""
        coefficients = getattr(subject.last, "coef_", None)
        return isinstance(coefficients, np.ndarray) and hasattr(subject.last, "intercept_")

    def prepare(self, subject: Subject) -> Prepared:
        """Return the terms of the sum that the model itself computes."""
        coefficients, intercept = affine(subject.last)
        known = _terms(subject, subject.background, coefficients)
        mean = known.mean(axis=0)

        def explain(rows: pd.DataFrame) -> Part:
            terms = _terms(subject, rows, coefficients)
            return Part(terms - mean, lambda places: terms - known[places].mean(axis=0))

        return Prepared(
            explain,
            base_values=mean.sum(axis=0) + intercept,
            scale=subject.margin,
            background=len(known),
            how="each coefficient times the distance from the background's mean",
        )


def affine(estimator: Any) -> tuple[Floats, Floats]:
    """Return coefficients, shape (n_outputs, n_features), and intercepts, shape (n_outputs,)."""
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    intercept = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).ravel(), len(coefficients))
    return coefficients, intercept


def _terms(subject: Subject, frame: pd.DataFrame, coefficients: Floats) -> Floats:
    """Return coefficient times value, summed over the prepared columns of each raw one."""
    with quiet_answers():
        prepared = subject.prepared(frame)
    columns = len(subject.columns)
    found = np.zeros((len(frame), columns, len(coefficients)))
    subject.origins.check()
    sparse = hasattr(prepared, "toarray")
    matrix = prepared.tocsc() if sparse else np.asarray(prepared, dtype=np.float64)
    for raw in range(columns):
        places = np.flatnonzero(subject.origins.raw == raw)
        found[:, raw] = matrix[:, places] @ coefficients[:, places].T
    return found
