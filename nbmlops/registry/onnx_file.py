"""ONNX files that come from elsewhere: checked, and their signature read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbmlops.core.errors import InvalidObject
from nbmlops.registry.records import UNKNOWN, Signature

TYPES = {"float32": "float", "float64": "double", "int32": "integer", "int64": "long", "bool": "boolean"}


def read(path: Path) -> Any:
    """Return the ``ModelProto`` in a file, checked.

    Raises
    ------
    InvalidObject
        When the file holds no valid ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        onnx.checker.check_model(str(path))
        return onnx.load(str(path), load_external_data=False)
    except (DecodeError, onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidObject(
            f"{path.name} is no ONNX model ({reason})", expected="a file that onnx.checker accepts"
        ) from error


def external_files(model: Any) -> set[str]:
    """Return the names of the files beside it in which a model keeps tensors."""
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    return {ExternalDataInfo(t).location for t in model.graph.initializer if uses_external_data(t)}


def signature(path: Path) -> Signature:
    """Return the signature that a file states: one tensor, or one column for each named input."""
    graph = read(path).graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [_tensor(value) for value in graph.input if value.name not in given]
    outputs = [_tensor(value) for value in graph.output if value.type.HasField("tensor_type")]
    return {**UNKNOWN, "inputs": _form(inputs), "outputs": _form(outputs[:1])}


def _tensor(value: Any) -> tuple[str, str, list[int]]:
    import onnx

    kind = value.type.tensor_type
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
    return value.name, dtype, [-1, *shape[1:]]


def _form(tensors: list[tuple[str, str, list[int]]]) -> list[dict[str, Any]] | dict[str, Any] | None:
    if len(tensors) == 1:
        _, dtype, shape = tensors[0]
        return {"tensor": {"dtype": dtype, "shape": shape}}
    columns = [
        {"name": name, "type": TYPES.get(dtype, "string"), "required": True, "nullable": False}
        for name, dtype, _ in tensors
    ]
    return columns or None
