"""HistGradientBoosting in ONNX, number for number: trees, categories, missing values and links in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.conversion.emitting import Emitter
from nbmlops.conversion.float64_steps import category_codes
from nbmlops.conversion.trees import LEAF, Tree, constant_tree, sums
from nbmlops.core.errors import InvalidObject

WORD = 32  # bits of a word of scikit-learn's sets of categories
LARGEST = np.iinfo(np.int32).max
INVERSE_LINKS = {"IdentityLink": None, "LogLink": "Exp"}


def raw_scores(emit: Emitter, model: Any, *, dtype: npt.DTypeLike = np.float64) -> str:
    """Write the trees of a HistGradientBoosting and return the name of their sums, (n_rows, n_trees_per_iteration).

    Parameters
    ----------
    emit : Emitter
    model : HistGradientBoostingClassifier or HistGradientBoostingRegressor
        Fitted.
    dtype : dtype
        What numbers, thresholds and leaves are written in.

    Raises
    ------
    InvalidObject
        Its categories can't be told apart in ONNX.
    """
    given, categories = _given(emit, model)
    if np.dtype(dtype) != np.float64:
        given = emit.cast(given, dtype)
    targets = model.n_trees_per_iteration_
    baseline = np.broadcast_to(np.ravel(model._baseline_prediction), targets)
    trees = [constant_tree(float(value), target) for target, value in enumerate(baseline)]
    places = _places(model)
    for iteration in model._predictors:
        trees += [_tree(one, target, places=places, categories=categories) for target, one in enumerate(iteration)]
    return sums(emit, given, trees, targets=targets, dtype=dtype)


def inverse_link(emit: Emitter, model: Any, raw: str) -> str:
    """Return the name of a regressor's values, from its sums."""
    link = type(model._loss.link).__name__
    if link not in INVERSE_LINKS:
        raise InvalidObject(f"its loss has a link that is not known: {link}")
    kind = INVERSE_LINKS[link]
    return raw if kind is None else emit.node(kind, raw)


def _places(model: Any) -> npt.NDArray[np.int64]:
    """Return, for each column that the trees see, its place among those that come in: categories are seen first."""
    sets = getattr(model, "is_categorical_", None)
    if sets is None:
        return np.arange(model._n_features)
    return np.concatenate([np.flatnonzero(sets), np.flatnonzero(~sets)])


def _given(emit: Emitter, model: Any) -> tuple[str, dict[int, npt.NDArray[np.float64]]]:
    """Return the name of all columns as float64, and the values that stand for the categories of some.

    Small whole numbers stand for themselves; others, and texts, become their places among the categories.
    """
    encoder = _encoder(model)
    if encoder is None:
        return emit.numbers(), {}
    columns = emit.columns()
    values: dict[int, npt.NDArray[np.float64]] = {}
    for place, found in zip(np.flatnonzero(model.is_categorical_).tolist(), encoder.categories_, strict=True):
        name, text = columns[place]
        known = _known(found)
        if not text and _stand_for_themselves(known):
            values[place] = np.array(known, dtype=np.float64)
            continue
        codes = emit.cast(category_codes(emit, name, known, text=text), np.float64)
        columns[place] = emit.node("Unsqueeze", codes, emit.constant(np.array([1]))), False
        values[place] = np.arange(len(known), dtype=np.float64)
    if any(text for _, text in columns):
        raise InvalidObject("a column of text is none of its categories")
    names = [name for name, _ in columns]
    return names[0] if len(names) == 1 else emit.node("Concat", *names, axis=1), values


def _encoder(model: Any) -> Any:
    prepared = getattr(model, "_preprocessor", None)
    return None if prepared is None else prepared.named_transformers_["encoder"]


def _known(categories: Any) -> list[Any]:
    """Return the categories but for a missing one, which is always the last."""
    found = list(categories)
    missing = bool(found) and (found[-1] is None or found[-1] != found[-1])
    return found[:-1] if missing else found


def _stand_for_themselves(categories: list[Any]) -> bool:
    """Return whether ONNX Runtime knows sets of these: of whole numbers in an int32, and surely of none below zero."""
    if any(isinstance(one, str) for one in categories):
        raise InvalidObject("its categories are texts where the column holds numbers")
    return all(0 <= one <= LARGEST and one == int(one) for one in categories)


def _tree(
    predictor: Any,
    target: int,
    *,
    places: npt.NDArray[np.int64],
    categories: dict[int, npt.NDArray[np.float64]],
) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, LEAF, nodes["left"].astype(np.int64))
    right = np.where(leaf, LEAF, nodes["right"].astype(np.int64))
    feature = np.where(leaf, 0, places[np.where(leaf, 0, nodes["feature_idx"])])
    missing_left = nodes["missing_go_to_left"].astype(bool) & ~leaf
    members: dict[int, npt.NDArray[np.float64]] = {}
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf).tolist():
        known = categories[int(feature[node])]
        goes_left = _among(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]], len(known))
        if missing_left[node]:
            # Whatever is no member goes right in ONNX; here what is missing or unknown goes left: the sides change.
            left[node], right[node] = right[node], left[node]
            goes_left, missing_left[node] = ~goes_left, False
        members[node] = known[goes_left]  # never empty: each side of a split had rows
    return Tree(
        left=left,
        right=right,
        feature=feature,
        threshold=nodes["num_threshold"].astype(np.float64),
        missing_left=missing_left,
        values=nodes["value"].astype(np.float64)[:, None],
        target=target,
        members=members,
    )


def _among(bits: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.bool_]:
    """Return whether each of the first `count` categories is in a set of scikit-learn."""
    codes = np.arange(count)
    return (bits[codes // WORD] >> (codes % WORD).astype(np.uint32) & 1).astype(bool)
