"""Rows where a model's answers change abruptly: at the splits of its trees, and wherever halving finds a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.adversarial import Probe, columns_of, edited
from nbmlops.conversion.adversarial_splits import at_splits, trees_of
from nbmlops.conversion.adversarial_steps import at_steps
from nbmlops.conversion.estimators import holds, parts

if TYPE_CHECKING:
    import pandas as pd

SMOOTH = ("SVC", "NuSVC")
EXACT = frozenset({"SimpleImputer", "OneHotEncoder", "OrdinalEncoder", "VarianceThreshold", "SelectKBest", "str"})
"""Steps that hand numbers on as they are, or replace them, and never compute with them."""


def at_changes(model: Any, inputs: pd.DataFrame, signature: Mapping[str, Any]) -> tuple[Probe, ...]:
    """Return the probes for which the model itself is looked into, or asked.

    Parameters
    ----------
    model : object
        The fitted object.
    inputs : pandas.DataFrame, shape (n_rows, n_features)
        The saved sample.
    signature : mapping
    """
    columns = columns_of(inputs, signature)
    made = []
    edits = at_splits(model, inputs, columns)
    if edits:
        made.append(Probe("numbers at the splits of its trees", edited(inputs, edits)))
    if is_smooth(model):
        return tuple(made)
    edits, across = at_steps(model, inputs, columns, signature=signature, exact=is_exact(model))
    if edits:
        made.append(Probe("numbers at the steps of its answers", edited(inputs, edits), across=across))
    return tuple(made)


def is_smooth(model: Any) -> bool:
    """Return whether the answers step only where a smooth decision is about zero, as those of support vectors do.

    Their votes, and the iteration that gives their probabilities, step there without a score that says so.
    """
    return any(holds(model, kind) for kind in SMOOTH) and not any(hasattr(part, "tree_") for part in parts(model))


def is_exact(model: Any) -> bool:
    """Return whether trees take the numbers as they come, so that nothing shifts a split by a last bit."""
    if type(model).__name__ == "Pipeline":
        *before, (_, last) = model.steps
        return all(_hands_on(step) for _, step in before) and is_exact(last)
    return next(trees_of(model, getattr(model, "n_features_in_", 0)), None) is not None


def _hands_on(step: Any) -> bool:
    kind = type(step).__name__
    if kind == "Pipeline":
        return all(_hands_on(inner) for _, inner in step.steps)
    if kind == "ColumnTransformer":
        return all(_hands_on(inner) for _, inner, _ in step.transformers_)
    if kind == "FeatureUnion":
        return all(_hands_on(inner) for _, inner in step.transformer_list)
    return step is None or kind in EXACT  # "drop" and "passthrough" are texts
