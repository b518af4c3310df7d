"""What a fitted scikit-learn object is made of, and the copy of it that skl2onnx can take."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.onnx_model import MISSING_TEXT

if TYPE_CHECKING:
    import pandas as pd


def parts(model: Any) -> Iterator[Any]:
    """Yield `model` and every estimator inside it, fitted or not.

    What HistGradientBoosting prepares its own categories with is a part of it, not a step beside it.
    """
    import numpy as np

    if isinstance(model, (list, tuple)) or (isinstance(model, np.ndarray) and model.dtype == object):
        for item in model:
            yield from parts(item)
    elif type(model).__module__.startswith("sklearn.") and hasattr(model, "__dict__"):
        yield model
        for name, value in vars(model).items():
            if name != "_preprocessor":
                yield from parts(value)


def tree_nodes(model: Any) -> int:
    """Return the number of nodes of all trees in `model`."""
    trees = {id(part.tree_): part.tree_ for part in parts(model) if hasattr(part, "tree_")}
    return sum(getattr(tree, "node_count", 0) for tree in trees.values())


def holds(model: Any, kind: str) -> bool:
    """Return whether `model` or an estimator inside it is of a class whose name begins with `kind`."""
    return any(type(part).__name__.startswith(kind) for part in parts(model))


def as_fitted(rows: pd.DataFrame, signature: Mapping[str, Any], model: Any) -> Any:
    """Return the rows of a saved sample in the form that the fitted object takes.

    Parameters
    ----------
    rows : pandas.DataFrame, shape (n_rows, n_features)
    signature : mapping
    model : object

    Returns
    -------
    DataFrame, ndarray or Series
        An array where the signature is a tensor, a Series where `model` takes texts, one a row.
    """
    inputs = signature.get("inputs")
    if isinstance(inputs, Mapping):
        return rows.to_numpy().reshape(len(rows), *inputs["tensor"]["shape"][1:])
    if isinstance(inputs, list) and len(inputs) == 1 and inputs[0].get("series"):
        return rows.iloc[:, 0]
    return rows.iloc[:, 0] if rows.shape[1] == 1 and text_vectorizers(model) and not has_columns(model) else rows


def has_columns(model: Any) -> bool:
    """Return whether some step of `model` picks columns."""
    from sklearn.compose import ColumnTransformer

    return any(isinstance(part, ColumnTransformer) for part in parts(model))


def text_vectorizers(model: Any) -> list[type]:
    """Return the kinds of text vectorizers in `model`: they need a locale that every machine has."""
    from sklearn.feature_extraction.text import CountVectorizer

    return sorted({type(part) for part in parts(model) if isinstance(part, CountVectorizer)}, key=str)


def convertible(model: Any) -> Any:
    """Return a copy of `model` that says the same in words that skl2onnx knows; `model` is left as it was.

    ONNX strings know no null, so a missing text arrives as `MISSING_TEXT`, and imputers and encoders of text are told
    to take that for missing. Soft voting gets the one shape of `transform` that converts (it does not touch
    `predict`).
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import VotingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import FeatureUnion, Pipeline

    same = copy.copy(model)
    if isinstance(model, Pipeline):
        same.steps = [(name, convertible(step)) for name, step in model.steps]
    elif isinstance(model, FeatureUnion):
        same.transformer_list = [(name, convertible(step)) for name, step in model.transformer_list]
    elif isinstance(model, ColumnTransformer):
        same.transformers_ = [(name, convertible(step), columns) for name, step, columns in model.transformers_]
    elif isinstance(model, VotingClassifier):
        same.flatten_transform = False
        same.estimators_ = [convertible(inner) for inner in model.estimators_]
    elif isinstance(model, SimpleImputer) and not isinstance(model.missing_values, str) and _of_text(model.statistics_):
        same.missing_values = MISSING_TEXT
    elif isinstance(getattr(model, "categories_", None), list):
        same.categories_ = [_text_categories(categories) for categories in model.categories_]
    return same


def _of_text(values: Any) -> bool:
    return values.dtype == object and any(isinstance(one, str) for one in values)


def _text_categories(categories: Any) -> Any:
    import numpy as np

    if not _of_text(categories):
        return categories
    return np.array([one if isinstance(one, str) else MISSING_TEXT for one in categories], dtype=object)
