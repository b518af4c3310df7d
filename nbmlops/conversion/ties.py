"""Ties of objects without probabilities in one array: decision values, and probabilities of several labels a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import as_fitted
from nbmlops.conversion.fidelity import alike

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Tied = Callable[["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"], "np.ndarray[Any, Any]"]


def tie(model: Any, rows: pd.DataFrame, signature: Mapping[str, Any]) -> Tied | None:
    """Return a function of a mask of `rows` and their labels that tells which are ties, or None where nothing tells.

    Parameters
    ----------
    model : object
        The fitted object.
    rows : pandas.DataFrame, shape (n_rows, n_features)
    signature : mapping
    """
    if callable(getattr(model, "predict_proba", None)):
        return lambda mask, labels: _of_several(model, as_fitted(rows[mask], signature, model), labels)
    if callable(getattr(model, "decision_function", None)):
        return lambda mask, labels: _of_decisions(model, as_fitted(rows[mask], signature, model), labels)
    return None


def _of_several(model: Any, rows: Any, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the rows of which each label is right or a tie; `predict_proba` gives one array for each."""
    import numpy as np

    found, classes = model.predict_proba(rows), getattr(model, "classes_", None)
    if not isinstance(found, list) or not isinstance(classes, list) or labels.ndim != 2:
        return np.zeros(len(labels), dtype=bool)
    each = [
        alike(np.asarray(chances), known, labels[:, at])
        for at, (chances, known) in enumerate(zip(found, classes, strict=True))
    ]
    return np.asarray(np.all(each, axis=0))


def _of_decisions(model: Any, rows: Any, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    decisions = np.asarray(model.decision_function(rows))
    if labels.ndim != 1:
        return np.zeros(len(labels), dtype=bool)
    return alike(decisions, getattr(model, "classes_", ()), labels)
