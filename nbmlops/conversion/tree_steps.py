"""Conversions of scikit-learn's trees, forests and boosting, which keep comparisons and sums as they are.

scikit-learn rounds numbers to float32, compares them with thresholds of float64 and adds in float64, in the order of
the trees. HistGradientBoosting rounds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.conversion import histogram_boosting
from nbmlops.conversion.emitting import Emitter
from nbmlops.conversion.estimators import parts
from nbmlops.conversion.graphs import ML_OPSET, TREES_ML_OPSET, Steps
from nbmlops.conversion.trees import LEAF, Tree, constant_tree, sums, votes
from nbmlops.core.errors import InvalidObject


@dataclass(frozen=True)
class Arithmetic:
    """How trees are written.

    Attributes
    ----------
    dtype : numpy.dtype
        float64, or float32 with rounded thresholds.
    modern : bool
        Whether every tree of the graph is a ``TreeEnsemble``: a graph with one can't hold the older operators.
    """

    dtype: np.dtype[Any]
    modern: bool


Conversion = Callable[[Emitter, Arithmetic], tuple[str, ...]]


def tree_steps(model: Any, *, dtype: npt.DTypeLike = np.float64) -> Steps:
    """Return the conversions for the trees of scikit-learn in `model`.

    Parameters
    ----------
    model : object
    dtype : dtype
        float64, or float32 with thresholds rounded so that float32 numbers part as they do in scikit-learn.
    """
    found = [part for part in parts(model) if type(part) in _conversions()]
    modern = any(_adds_one_number(part) for part in found)
    arithmetic = Arithmetic(np.dtype(dtype), modern)
    kinds = {type(part) for part in found}
    return Steps(
        conversions={kind: partial(_convert, _conversions()[kind], arithmetic) for kind in kinds},
        shapes={kind: partial(_shape, arithmetic) for kind in kinds},
        ml_opset=TREES_ML_OPSET if modern else ML_OPSET,
    )


@cache
def _conversions() -> dict[type, Conversion]:
    from sklearn import ensemble, tree

    return {
        tree.DecisionTreeClassifier: _voting,
        tree.ExtraTreeClassifier: _voting,
        ensemble.RandomForestClassifier: _voting,
        ensemble.ExtraTreesClassifier: _voting,
        tree.DecisionTreeRegressor: _averaging,
        tree.ExtraTreeRegressor: _averaging,
        ensemble.RandomForestRegressor: _averaging,
        ensemble.ExtraTreesRegressor: _averaging,
        ensemble.GradientBoostingClassifier: _boosted_classifier,
        ensemble.GradientBoostingRegressor: lambda emit, arithmetic: (_boosted(emit, arithmetic),),
        ensemble.HistGradientBoostingClassifier: _histogram_classifier,
        ensemble.HistGradientBoostingRegressor: _histogram_regressor,
    }


def _adds_one_number(model: Any) -> bool:
    """Return whether each leaf of a model's trees holds one number, which the newer operator needs."""
    from sklearn.base import is_classifier

    return not is_classifier(model) if hasattr(model, "n_outputs_") else True


def _convert(conversion: Conversion, arithmetic: Arithmetic, /, *skl2onnx_s: Any) -> None:
    emit = Emitter(*skl2onnx_s)
    emit.answer(*conversion(emit, arithmetic))


def _shape(arithmetic: Arithmetic, operator: Any) -> None:
    from skl2onnx.common import data_types
    from sklearn.base import is_classifier

    model = operator.raw_operator
    rows = operator.inputs[0].get_first_dimension()
    wide = data_types.DoubleTensorType if arithmetic.dtype == np.float64 else data_types.FloatTensorType
    if is_classifier(model):
        texts = _class_labels(model).dtype == object
        labels = data_types.StringTensorType if texts else data_types.Int64TensorType
        operator.outputs[0].type = labels([rows])
        operator.outputs[1].type = wide([rows, len(_class_labels(model))])
    else:
        operator.outputs[0].type = wide([rows, getattr(model, "n_outputs_", 1)])


def _class_labels(model: Any) -> npt.NDArray[Any]:
    classes = np.asarray(model.classes_)
    if getattr(model, "n_outputs_", 1) != 1:
        raise InvalidObject(f"{type(model).__name__} of several targets has no conversion")
    return classes.astype(object if classes.dtype.kind in "OUS" else np.int64)


def _labels(emit: Emitter, place: str) -> str:
    return emit.node("Gather", emit.constant(_class_labels(emit.step)), place, axis=0)


def _as_trees_see(emit: Emitter, arithmetic: Arithmetic) -> str:
    """Return the name of all columns rounded to float32, in the type that the thresholds have."""
    rounded = emit.cast(emit.numbers(), np.float32)
    return emit.cast(rounded, arithmetic.dtype) if arithmetic.dtype != np.float32 else rounded


