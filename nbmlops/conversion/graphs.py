"""Graphs of scikit-learn's objects, made by skl2onnx: what the rungs of the ladder put together."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import convertible, holds, text_vectorizers

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""Pinned, so that a model converts to the same bytes everywhere: every supported ONNX Runtime (1.18 and later) and
skl2onnx (1.18 and later) know it."""
ML_OPSET = 3
TREES_ML_OPSET = 5
"""The first operator set with trees whose sums come out in float64."""


@dataclass(frozen=True)
class Steps:
    """Conversions of single steps that take the place of skl2onnx's own.

    Attributes
    ----------
    conversions : mapping of type to callable
        ``(scope, operator, container) -> None``, as skl2onnx calls it.
    shapes : mapping of type to callable
        ``(operator) -> None``, for each of `conversions`.
    parsers : mapping of type to callable
        ``(scope, model, inputs, custom_parsers=None) -> outputs``, for those whose outputs are of a type that skl2onnx
        does not expect.
    ml_opset : int
        Version of the operators of machine learning that they need.
    """

    conversions: Mapping[type, Callable[..., None]] = field(default_factory=dict)
    shapes: Mapping[type, Callable[..., None]] = field(default_factory=dict)
    parsers: Mapping[type, Callable[..., Any]] = field(default_factory=dict)
    ml_opset: int = ML_OPSET

    def __or__(self, other: Steps) -> Steps:
        return Steps(
            conversions={**self.conversions, **other.conversions},
            shapes={**self.shapes, **other.shapes},
            parsers={**self.parsers, **other.parsers},
            ml_opset=max(self.ml_opset, other.ml_opset),
        )


def scikit_learn_graph(
    model: Any, inputs: Sequence[Mapping[str, Any]], *, steps: Steps | None = None
) -> onnx.ModelProto:
    """Return the graph of an estimator, a transformer or a pipeline.

    The first output holds labels, values or transformed columns; of a classifier with ``predict_proba``, the second
    holds probabilities.

    Parameters
    ----------
    model : object
        Left as it was.
    inputs : sequence of mapping
        ``name``, ``dtype`` and ``shape`` of each, as in `nbmlops.conversion.OnnxModel.inputs`.
    steps : Steps, optional

    Raises
    ------
    Exception
        Any of `nbmlops.conversion.seam.CONVERTER_ERRORS`.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common import data_types

    kinds = {
        "float32": data_types.FloatTensorType,
        "float64": data_types.DoubleTensorType,
        "int64": data_types.Int64TensorType,
        "bool": data_types.BooleanTensorType,
        "string": data_types.StringTensorType,
    }
    steps = steps or Steps()
    types = [(one["name"], kinds[one["dtype"]]([None, *one["shape"][1:]])) for one in inputs]
    ready = convertible(model)
    # skl2onnx knows no such option of an estimator that it does not know, and adds no such step behind its parser.
    zipped = has_probabilities(model) and type(_last(model)) not in steps.parsers
    options = {**_options(model), **({id(ready): {"zipmap": False}} if zipped else {})}
    with _silence():
        graph: onnx.ModelProto = convert_sklearn(
            ready,
            name="model",
            initial_types=types,
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            options=options or None,
            custom_conversion_functions=dict(steps.conversions) or None,
            custom_shape_calculators=dict(steps.shapes) or None,
            custom_parsers=dict(steps.parsers) or None,
        )
    for entry in graph.opset_import:
        if entry.domain == "ai.onnx.ml":  # skl2onnx itself knows no later one than 3
            entry.version = max(entry.version, steps.ml_opset)
    if not has_probabilities(model):
        del graph.graph.output[1:]  # scores, which nobody asks for
    if getattr(getattr(model, "classes_", None), "dtype", "") == "bool":
        _answer_booleans(graph.graph)
    return graph


def has_probabilities(model: Any) -> bool:
    """Return whether a converted `model` answers probabilities beside its labels."""
    from sklearn.base import is_classifier

    return bool(is_classifier(model)) and hasattr(model, "predict_proba")


def _last(model: Any) -> Any:
    return _last(model.steps[-1][1]) if hasattr(model, "steps") else model


def _options(model: Any) -> dict[Any, Any]:
    """Return what some steps need to be told: a locale that every machine has, and plain scores."""
    from sklearn.svm import LinearSVC

    options: dict[Any, Any] = {kind: {"locale": "C"} for kind in text_vectorizers(model)}
    return {**options, LinearSVC: {"raw_scores": True}} if holds(model, "LinearSVC") else options


def _answer_booleans(graph: onnx.GraphProto) -> None:
    """Let the label be true or false, as the fitted object says it; skl2onnx answers 1 or 0."""
    from onnx import TensorProto, helper

    label = graph.output[0]
    graph.node.append(helper.make_node("Cast", [label.name], [f"{label.name}_boolean"], to=TensorProto.BOOL))
    label.CopyFrom(helper.make_tensor_value_info(f"{label.name}_boolean", TensorProto.BOOL, [None]))


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what skl2onnx says to itself: a failed conversion is told in the report, and a cell has one output."""
    logger = logging.getLogger("skl2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
