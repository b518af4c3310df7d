"""torch to ONNX by torch's own exporter, with any number of rows."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.graphs import OPSET
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT32
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import onnx

INPUT, ROWS = "input", "rows"
EXAMPLE_ROWS = 3  # traced with; more than one, so that a module which drops an axis of length one is seen
NUMBERS = frozenset({"boolean", "integer", "long", "float", "double"})


class TorchConverter:
    """Converts torch modules that take one array of numbers and answer with one."""

    name = "torch"
    rungs = (FLOAT32,)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is a torch module."""
        return any(base.__module__.startswith("torch.nn.") for base in type(model).__mro__)

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX, traced on an example; what branches on its numbers shows in the comparison.

        Raises
        ------
        InvalidObject
            The inputs are no numbers, or the module has several outputs.
        """
        inputs = one_input(signature)
        graph = exported(model, inputs["shape"][1:])
        if len(graph.graph.output) != 1:
            raise InvalidObject(f"it answers with {len(graph.graph.output)} tensors, and one is expected")
        return OnnxModel(
            content=graph.SerializeToString(deterministic=True),
            converter=self.name,
            inputs=(inputs,),
            label_output=graph.graph.output[0].name,
            probability_output=None,
            opset=OPSET,
        )


def one_input(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input of a graph that takes all numbers of a row as one array of float32.

    Raises
    ------
    InvalidObject
        The signature is unknown, or holds what is no number.
    """
    declared = signature.get("inputs")
    if isinstance(declared, Mapping) and "tensor" in declared:
        shape = [int(length) for length in declared["tensor"]["shape"][1:]]
        if min(shape, default=1) < 1 or str(declared["tensor"]["dtype"]) in {"string", "object", "str"}:
            raise InvalidObject(f"its input has the shape {declared['tensor']['shape']} and is no array of numbers")
        return {"name": INPUT, "column": None, "dtype": "float32", "shape": [-1, *shape]}
    if not isinstance(declared, list) or not declared:
        raise InvalidObject("its inputs are unknown, because it was registered without data")
    odd = [column["name"] for column in declared if column["type"] not in NUMBERS]
    if odd:
        raise InvalidObject(f"the column {odd[0]!r} holds no numbers")
    names = [column["name"] for column in declared]
    return {"name": INPUT, "column": names, "dtype": "float32", "shape": [-1, len(names)]}


def exported(module: Any, shape: list[int]) -> onnx.ModelProto:
    """Return a torch module in ONNX; its input has the shape ``(n_rows, *shape)`` and is called `INPUT`.

    torch's older exporter is asked: it takes a tenth of a second where the newer one takes twenty, and needs no more
    packages.
    """
    import onnx
    import torch

    target = io.BytesIO()
    trained = module.training
    module.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.zeros(EXAMPLE_ROWS, *shape),),
                target,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                dynamic_axes={INPUT: {0: ROWS}},
            )
    finally:
        module.train(trained)
    graph = onnx.load_from_string(target.getvalue())
    for node in graph.graph.node:
        node.doc_string = ""  # where it was defined, on this machine
    for output in graph.graph.output:
        dimensions = output.type.tensor_type.shape.dim
        if dimensions:  # some are traced as long as the example
            dimensions[0].dim_param = ROWS
    return graph
