from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from nbmlops.conversion.gathering import gathered


def model(version: int) -> onnx.ModelProto:
    """Subtracts the second number from the first; the text passes through."""
    kinds = {"a": TensorProto.FLOAT, "t": TensorProto.STRING, "b": TensorProto.FLOAT}
    nodes = [helper.make_node("Sub", ["a", "b"], ["y"]), helper.make_node("Identity", ["t"], ["u"])]
    graph = helper.make_graph(
        nodes,
        "difference",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info("u", TensorProto.STRING, [None, 1]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def column(name: str, dtype: str) -> dict:
    return {"name": name, "column": name, "dtype": dtype, "shape": [-1, 1]}


@pytest.mark.parametrize("version", [9, 13, 18, 21])
def test_the_answers_stay_and_the_inputs_are_fewer(version):
    made = model(version)
    inputs = gathered(made, [column("a", "float32"), column("t", "string"), column("b", "float32")])
    assert [(one["column"], one["shape"]) for one in inputs] == [(["a", "b"], [-1, 2]), ("t", [-1, 1])]
    onnx.checker.check_model(made)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {inputs[0]["name"]: np.array([[3, 1], [5, 7]], np.float32), "t": np.array([["x"], ["y"]], object)}
    difference, text = session.run(None, feeds)
    assert (difference.tolist(), text.tolist()) == ([[2], [-2]], [["x"], ["y"]])


def test_a_graph_without_two_alike_is_left_as_it_is():
    made = model(18)
    before = made.SerializeToString()
    inputs = (column("a", "float32"), column("t", "string"), {**column("b", "float32"), "shape": [-1, 3]})
    assert gathered(made, inputs) == inputs
    assert made.SerializeToString() == before


def test_a_name_that_is_taken_is_not_taken_again():
    made = model(18)
    made.graph.input[1].name = made.graph.node[1].input[0] = "columns of float32"
    inputs = gathered(made, [column("a", "float32"), column("columns of float32", "string"), column("b", "float32")])
    assert len({one["name"] for one in inputs}) == 2
    onnx.checker.check_model(made)
