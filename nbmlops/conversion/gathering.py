"""Gathers a graph's many inputs of one column each into one input for each type of value.

ONNX Runtime takes about two microseconds for every array that it is handed, which is most of what a single row of
twenty columns costs. The columns come in side by side and are split inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

Input = Mapping[str, Any]
SPLIT_BY_INPUT = 13  # from this operator set on, Split's widths are an input


def gathered(model: onnx.ModelProto, inputs: Sequence[Input]) -> tuple[Input, ...]:
    """Change `model` so that inputs of one column and one type are fed as one array, and return its inputs.

    Parameters
    ----------
    model : onnx.ModelProto
        Changed in place.
    inputs : sequence of mapping
        As in `OnnxModel.inputs`, in the graph's order.

    Returns
    -------
    tuple of mapping
        The inputs that the graph has now.
    """
    from onnx import helper

    graph = model.graph
    declared = {value.name: value for value in graph.input}
    groups: dict[Any, list[Input]] = {}
    for one in inputs:
        groups.setdefault(one["dtype"] if one["shape"] == [-1, 1] else one["name"], []).append(one)
    made: list[Input] = []
    splits: list[onnx.NodeProto] = []
    for dtype, members in groups.items():
        if len(members) == 1:
            made.append(members[0])
            continue
        names = [one["name"] for one in members]
        name = _unused(f"columns of {dtype}", declared)
        kind = declared[names[0]].type.tensor_type.elem_type
        declared[name] = helper.make_tensor_value_info(name, kind, [None, len(names)])
        splits.append(_split(model, name, names))
        columns = [one["column"] for one in members]
        made.append({"name": name, "column": columns, "dtype": dtype, "shape": [-1, len(names)]})
    if splits:
        nodes = list(graph.node)
        del graph.node[:], graph.input[:]
        graph.node.extend([*splits, *nodes])
        graph.input.extend(declared[one["name"]] for one in made)
    return tuple(made)


def _split(model: onnx.ModelProto, name: str, names: Sequence[str]) -> onnx.NodeProto:
    """Return the node that takes one input apart, in the words of the model's own operator set."""
    from onnx import TensorProto, helper

    widths = [1] * len(names)
    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    if version < SPLIT_BY_INPUT:
        return helper.make_node("Split", [name], names, name=f"split {name}", axis=1, split=widths)
    given = f"widths of {name}"
    model.graph.initializer.append(helper.make_tensor(given, TensorProto.INT64, [len(widths)], widths))
    return helper.make_node("Split", [name, given], names, name=f"split {name}", axis=1)


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
