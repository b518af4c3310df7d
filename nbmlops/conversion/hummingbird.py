"""scikit-learn to ONNX by Hummingbird, which writes trees and linear models as operations on tensors.

Its own ONNX back end no longer works with today's torch, so that its torch back end's module goes through torch's
exporter instead; the tensors are the same.

References
----------
S. Nakandala et al. (2020). A tensor compiler for unified machine learning prediction serving. OSDI.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import has_columns
from nbmlops.conversion.graphs import OPSET
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT32
from nbmlops.conversion.torch_module import exported, one_input
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import onnx

NEEDED = ("hummingbird", "torch")
LABELS, PROBABILITIES = 0, 1


class HummingbirdConverter:
    """Converts estimators of numbers, where Hummingbird and torch are installed."""

    name = "hummingbird"
    rungs = (FLOAT32,)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is an estimator that predicts, and Hummingbird is there."""
        known = any(base.__module__.startswith("sklearn.") for base in type(model).__mro__)
        return known and hasattr(model, "predict") and all(find_spec(name) is not None for name in NEEDED)

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX.

        Raises
        ------
        InvalidObject
            The inputs are no numbers, columns are picked by name, or the classes are no whole numbers.
        RuntimeError
            Hummingbird has no operator for a step.
        """
        from hummingbird.ml import convert

        if has_columns(model):
            raise InvalidObject("it picks no columns by their names")
        classes = getattr(model, "classes_", None)
        if classes is not None and getattr(classes, "dtype", None) is not None and classes.dtype.kind not in "iu":
            raise InvalidObject("it takes classes that are whole numbers alone")
        inputs = one_input(signature)
        # Its way for shallow trees, matrix products, is traced for the rows of the example alone.
        ready = convert(model, "torch", extra_config={"tree_implementation": "tree_trav"})
        graph = exported(ready.model, inputs["shape"][1:])
        outputs = graph.graph.output
        if classes is not None or hasattr(model, "offset_"):
            _whole(graph)
        return OnnxModel(
            content=graph.SerializeToString(deterministic=True),
            converter=self.name,
            inputs=(inputs,),
            label_output=outputs[LABELS].name,
            probability_output=outputs[PROBABILITIES].name if hasattr(model, "predict_proba") else None,
            opset=OPSET,
        )


def _whole(graph: onnx.ModelProto) -> None:
    """Let labels be 64 bits wide, as scikit-learn's are."""
    from onnx import TensorProto, helper

    label = graph.graph.output[LABELS]
    name = f"{label.name} as int64"
    graph.graph.node.append(helper.make_node("Cast", [label.name], [name], to=TensorProto.INT64))
    label.name = name
    label.type.tensor_type.elem_type = TensorProto.INT64
