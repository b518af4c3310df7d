"""scikit-learn to ONNX by skl2onnx, with one input for each type of column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import holds, tree_nodes
from nbmlops.conversion.float64_steps import float64_steps
from nbmlops.conversion.graph_inputs import possible_inputs
from nbmlops.conversion.graphs import Steps, scikit_learn_graph
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.preprocessing import as_model, with_float64_preprocessing
from nbmlops.conversion.rungs import FLOAT32, FLOAT64, FLOAT64_PREPROCESSING, ROUNDED
from nbmlops.conversion.seam import CONVERTER_ERRORS
from nbmlops.conversion.tree_steps import tree_steps
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import onnx

NODE_LIMIT = 600_000
"""Trees with more nodes in all are left alone: skl2onnx takes about 9 µs a node, so a conversion stays below some six
seconds."""
EXCLUDED = {
    "HistGradientBoosting": "its trees of HistGradientBoosting know no categories",
    "IsolationForest": "it takes minutes for an IsolationForest",
    "KNeighbors": "ONNX Runtime searches neighbours more slowly than scikit-learn",
    "GaussianProcess": "ONNX Runtime answers a Gaussian process more slowly than scikit-learn",
}
"""Classes, by the beginning of their names, on which a try would be wasted."""


class SklearnConverter:
    """Converts scikit-learn's own estimators, alone and in pipelines."""

    name = "skl2onnx"
    rungs = (FLOAT32, FLOAT64_PREPROCESSING, FLOAT64, ROUNDED)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is an estimator of scikit-learn, or a subclass of one, that predicts."""
        return is_of_scikit_learn(model)

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX.

        Numbers go in as float32, which scikit-learn's trees use too, or as float64 on the rungs that say so.

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
        if rung == FLOAT64_PREPROCESSING:
            return with_float64_preprocessing(model, signature, _float32_graph, converter=self.name)
        if rung == FLOAT64:
            steps = float64_steps(model) | tree_steps(model)
            return whole(model, signature, numbers="float64", steps=steps, converter=self.name)
        if rung == ROUNDED:
            steps = tree_steps(model, dtype="float32")
            return whole(model, signature, numbers="float32", steps=steps, converter=self.name)
        return whole(model, signature, numbers="float32", steps=Steps(), converter=self.name)


def is_of_scikit_learn(model: Any) -> bool:
    """Return whether `model` is an estimator of scikit-learn, or a subclass of one, that predicts."""
    return hasattr(model, "predict") and any(
        base.__module__.partition(".")[0] == "sklearn" for base in type(model).__mro__
    )


def whole(model: Any, signature: Mapping[str, Any], *, numbers: str, steps: Steps, converter: str) -> OnnxModel:
    """Return a model converted by skl2onnx as a whole.

    Parameters
    ----------
    model : object
    signature : mapping
    numbers : str
        The dtype that numbers go in as.
    steps : Steps
        What takes the place of skl2onnx's own conversions.
    converter : str

    Raises
    ------
    Exception
        The first of the errors where no possible inputs fit.
    """
    reasons: list[Exception] = []
    for inputs in possible_inputs(model, signature, numbers=numbers):
        try:
            return as_model(scikit_learn_graph(model, inputs, steps=steps), inputs, converter=converter)
        except CONVERTER_ERRORS as error:
            reasons.append(error)
    raise reasons[0]


def _float32_graph(estimator: Any, columns: int) -> onnx.ModelProto:
    return scikit_learn_graph(estimator, [{"name": "prepared columns", "dtype": "float32", "shape": [-1, columns]}])
