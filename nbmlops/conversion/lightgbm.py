"""LightGBM to ONNX number for number: its thresholds and sums are float64, which onnxmltools rounds to float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.conversion.boosters import LIGHTGBM, booster_of, is_bare, last_step, library_of, with_last_step
from nbmlops.conversion.boosting import outputs_of, parsed
from nbmlops.conversion.emitting import Emitter
from nbmlops.conversion.float64_steps import float64_steps
from nbmlops.conversion.graphs import TREES_ML_OPSET, Steps
from nbmlops.conversion.lightgbm_text import Header, header_of, trees_of
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT64, ROUNDED
from nbmlops.conversion.scikit_learn import whole
from nbmlops.conversion.trees import sums
from nbmlops.core.errors import InvalidObject

NODE_LIMIT = 2_000_000
"""Nodes of all trees; writing them takes about 3 µs each."""
PLAIN = frozenset({"fair", "huber", "lambdarank", "mape", "quantile", "rank_xendcg", "regression", "regression_l1", ""})
EXPONENTIAL = frozenset({"gamma", "poisson", "tweedie"})
LOGISTIC = frozenset({"binary", "cross_entropy", "multiclassova"})


class LightgbmConverter:
    """Converts LightGBM's estimators, alone or as the last step of a pipeline, and its bare Booster."""

    name = "lightgbm"
    rungs = (FLOAT64, ROUNDED)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is of LightGBM, or a pipeline that ends in such an estimator."""
        return library_of(last_step(model)) == LIGHTGBM

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT64) -> OnnxModel:
        """Return `model` in ONNX.

        Raises
        ------
        InvalidObject
            Its trees hold categories or linear models, or its objective does to the sums what is not known.
        """
        last = last_step(model)
        dtype = np.dtype(np.float32 if rung == ROUNDED else np.float64)
        ready = _Bare(last) if is_bare(last) else last
        if header_of(booster_of(last)).linear:
            raise InvalidObject("its leaves hold linear models")
        steps = Steps(
            conversions={type(ready): partial(_convert, dtype=dtype)},
            shapes={type(ready): partial(_shape, dtype)},
            parsers={type(ready): parsed},
            ml_opset=TREES_ML_OPSET,
        )
        before = float64_steps(model) if rung == FLOAT64 else Steps()
        made = with_last_step(model, ready)
        return whole(made, signature, numbers=str(dtype), steps=before | steps, converter=self.name)


@dataclass
class _Bare:
    """A Booster in the form of a regressor: what skl2onnx takes."""

    booster_: Any

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator

        return BaseEstimator().__sklearn_tags__()

    def predict(self, rows: Any) -> Any:
        return self.booster_.predict(rows)


def _shape(dtype: np.dtype[Any], operator: Any) -> None:
    from skl2onnx.common import data_types

    outputs_of(operator, data_types.DoubleTensorType if dtype == np.float64 else data_types.FloatTensorType)
    if isinstance(operator.raw_operator, _Bare):
        operator.outputs[0].type.shape[1] = header_of(operator.raw_operator.booster_).targets


def _convert(scope: Any, operator: Any, container: Any, *, dtype: np.dtype[Any]) -> None:
    from sklearn.base import is_classifier

    emit = Emitter(scope, operator, container)
    booster = booster_of(emit.step)
    header, trees = header_of(booster), list(trees_of(booster))
    if sum(len(tree.left) for tree in trees) > NODE_LIMIT:
        raise InvalidObject(f"its trees have more than {NODE_LIMIT:,} nodes, which take too long")
    given = emit.numbers() if dtype == np.float64 else emit.cast(emit.numbers(), dtype)
    raw = sums(emit, given, trees, targets=header.targets, dtype=dtype)
    if header.average:
        raw = emit.node("Div", raw, emit.constant(np.array(len(trees) // header.targets, dtype=dtype)))
    if is_classifier(emit.step) and header.objective.partition(" ")[0] in PLAIN:
        raise InvalidObject("its objective gives no probabilities")
    answer = _linked(emit, header, raw, dtype=dtype)
    emit.answer(*(_classes(emit, answer, header, dtype=dtype) if is_classifier(emit.step) else (answer,)))


def _linked(emit: Emitter, header: Header, raw: str, *, dtype: np.dtype[Any]) -> str:
    """Return the name of what the objective makes of the sums."""
    objective, *settings = header.objective.split() or [""]
    if "sqrt" in settings:
        return emit.node("Mul", raw, emit.node("Abs", raw))
    if objective in PLAIN:
        return raw
    if objective in EXPONENTIAL:
        return emit.node("Exp", raw)
    if objective == "multiclass":
        return emit.node("Softmax", raw, axis=1)
    if objective in LOGISTIC:
        factor = next((float(one.partition(":")[2]) for one in settings if one.startswith("sigmoid:")), 1.0)
        scaled = raw if factor == 1 else emit.node("Mul", raw, emit.constant(np.array(factor, dtype=dtype)))
        return emit.node("Sigmoid", scaled)
    raise InvalidObject(f"what its objective {objective!r} does to the sums is not known")


def _classes(emit: Emitter, answer: str, header: Header, *, dtype: np.dtype[Any]) -> tuple[str, str]:
    """Return the names of labels and probabilities."""
    if header.targets > 1:
        return _labels(emit, emit.node("ArgMax", answer, axis=1, keepdims=0)), answer
    flat = emit.node("Reshape", answer, emit.constant(np.array([-1])))
    second = emit.node("Greater", flat, emit.constant(np.array(0.5, dtype=dtype)))
    first = emit.node("Sub", emit.constant(np.array(1, dtype=dtype)), answer)
    return _labels(emit, emit.cast(second, np.int64)), emit.node("Concat", first, answer, axis=1)


def _labels(emit: Emitter, place: str) -> str:
    classes: npt.NDArray[Any] = np.asarray(emit.step.classes_)
    known = classes.astype(object if classes.dtype.kind in "OUS" else np.int64)
    return emit.node("Gather", emit.constant(known), place, axis=0)
