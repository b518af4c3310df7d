"""What is written down about a fit: its parameters, and how well the model answers its own training data."""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

PROBE_ROWS = 500
SAMPLES = (10_000, 2_000)
SCORE_SECONDS = 0.2
"""How much of the processor one metric may take; a slow model is scored on a sample of its rows."""
VALUE_LIMIT = 250
DESCRIPTION_LIMIT = 70
SCALARS = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Arguments:
    """What a fit was called with.

    Attributes
    ----------
    X, y : object
        Training data and labels; None where there are none, or where looking at them would use them up.
    """

    X: Any = None
    y: Any = None

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Find the data among a fit's arguments."""
        X = args[0] if args else kwargs.get("X")
        y = args[1] if len(args) > 1 else kwargs.get("y", kwargs.get("Y"))
        return cls(X if _has_length(X) else None, y if _has_length(y) else None)

    @property
    def both(self) -> tuple[Any, Any]:
        return self.X, self.y

    @property
    def rows(self) -> int:
        return 0 if self.X is None else _rows(self.X)


def _has_length(values: Any) -> bool:
    return hasattr(values, "shape") or hasattr(values, "__len__")


def _rows(values: Any) -> int:
    return int(values.shape[0]) if hasattr(values, "shape") else len(values)


def parameters(estimator: Any) -> dict[str, str]:
    """Return the estimator's parameters, those of its parts by their path (``model__alpha``), as short texts.

    Parts are told by their class, arrays by their shape: data never become parameters.
    """
    found = {name: _told(value) for name, value in estimator.get_params(deep=True).items()}
    found |= {f"best_{name}": _told(value) for name, value in getattr(estimator, "best_params_", {}).items()}
    return dict(sorted(found.items(), key=lambda item: (item[0].count("__"), item[0])))


def description(estimator: Any) -> str:
    """Return the estimator's class with the parameters that are not the default, in at most 70 characters.

    >>> from sklearn.linear_model import Ridge
    >>> description(Ridge(alpha=2.0))
    'Ridge(alpha=2.0)'
    """
    known = inspect.signature(type(estimator).__init__).parameters
    given = {
        name: _told(value)
        for name, value in estimator.get_params(deep=False).items()
        if _told(value) != _told(known[name].default if name in known else None)
    }
    text = f"{type(estimator).__name__}({', '.join(f'{name}={value}' for name, value in given.items())})"
    return text if len(text) <= DESCRIPTION_LIMIT else f"{text[: DESCRIPTION_LIMIT - 1]}…"


def _told(value: Any) -> str:
    if isinstance(value, SCALARS):
        return str(value)[:VALUE_LIMIT]
    if not isinstance(value, type) and hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__}{tuple(value.shape)} {value.dtype}"
    if isinstance(value, (list, tuple)):
        start, end = "[]" if isinstance(value, list) else "()"
        return f"{start}{', '.join(map(_told, value[:20]))}{', …' if len(value) > 20 else ''}{end}"[:VALUE_LIMIT]
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_told(item)}' for key, item in list(value.items())[:20])}}}"[:VALUE_LIMIT]
    return str(getattr(value, "__name__", type(value).__name__))


def metrics(estimator: Any, given: Arguments) -> dict[str, float]:
    """Return how well a fitted estimator answers its own training data.

    Always the estimator's own ``score``; a classifier's accuracy, log loss and ROC AUC too. Where a metric would take
    longer than 0.2 s on all rows it is computed on 10,000, 2,000 or 500, always the same ones, drawn without touching
    the random state of the session; ``training_rows`` says on how many.
    """
    found: dict[str, float] = {}
    best = getattr(estimator, "best_score_", None)  # a search has a number there, LightGBM something else
    if isinstance(best, Real):
        found["best_cv_score"] = float(best)
    if given.X is not None and hasattr(estimator, "score"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found |= _scores(estimator, given)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _scores(estimator: Any, given: Arguments) -> dict[str, float]:
    from sklearn.base import is_classifier

    score, rows = _within_budget(lambda X, y: float(estimator.score(X, y)), given)
    found = {"training_score": score, "training_rows": float(rows)}
    if not is_classifier(estimator) or given.y is None:
        return found
    sample = _sample(given, rows)
    found["training_accuracy_score"] = _accuracy(estimator, sample, score)
    if hasattr(estimator, "predict_proba"):
        found |= _probability_scores(estimator, sample)
    return found


def _accuracy(estimator: Any, sample: Arguments, score: float) -> float:
    from sklearn.base import ClassifierMixin
    from sklearn.metrics import accuracy_score

    if type(estimator).score is ClassifierMixin.score:
        return score
    return float(accuracy_score(sample.y, estimator.predict(sample.X)))


def _probability_scores(estimator: Any, sample: Arguments) -> dict[str, float]:
    import numpy as np
    from sklearn.metrics import log_loss, roc_auc_score

    probabilities = estimator.predict_proba(sample.X)
    if not isinstance(probabilities, np.ndarray):  # one array for each label: there is no single figure
        return {}
    classes = np.asarray(estimator.classes_)
    found = {"training_log_loss": float(log_loss(sample.y, probabilities, labels=classes))}
    if len(np.unique(np.asarray(sample.y))) == len(classes):
        told = probabilities[:, 1] if len(classes) == 2 else probabilities
        found["training_roc_auc"] = float(roc_auc_score(sample.y, told, multi_class="ovr", labels=classes))
    return found


def _within_budget(score: Callable[[Any, Any], float], given: Arguments) -> tuple[float, int]:
    """Score a few rows, then as many as the time allows; return the score and the number of rows."""
    few = _sample(given, PROBE_ROWS)
    value, seconds = _timed(score, few)
    if seconds < SCORE_SECONDS:  # a first call pays for imports and caches too
        value, again = _timed(score, few)
        seconds = min(seconds, again)
    # Few sizes, each within the next, so that runs of a kind are scored on the same rows.
    sizes = (given.rows, *(size for size in SAMPLES if size < given.rows))
    rows = next((size for size in sizes if size * seconds <= SCORE_SECONDS * few.rows), few.rows)
    if rows <= few.rows:
        return value, few.rows
    return score(*_sample(given, rows).both), rows


def _timed(score: Callable[[Any, Any], float], given: Arguments) -> tuple[float, float]:
    started = time.process_time()  # what other processes take is not the model's
    value = score(*given.both)
    return value, time.process_time() - started


def _sample(given: Arguments, rows: int) -> Arguments:
    from sklearn.utils import resample

    if given.rows <= rows:
        return given
    if given.y is None:
        return Arguments(resample(given.X, replace=False, n_samples=rows, random_state=0))
    return Arguments(*resample(given.X, given.y, replace=False, n_samples=rows, random_state=0))
