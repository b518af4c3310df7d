"""Preprocessing in float64 before an estimator that takes float32 (or float64): two graphs joined to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.float64_steps import float64_steps
from nbmlops.conversion.gathering import gathered
from nbmlops.conversion.graph_inputs import Input, possible_inputs
from nbmlops.conversion.graphs import OPSET, scikit_learn_graph
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.seam import CONVERTER_ERRORS
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import onnx

EstimatorGraph = Callable[[Any, int], "onnx.ModelProto"]
"""Makes the graph of a pipeline's last step: called with the fitted estimator and the number of columns that reach it.

The graph has one input of shape ``(n_rows, n_columns)``, float32 or float64, and one or two outputs: labels or values
first, then probabilities, ``(n_rows, n_classes)``. Its default operator set is `nbmlops.conversion.graphs.OPSET`.
"""
PREFIX = "prepared "


def with_float64_preprocessing(
    pipeline: Any, signature: Mapping[str, Any], estimator_graph: EstimatorGraph, *, converter: str
) -> OnnxModel:
    """Return a pipeline in ONNX whose preparing steps count in float64, joined to the graph of its last step.

    scikit-learn prepares in float64; in float32 a scaled number can land on the other side of a tree's threshold.
    Numbers go in as float64, and a cast stands before an estimator that takes float32: scikit-learn's trees cast just
    there themselves.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Fitted. Its last step may be an estimator of any library; a pipeline as the last step is taken apart in turn.
    signature : mapping
        As the registry stored it.
    estimator_graph : callable
        ``(estimator, n_columns) -> onnx.ModelProto``, see `EstimatorGraph`.
    converter : str
        The name that the model is signed with.

    Raises
    ------
    InvalidObject
        `pipeline` has no step before its estimator, or an input has a type that ONNX lacks.
    Exception
        Any other of `nbmlops.conversion.seam.CONVERTER_ERRORS`: skl2onnx can't take a preparing step.
    """
    prepare, estimator = taken_apart(pipeline)
    reasons: list[Exception] = []
    for inputs in possible_inputs(pipeline, signature, numbers="float64"):
        try:
            prepared = _prepared(prepare, inputs)
        except CONVERTER_ERRORS as error:
            reasons.append(error)
            continue
        made = estimator_graph(estimator, _width(prepared, estimator))
        return as_model(joined(prepared, made), inputs, converter=converter)
    raise reasons[0]


def taken_apart(pipeline: Any) -> tuple[Any, Any]:
    """Return a pipeline's preparing steps, as a pipeline of their own, and its estimator.

    Raises
    ------
    InvalidObject
        There is nothing before the estimator.
    """
    from sklearn.pipeline import Pipeline

    steps = []
    last = pipeline
    while isinstance(last, Pipeline):
        steps += [step for _, step in last.steps[:-1] if step is not None and step != "passthrough"]
        last = last.steps[-1][1]
    if not steps:
        raise InvalidObject("there is no preprocessing before its estimator")
    return Pipeline([(f"step {number}", step) for number, step in enumerate(steps)]), last


def _prepared(prepare: Any, inputs: tuple[Input, ...]) -> onnx.ModelProto:
    graph = scikit_learn_graph(prepare, inputs, steps=float64_steps(prepare))
    if len(graph.graph.output) != 1:
        raise InvalidObject("its preprocessing gives no single array")
    return graph


def _width(prepared: onnx.ModelProto, estimator: Any) -> int:
    shape = prepared.graph.output[0].type.tensor_type.shape.dim
    known = shape[1].dim_value if len(shape) > 1 else 0
    return int(getattr(estimator, "n_features_in_", 0) or known)


def joined(prepared: onnx.ModelProto, estimator: onnx.ModelProto) -> onnx.ModelProto:
    """Return one model: `prepared`'s only output feeds `estimator`'s only input, cast to its type where that differs.

    Parameters
    ----------
    prepared, estimator : onnx.ModelProto
        The higher version of each operator set is taken for both.
    """
    from onnx import compose

    ahead = compose.add_prefix(prepared, PREFIX, rename_inputs=False)
    behind = estimator
    if {one.name for one in estimator.graph.output} & {one.name for one in prepared.graph.input}:
        behind = compose.add_prefix(estimator, "answered ")
    [wanted] = behind.graph.input
    output = _cast(ahead, wanted.type.tensor_type.elem_type)
    _align(ahead, behind)
    model = compose.merge_models(ahead, behind, io_map=[(output, wanted.name)], producer_name="nbmlops")
    model.graph.name = "model"
    return model


def _cast(model: onnx.ModelProto, kind: int) -> str:
    """Let the only output of `model` be of type `kind`, and return its name."""
    from onnx import helper

    [output] = model.graph.output
    if output.type.tensor_type.elem_type == kind:
        return str(output.name)
    name = f"{output.name} cast"
    model.graph.node.append(helper.make_node("Cast", [output.name], [name], to=kind, name=f"cast {output.name}"))
    output.name, output.type.tensor_type.elem_type = name, kind
    return name


def _align(*models: onnx.ModelProto) -> None:
    """Give all models the highest version of each operator set among them, and of the format."""
    from onnx import helper

    versions: dict[str, int] = {}
    for model in models:
        for entry in model.opset_import:
            domain = "" if entry.domain == "ai.onnx" else entry.domain
            versions[domain] = max(versions.get(domain, 0), entry.version)
    for model in models:
        model.ir_version = max(one.ir_version for one in models)
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(domain, versions[domain]) for domain in sorted(versions))


def as_model(graph: onnx.ModelProto, inputs: tuple[Input, ...], *, converter: str) -> OnnxModel:
    """Return a graph, its inputs gathered, as a converted model.

    Parameters
    ----------
    graph : onnx.ModelProto
        Its first output holds labels or values, the second, if any, probabilities. Changed in place.
    inputs : tuple of mapping
        As in `OnnxModel.inputs`, in the graph's order.
    converter : str
    """
    fed = gathered(graph, inputs)
    outputs = [output.name for output in graph.graph.output]
    return OnnxModel(
        content=graph.SerializeToString(deterministic=True),
        converter=converter,
        inputs=fed,
        label_output=outputs[0],
        probability_output=outputs[1] if len(outputs) > 1 else None,
        opset=next((one.version for one in graph.opset_import if one.domain in ("", "ai.onnx")), OPSET),
    )
