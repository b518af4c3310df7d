"""What a captured answer in the Open Inference Protocol says of each row."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from nbmlops.monitoring.answers import OUTPUT, PREDICTION, PROBABILITY
from nbmlops.serving.oip.answers import LABELS, PROBABILITIES
from nbmlops.serving.oip.datatypes import read_binary
from nbmlops.serving.outputs import to_json


def tensor_answers_of(content: bytes, split: int, *, rows: int, classes: Sequence[Any] | None) -> dict[str, list[Any]]:
    """Return the columns of an answer, as `nbmlops.monitoring.answers.answers_of` does for MLflow's protocol.

    Parameters
    ----------
    content : bytes
    split : int, bytes
        Length of the JSON where binary tensors follow it; 0 where none do, or where nobody said.
    rows : int
    classes : sequence, optional
        Names of the columns of probabilities.

    Raises
    ------
    msgspec.MsgspecError, RequestError, ValueError, KeyError
        It can't be read.
    """
    end = split or _end(content)
    columns: dict[str, list[Any]] = {}
    for output in msgspec.json.decode(content[:end])["outputs"]:
        name, shape = output["name"], output["shape"]
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = list(output["data"])
        else:
            raw = content[end : end + size]
            values = [_text(one) for one in read_binary(name, output["datatype"], raw, count=math.prod(shape)).tolist()]
            end += size
        columns |= _columns(name, values, shape, rows=rows, classes=classes)
    return columns


def _end(content: bytes) -> int:
    """Return where the JSON ends: what a shadow answered is kept without the header that says it."""
    _, end = json.JSONDecoder().raw_decode(content.decode("latin-1"))  # one character a byte
    return end


def _columns(
    name: str, values: list[Any], shape: list[int], *, rows: int, classes: Sequence[Any] | None
) -> dict[str, list[Any]]:
    column = PREDICTION if name == LABELS else f"{OUTPUT}{name}"
    if shape[:1] != [rows] or len(values) != math.prod(shape):
        return {column: [to_json(values).decode(), *[None] * (rows - 1)]}
    array = np.empty(len(values), dtype=object)
    array[:] = values
    if name == PROBABILITIES and len(shape) == 2:
        names = classes if classes is not None and len(classes) == shape[1] else range(shape[1])
        return {f"{PROBABILITY}{one}": part.tolist() for one, part in zip(names, array.reshape(shape).T, strict=True)}
    return {column: (array if len(values) == rows else array.reshape(shape)).tolist()}


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
