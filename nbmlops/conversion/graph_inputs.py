"""Which inputs a converted graph may have for the columns, or the tensor, of a signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmlops.conversion.estimators import has_columns
from nbmlops.core.errors import InvalidObject

Input = dict[str, Any]
NUMBERS = frozenset({"boolean", "integer", "long", "float", "double"})
EXACT = {"integer": "int64", "long": "int64", "boolean": "bool"}


def possible_inputs(model: Any, signature: Mapping[str, Any], *, numbers: str = "float32") -> list[tuple[Input, ...]]:
    """Return the inputs to try, one after the other, each as in `nbmlops.conversion.OnnxModel.inputs`.

    Columns of one type that no step picks apart are one input, side by side. Otherwise each column is one. Of float32,
    whole numbers and booleans go in as they are at a second try: one-hot columns of integers can't be made of floats.

    Parameters
    ----------
    model : object
    signature : mapping
    numbers : str
        The dtype of numbers: ``float32`` or ``float64``.

    Raises
    ------
    InvalidObject
        The inputs are unknown, or a column has a type that ONNX lacks.
    """
    declared = signature.get("inputs")
    if isinstance(declared, Mapping) and "tensor" in declared:
        tensor = declared["tensor"]
        dtype = "string" if str(tensor["dtype"]) in {"string", "object", "str"} else numbers
        return [({"name": "input", "column": None, "dtype": dtype, "shape": [-1, *tensor["shape"][1:]]},)]
    if not declared:
        raise InvalidObject("its inputs are unknown, because it was registered without data")
    odd = [column["name"] for column in declared if column["type"] not in NUMBERS | {"string"}]
    if odd:
        raise InvalidObject(f"ONNX has no type for the column {odd[0]!r}")
    texts = {column["type"] == "string" for column in declared}
    if len(declared) > 1 and len(texts) == 1 and not has_columns(model):
        names = [column["name"] for column in declared]
        dtype = "string" if texts.pop() else numbers
        return [({"name": "input", "column": names, "dtype": dtype, "shape": [-1, len(names)]},)]
    exact = tuple(_column(column, EXACT, numbers=numbers) for column in declared)
    floats = tuple(_column(column, {}, numbers=numbers) for column in declared)
    return [floats] if exact == floats or numbers == "float64" else [floats, exact]


def _column(column: Mapping[str, Any], exact: Mapping[str, str], *, numbers: str) -> Input:
    kind = column["type"]
    dtype = "string" if kind == "string" else numbers if column.get("nullable") else exact.get(kind, numbers)
    return {"name": column["name"], "column": column["name"], "dtype": dtype, "shape": [-1, 1]}
