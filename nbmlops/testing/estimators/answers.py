"""What a fitted object and a converted one say about the same rows, and where that is not the same.

Nothing here is shared with `nbmlops.conversion.fidelity`: a mistake there must not hide in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbmlops.core.quiet import quiet_answers

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.conversion import OnnxModel
    from nbmlops.testing.estimators.case import Fitted

LIMIT = 1e-5
"""What a probability, or a value relative to itself, may differ by."""
TIE = 1e-6
"""Two classes whose scores are closer are a tie: neither label is wrong."""


@dataclass(frozen=True)
class Answers:
    """Answers to rows.

    Attributes
    ----------
    labels : ndarray, shape (n_rows, n_outputs)
        Labels or values.
    probabilities : ndarray, shape (n_rows, n_classes), or None
    margin : ndarray, shape (n_rows,), or None
        By how much the first class leads the second; None where the object tells no scores.
    """

    labels: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None = None
    margin: np.ndarray[Any, Any] | None = None


def of_fitted(fitted: Fitted, frame: pd.DataFrame) -> Answers:
    """Return the fitted object's own answers."""
    rows, model = fitted.native(frame), fitted.model
    with quiet_answers():
        labels = _columns(model.predict(rows))
        if not fitted.classifies:
            return Answers(labels)
        found = model.predict_proba(rows) if hasattr(model, "predict_proba") else None
        if isinstance(found, list):  # one array for each of several labels
            return Answers(labels, margin=np.min([_lead(one) for one in found], axis=0))
        if found is not None:
            several = labels.shape[1] > 1
            margin = np.abs(found * 2 - 1).min(axis=1) if several else _lead(found)
            return Answers(labels, found, margin)
        scores = np.asarray(model.decision_function(rows)) if hasattr(model, "decision_function") else None
    return Answers(labels, margin=None if scores is None else _lead(scores))


def of_converted(onnx: OnnxModel, frame: pd.DataFrame) -> Answers:
    """Return a converted model's answers."""
    labels, probabilities = onnx.predict(frame)
    return Answers(_columns(labels), probabilities)


def scores(fitted: Fitted, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the finest numbers that the fitted object tells about rows, shape (n_rows, n_scores)."""
    rows, model = fitted.native(frame), fitted.model
    with quiet_answers():
        for name in ("predict_proba", "decision_function"):
            if fitted.classifies and hasattr(model, name):
                found = getattr(model, name)(rows)
                return np.hstack(found) if isinstance(found, list) else _columns(found)
        answers = _columns(model.predict(rows))
    if answers.dtype.kind in "fiub":
        return answers
    return np.unique(answers.astype(str), return_inverse=True)[1].reshape(answers.shape)


def other_labels(expected: Answers, received: Answers) -> np.ndarray[Any, Any]:
    """Return the rows whose label is another and no tie, as a mask of shape (n_rows,)."""
    if expected.labels.shape != received.labels.shape:
        return np.ones(len(expected.labels), dtype=bool)
    pairs = zip(expected.labels.tolist(), received.labels.tolist(), strict=True)
    other = np.fromiter((left != right for left, right in pairs), dtype=bool, count=len(expected.labels))
    return other if expected.margin is None else other & (expected.margin > TIE)


def differences(expected: Answers, received: Answers, *, values: bool) -> np.ndarray[Any, Any]:
    """Return how far numbers lie apart, shape (n_rows,).

    Of probabilities, the largest difference of a row; with `values`, of the values relative to themselves, those
    below one (or below the largest value, where that is less) relative to that.
    """
    if values:
        return _apart(expected.labels, received.labels, relative=True)
    if expected.probabilities is None:
        return np.zeros(len(expected.labels))
    if received.probabilities is None:
        return np.full(len(expected.labels), np.inf)
    return _apart(expected.probabilities, received.probabilities, relative=False)


def _apart(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], *, relative: bool) -> np.ndarray[Any, Any]:
    if left.shape != right.shape:
        return np.full(len(left), np.inf)
    left, right = left.astype(np.float64), right.astype(np.float64)
    largest = np.max(np.abs(left), initial=0.0)
    unit = np.maximum(np.abs(left), min(1.0, largest or 1.0)) if relative else np.ones_like(left)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(left - right) / unit
    gaps[(left == right) | (np.isnan(left) & np.isnan(right))] = 0.0
    return np.asarray(np.nan_to_num(gaps, nan=np.inf).max(axis=1, initial=0.0))


def _columns(values: Any) -> np.ndarray[Any, Any]:
    return np.reshape(values, (len(values), -1))


def _lead(found: Any) -> np.ndarray[Any, Any]:
    """Return by how much the first of the classes leads the second; one column says the distance from the border."""
    table = _columns(found)
    if table.shape[1] == 1:
        return np.asarray(np.abs(table[:, 0]))
    ordered = np.sort(table, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])
