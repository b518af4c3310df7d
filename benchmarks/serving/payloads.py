"""The same rows in the form that each server asks for them, and its answers back as labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from .models import DEPLOYED_INPUTS, NUMBERS, TEXTS

Payloads = Callable[[pd.DataFrame], list[bytes]]
Labels = Callable[[Any], list[int]]


def rows_of(data: pd.DataFrame) -> list[list[Any]]:
    """Return the rows as plain lists."""
    return [list(row) for row in data.astype(object).itertuples(index=False)]


def mlflow_split(data: pd.DataFrame) -> list[bytes]:
    """Return MLflow's ``dataframe_split``, one row a request."""
    columns = list(data)
    return [json.dumps({"dataframe_split": {"columns": columns, "data": [row]}}).encode() for row in rows_of(data)]


def mlflow_inputs(data: pd.DataFrame) -> list[bytes]:
    """Return MLflow's named tensors, which its ONNX flavour takes: the numbers of a row, and its texts."""
    numbers, texts = rows_of(data[NUMBERS]), rows_of(data[TEXTS])
    return [
        json.dumps({"inputs": {DEPLOYED_INPUTS[0]: [first], DEPLOYED_INPUTS[1]: [second]}}).encode()
        for first, second in zip(numbers, texts, strict=True)
    ]


def inference(data: pd.DataFrame) -> list[bytes]:
    """Return the Open Inference Protocol's JSON, one tensor of shape (1, 1) for each column, as MLServer takes it."""

    def tensor(name: str, value: Any) -> dict[str, Any]:
        if name in NUMBERS:
            return {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        return {
            "name": name,
            "shape": [1, 1],
            "datatype": "BYTES",
            "data": [value],
            "parameters": {"content_type": "str"},
        }

    return [
        json.dumps(
            {
                "parameters": {"content_type": "pd"},
                "inputs": [tensor(name, value) for name, value in zip(NUMBERS + TEXTS, row, strict=True)],
            }
        ).encode()
        for row in rows_of(data)
    ]


def record(data: pd.DataFrame) -> list[bytes]:
    """Return one object of 23 fields a request, as a pydantic model of the row takes it."""
    return [json.dumps(dict(zip(data, row, strict=True))).encode() for row in rows_of(data)]


def bento(data: pd.DataFrame) -> list[bytes]:
    """Return BentoML's form for an argument ``rows`` that is a list of rows."""
    return [json.dumps({"rows": [row]}).encode() for row in rows_of(data)]
