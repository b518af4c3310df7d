"""The splits of the trees inside a fitted model, and rows that stand right at them.

A tree that was written with another comparison, or with thresholds rounded the wrong way, answers as before nearly
everywhere: only numbers at a threshold, or the next ones that float32 or float64 hold, tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.adversarial import Column, Edit

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SEED = 20134
MOST_TREES = 50
MOST_SPLITS = 100
MOST_ROWS = 200
"""Rows of the sample that are sent down the trees, to know which split each meets."""


@dataclass(frozen=True)
class Tree:
    """A tree's splits by node: a leaf has no feature (-1)."""

    feature: np.ndarray[Any, Any]
    threshold: np.ndarray[Any, Any]
    left: np.ndarray[Any, Any]
    right: np.ndarray[Any, Any]


def at_splits(model: Any, inputs: pd.DataFrame, columns: Sequence[Column]) -> list[Edit]:
    """Return changes that put a number of a row at a split which that row meets, or next to it.

    Only trees that take the columns as they are have such rows; behind other steps, `adversarial_steps` finds them.

    Parameters
    ----------
    model : object
        The fitted object.
    inputs : pandas.DataFrame, shape (n_rows, n_features)
        The saved sample.
    columns : sequence of Column
        What each column may hold, in the order of the model's features.
    """
    import numpy as np

    trees = list(islice(trees_of(model, inputs.shape[1]), 10 * MOST_TREES))
    if not trees or len(columns) != inputs.shape[1] or any(not _is_number(values) for _, values in inputs.items()):
        return []
    draw = np.random.default_rng(SEED)
    trees = [trees[place] for place in draw.permutation(len(trees))[:MOST_TREES]]
    rows = inputs.iloc[:MOST_ROWS].to_numpy(dtype=np.float64, na_value=np.nan)
    each = -(-MOST_SPLITS // len(trees))
    edits: list[Edit] = []
    for tree in trees:
        met = _met(tree, rows)
        for place in draw.permutation(len(met))[:each]:
            node, row = met[place]
            column = columns[int(tree.feature[node])]
            edits += [(row, column.name, value) for value in neighbours(column, float(tree.threshold[node]))]
    return edits


def _is_number(values: pd.Series) -> bool:
    return values.dtype.kind in "fiub"


def neighbours(column: Column, threshold: float) -> list[Any]:
    """Return the numbers at a threshold that a column can hold: itself and the next ones to both sides.

    A float64 column holds the next numbers of float64 and those of float32, a whole number the two around it.
    """
    import numpy as np

    if not np.isfinite(threshold):
        return []
    if column.kind == "integer":
        below = int(np.floor(threshold))
        return [number for number in (below, below + 1) if abs(number) <= column.most]
    near = np.float32(threshold)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    singles = [float(near), float(np.nextafter(near, down)), float(np.nextafter(near, up))]
    if column.kind == "float32":
        return singles
    if column.kind != "float64":
        return []
    return [threshold, float(np.nextafter(threshold, -np.inf)), float(np.nextafter(threshold, np.inf)), *singles]


def _met(tree: Tree, rows: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """Return each split that a row meets on its way down, with the first such row."""
    import numpy as np

    here = np.zeros(len(rows), dtype=np.int64)
    met: dict[int, int] = {}
    moving = tree.feature[here] >= 0
    while moving.any():
        nodes, first = np.unique(here[moving], return_index=True)
        for node, row in zip(nodes.tolist(), np.flatnonzero(moving)[first].tolist(), strict=True):
            met.setdefault(node, row)
        at = here[moving]
        goes_left = rows[moving, tree.feature[at]] <= tree.threshold[at]
        here[moving] = np.where(goes_left, tree.left[at], tree.right[at])
        moving = tree.feature[here] >= 0
    return list(met.items())


def trees_of(model: Any, features: int) -> Iterator[Tree]:
    """Yield the trees inside `model` that take its features as they come.

    Those of scikit-learn, of ensembles of them, of HistGradientBoosting without categories, XGBoost and LightGBM.
    """
    import numpy as np

    if getattr(model, "n_features_in_", features) != features:
        return
    if hasattr(model, "tree_"):
        tree = model.tree_
        yield Tree(tree.feature, tree.threshold, tree.children_left, tree.children_right)
    elif hasattr(model, "_predictors"):
        yield from _histogram(model)
    elif type(model).__module__.startswith("xgboost"):
        yield from _xgboost(model)
    elif type(model).__module__.startswith("lightgbm"):
        yield from _lightgbm(model)
    elif type(model).__name__ == "Pipeline":
        return
    else:
        inner = getattr(model, "estimators_", None)
        several = [] if inner is None else np.asarray(inner, dtype=object).ravel().tolist()
        calibrated = [one.estimator for one in getattr(model, "calibrated_classifiers_", ())]
        for one in (*several, *calibrated):
            yield from trees_of(one, features)


def _histogram(model: Any) -> Iterator[Tree]:
    import numpy as np

    if getattr(model, "is_categorical_", None) is not None:  # its features are in another order then
        return
    for predictor in (one for iteration in model._predictors for one in iteration):
        nodes = predictor.nodes
        feature = np.where(nodes["is_leaf"].astype(bool), -1, nodes["feature_idx"].astype(np.int64))
        left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
        yield Tree(feature, nodes["num_threshold"], left, right)


def _xgboost(model: Any) -> Iterator[Tree]:
    import numpy as np

    booster = model.get_booster() if hasattr(model, "get_booster") else model
    inside = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]
    for one in inside.get("gbtree", inside).get("model", {}).get("trees", []):
        left, right = (np.array(one[side], dtype=np.int64) for side in ("left_children", "right_children"))
        numeric = np.array(one.get("split_type") or [0] * len(left)) == 0
        feature = np.where((left >= 0) & numeric, np.array(one["split_indices"], dtype=np.int64), -1)
        yield Tree(feature, np.array(one["split_conditions"], dtype=np.float64), left, right)


def _lightgbm(model: Any) -> Iterator[Tree]:
    booster = getattr(model, "booster_", model)
    for one in booster.dump_model(num_iteration=MOST_TREES)["tree_info"]:
        yield _flattened(one["tree_structure"])


def _flattened(root: Any) -> Tree:
    """Return a tree that was nested as arrays; a split by categories counts as a leaf."""
    import numpy as np

    nodes: list[list[float]] = []
    waiting: list[tuple[Any, int, int]] = [(root, -1, 0)]
    while waiting:
        one, parent, side = waiting.pop()
        place = len(nodes)
        splits = one.get("decision_type") == "<="
        nodes.append([one["split_feature"], one["threshold"], -1, -1] if splits else [-1, 0.0, -1, -1])
        if parent >= 0:
            nodes[parent][side] = place
        if splits:
            waiting += [(one["left_child"], place, 2), (one["right_child"], place, 3)]
    feature, threshold, left, right = np.array(nodes, dtype=np.float64).T
    return Tree(feature.astype(np.int64), threshold, left.astype(np.int64), right.astype(np.int64))