def _tree(fitted: Any, *, scale: float = 1.0, target: int = 0) -> Tree:
    """Return a tree of scikit-learn, whose leaves hold one number for each class or target."""
    leaf = fitted.children_left < 0
    missing = getattr(fitted, "missing_go_to_left", np.zeros(len(leaf)))
    values = fitted.value[:, 0, :] if fitted.n_outputs == 1 else fitted.value[:, :, 0]
    return Tree(
        left=np.where(leaf, LEAF, fitted.children_left),
        right=np.where(leaf, LEAF, fitted.children_right),
        feature=np.where(leaf, 0, fitted.feature),
        threshold=np.where(leaf, 0.0, fitted.threshold),
        missing_left=np.asarray(missing, dtype=bool) & ~leaf,
        values=values * scale,
        target=target,
    )


def _estimators(model: Any) -> list[Any]:
    return list(getattr(model, "estimators_", [model]))


def _mean(emit: Emitter, total: str, arithmetic: Arithmetic) -> str:
    count = len(_estimators(emit.step))
    return total if count == 1 else emit.node("Div", total, emit.constant(np.array(count, dtype=arithmetic.dtype)))


def _voting(emit: Emitter, arithmetic: Arithmetic) -> tuple[str, ...]:
    classes = len(_class_labels(emit.step))
    trees = [_tree(one.tree_) for one in _estimators(emit.step)]
    given = _as_trees_see(emit, arithmetic)
    if arithmetic.modern:
        total = sums(emit, given, trees, targets=classes, dtype=arithmetic.dtype)
        place = emit.node("ArgMax", total, axis=1, keepdims=0)
    else:
        place, rounded = votes(emit, given, trees, targets=classes, dtype=arithmetic.dtype)
        total = emit.cast(rounded, arithmetic.dtype)
    return _labels(emit, place), _mean(emit, total, arithmetic)


def _averaging(emit: Emitter, arithmetic: Arithmetic) -> tuple[str, ...]:
    trees = [_tree(one.tree_) for one in _estimators(emit.step)]
    total = sums(emit, _as_trees_see(emit, arithmetic), trees, targets=emit.step.n_outputs_, dtype=arithmetic.dtype)
    return (_mean(emit, total, arithmetic),)


def _boosted(emit: Emitter, arithmetic: Arithmetic) -> str:
    """Return the name of the sums of a GradientBoosting, (n_rows, n_trees_per_iteration)."""
    step = emit.step
    if step.init is not None and step.init != "zero":
        raise InvalidObject("its boosting begins with an estimator")
    start = step._raw_predict_init(np.zeros((1, step.n_features_in_)))[0]
    trees = [constant_tree(float(value), target=target) for target, value in enumerate(start)]
    for stage in step.estimators_:
        trees += [_tree(one.tree_, scale=step.learning_rate, target=target) for target, one in enumerate(stage)]
    return sums(emit, _as_trees_see(emit, arithmetic), trees, targets=len(start), dtype=arithmetic.dtype)


def _boosted_classifier(emit: Emitter, arithmetic: Arithmetic) -> tuple[str, ...]:
    factor = 2.0 if emit.step.loss == "exponential" else 1.0
    return _scored(emit, _boosted(emit, arithmetic), at_zero="GreaterOrEqual", factor=factor, dtype=arithmetic.dtype)


def _histogram_classifier(emit: Emitter, arithmetic: Arithmetic) -> tuple[str, ...]:
    raw = histogram_boosting.raw_scores(emit, emit.step, dtype=arithmetic.dtype)
    return _scored(emit, raw, at_zero="Greater", factor=1.0, dtype=arithmetic.dtype)


def _histogram_regressor(emit: Emitter, arithmetic: Arithmetic) -> tuple[str, ...]:
    raw = histogram_boosting.raw_scores(emit, emit.step, dtype=arithmetic.dtype)
    return (histogram_boosting.inverse_link(emit, emit.step, raw),)


def _scored(emit: Emitter, raw: str, *, at_zero: str, factor: float, dtype: np.dtype[Any]) -> tuple[str, ...]:
    """Return the names of labels and probabilities (or plain scores, where an estimator around it asks for these).

    Parameters
    ----------
    emit : Emitter
    raw : str
        Sums, one for each class, or one in all for two classes.
    at_zero : str
        The comparison with zero that says the second of two classes.
    factor : float
        What the sum is multiplied with before it becomes a probability.
    dtype : numpy.dtype
    """
    if len(emit.step.classes_) > 2:
        place = emit.node("ArgMax", raw, axis=1, keepdims=0)
        scores = raw if emit.option("raw_scores") else emit.node("Softmax", raw, axis=1)
        return _labels(emit, place), scores
    zero = emit.constant(np.array(0, dtype=dtype))
    flat = emit.node("Reshape", raw, emit.constant(np.array([-1])))
    label = _labels(emit, emit.cast(emit.node(at_zero, flat, zero), np.int64))
    if emit.option("raw_scores"):
        return label, emit.node("Concat", emit.node("Neg", raw), raw, axis=1)
    scaled = raw if factor == 1 else emit.node("Mul", raw, emit.constant(np.array(factor, dtype=dtype)))
    second = emit.node("Sigmoid", scaled)
    first = emit.node("Sub", emit.constant(np.array(1, dtype=dtype)), second)
    return label, emit.node("Concat", first, second, axis=1)
