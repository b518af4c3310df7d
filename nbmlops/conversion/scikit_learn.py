"""scikit-learn to ONNX by skl2onnx, in float32, with one input for each type of column."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import convertible, has_columns, holds, text_vectorizers, tree_nodes
from nbmlops.conversion.gathering import gathered
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT32
from nbmlops.conversion.seam import CONVERTER_ERRORS
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""Pinned, so that a model converts to the same bytes everywhere: every supported ONNX Runtime (1.18 and later) and
skl2onnx (1.18 and later) know it."""
ML_OPSET = 3
NODE_LIMIT = 600_000
"""Trees with more nodes in all are left alone: skl2onnx takes about 9 µs a node, so a conversion stays below some six
seconds."""
EXCLUDED = {
    "HistGradientBoosting": "its converter for HistGradientBoosting does not work",
    "IsolationForest": "it takes minutes for an IsolationForest",
    "KNeighbors": "ONNX Runtime searches neighbours more slowly than scikit-learn",
    "GaussianProcess": "ONNX Runtime answers a Gaussian process more slowly than scikit-learn",
}
"""Classes, by the beginning of their names, on which a try would be wasted."""
NUMBERS = frozenset({"boolean", "integer", "long", "float", "double"})


class SklearnConverter:
    """Converts scikit-learn's own estimators, alone and in pipelines."""

    name = "skl2onnx"
    rungs = (FLOAT32,)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is an estimator of scikit-learn, or a subclass of one, that predicts."""
        return hasattr(model, "predict") and any(
            base.__module__.partition(".")[0] == "sklearn" for base in type(model).__mro__
        )

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX.

        Numbers go in as float32, which scikit-learn's trees use too; where skl2onnx asks for whole numbers (one-hot
        columns of integers), a second try feeds integers and booleans as they are.

        Raises
        ------
        InvalidObject
            skl2onnx has no converter for a step, an input has a type that it can't take, or the trees are too many.
        """
        for kind, reason in EXCLUDED.items():
            if holds(model, kind):
                raise InvalidObject(reason)
        nodes = tree_nodes(model)
        if nodes > NODE_LIMIT:
            raise InvalidObject(f"its trees have {nodes:,} nodes, and more than {NODE_LIMIT:,} take too long")
        reasons: list[Exception] = []
        for inputs in _possible_inputs(model, signature):
            try:
                return _convert(model, inputs)
            except CONVERTER_ERRORS as error:
                reasons.append(error)
        raise reasons[0]


def _possible_inputs(model: Any, signature: Mapping[str, Any]) -> list[tuple[dict[str, Any], ...]]:
    declared = signature.get("inputs")
    if isinstance(declared, Mapping) and "tensor" in declared:
        tensor = declared["tensor"]
        dtype = "string" if str(tensor["dtype"]) in {"string", "object", "str"} else "float32"
        return [({"name": "input", "column": None, "dtype": dtype, "shape": [-1, *tensor["shape"][1:]]},)]
    if not declared:
        raise InvalidObject("its inputs are unknown, because it was registered without data")
    odd = [column["name"] for column in declared if column["type"] not in NUMBERS | {"string"}]
    if odd:
        raise InvalidObject(f"ONNX has no type for the column {odd[0]!r}")
    texts = {column["type"] == "string" for column in declared}
    if len(declared) > 1 and len(texts) == 1 and not has_columns(model):
        names = [column["name"] for column in declared]
        dtype = "string" if texts.pop() else "float32"
        return [({"name": "input", "column": names, "dtype": dtype, "shape": [-1, len(names)]},)]
    exact = tuple(_column(column, _EXACT) for column in declared)
    floats = tuple(_column(column, {}) for column in declared)
    return [floats] if exact == floats else [floats, exact]


_EXACT = {"integer": "int64", "long": "int64", "boolean": "bool"}


def _column(column: Mapping[str, Any], exact: Mapping[str, str]) -> dict[str, Any]:
    kind = column["type"]
    dtype = "string" if kind == "string" else "float32" if column.get("nullable") else exact.get(kind, "float32")
    return {"name": column["name"], "column": column["name"], "dtype": dtype, "shape": [-1, 1]}


def _convert(model: Any, inputs: Sequence[Mapping[str, Any]]) -> OnnxModel:
    from skl2onnx import convert_sklearn
    from skl2onnx.common import data_types
    from sklearn.base import is_classifier

    kinds = {
        "float32": data_types.FloatTensorType,
        "int64": data_types.Int64TensorType,
        "bool": data_types.BooleanTensorType,
        "string": data_types.StringTensorType,
    }
    types = [(one["name"], kinds[one["dtype"]]([None, *one["shape"][1:]])) for one in inputs]
    ready = convertible(model)
    probabilities = is_classifier(model) and hasattr(model, "predict_proba")
    options = {**_options(model), **({id(ready): {"zipmap": False}} if probabilities else {})}
    with _silence():
        graph = convert_sklearn(
            ready,
            name="model",
            initial_types=types,
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            options=options or None,
        )
    if getattr(getattr(model, "classes_", None), "dtype", "") == "bool":
        _answer_booleans(graph.graph)
    inputs = gathered(graph, inputs)
    outputs = [output.name for output in graph.graph.output]
    return OnnxModel(
        content=graph.SerializeToString(deterministic=True),
        converter=SklearnConverter.name,
        inputs=inputs,
        label_output=outputs[0],
        probability_output=outputs[1] if probabilities else None,
        opset=OPSET,
    )


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
