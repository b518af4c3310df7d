"""Rows that the saved sample may lack, made from it: nulls, categories never seen, numbers far outside the range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import as_fitted
from nbmlops.registry.nulls import BY_MODEL

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROWS_EACH = 3
FAR = 10.0  # ranges away from the sample's ends
UNSEEN = "a category never seen"
NEW_NULLS = "nulls that the data had not"


@dataclass(frozen=True)
class _Answers:
    """The part of a `Reference` that `agreement` reads."""

    inputs: Any
    predictions: np.ndarray
    probabilities: np.ndarray | None
    classes: list[Any] | None
    digest: str = ""


@dataclass(frozen=True)
class Probe:
    """Changed rows of one kind.

    Attributes
    ----------
    what : str
        The kind, in words.
    rows : pandas.DataFrame, shape (n_rows, n_features)
    spared : tuple of str
        Columns that a model which answers these rows otherwise may be served without; empty where it may not.
    """

    what: str
    rows: pd.DataFrame
    spared: tuple[str, ...] = ()

    def answers(self, model: Any, signature: Mapping[str, Any], *, with_probabilities: bool) -> Any:
        """Return the fitted object's own answers, as a reference."""
        rows = as_fitted(self.rows, signature, model)
        probabilities = model.predict_proba(rows) if with_probabilities else None
        return _Answers(self.rows, model.predict(rows), probabilities, getattr(model, "classes_", None))


def probes(inputs: Any, signature: Mapping[str, Any]) -> tuple[Probe, ...]:
    """Return the probes that fit the columns of `signature`; a tensor gets none.

    Parameters
    ----------
    inputs : pandas.DataFrame, shape (n_rows, n_features)
        The saved sample.
    signature : mapping
    """
    declared = signature.get("inputs")
    if not isinstance(declared, list):
        return ()
    kinds: list[tuple[str, Callable[[Mapping[str, Any]], bool], Callable[[pd.Series, int], list[Any]]]] = [
        ("nulls", lambda column: _nullable(column) and not _by_model(column), _nulls),
        (NEW_NULLS, lambda column: _nullable(column) and _by_model(column), _nulls),
        ("categories never seen", _open, lambda values, n: [UNSEEN] * n),
        ("numbers far outside the range", lambda column: column["type"] in {"float", "double"}, _far),
    ]
    made = []
    for what, fits, change in kinds:
        names = [column["name"] for column in declared if fits(column)]
        if names:
            spared = tuple(names) if what == NEW_NULLS else ()
            made.append(Probe(what, _changed(inputs, names, change), spared))
    return tuple(made)


def _changed(inputs: pd.DataFrame, names: list[str], change: Callable[[pd.Series, int], list[Any]]) -> pd.DataFrame:
    import pandas as pd

    pieces = []
    for place, name in enumerate(names):
        start = place * ROWS_EACH % max(len(inputs) - ROWS_EACH, 1)
        piece = inputs.iloc[start : start + ROWS_EACH].copy()
        values = change(inputs[name], len(piece))
        piece[name] = pd.Series(values, index=piece.index, dtype=inputs[name].dtype)
        pieces.append(piece)
    return pd.concat(pieces, ignore_index=True)


def _nullable(column: Mapping[str, Any]) -> bool:
    return bool(column.get("nullable"))


def _by_model(column: Mapping[str, Any]) -> bool:
    return column.get("nulls") == BY_MODEL


def _open(column: Mapping[str, Any]) -> bool:
    """Whether a column of text takes any: where the model takes those that it knows alone, no other reaches it."""
    return column["type"] == "string" and column.get("categories") is None


def _nulls(values: pd.Series, rows: int) -> list[Any]:
    return [None] * rows


def _far(values: pd.Series, rows: int) -> list[Any]:
    low, high = float(values.min()), float(values.max())
    span = FAR * max(high - low, 1.0)
    return [(high + span, low - span)[place % 2] for place in range(rows)]
