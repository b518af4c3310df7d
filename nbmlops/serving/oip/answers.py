"""A model's outputs as the tensors of an answer, in JSON or binary behind it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ..documents import nearest, shown
from ..errors import invalid
from ..exchange import Answer
from ..outputs import Outputs, to_json
from .datatypes import DTYPES, Array, datatype_of, elements, write_binary
from .requests import HEADER

LABELS, PROBABILITIES = "predict", "predict_proba"  # MLServer's names
OCTETS = b"application/octet-stream"


@dataclass(slots=True)
class Wanted:
    """What of the answer the caller asked for, and how.

    Attributes
    ----------
    id : str, optional
        The caller's own, which the answer repeats.
    binary : bool
        Whether outputs come in binary unless said otherwise.
    outputs : list of (name, binary), optional
        The outputs by name; None for the model's own choice.
    """

    id: str | None = None
    binary: bool = False
    outputs: list[tuple[str, bool]] | None = None


def tensors_of(outputs: Outputs, label: str | None) -> dict[str, Array]:
    """Return outputs by name.

    Parameters
    ----------
    outputs : Outputs
    label : str, optional
        The datatype that the metadata gives the labels; they are widened to it, never narrowed.
    """
    if outputs.named is not None:
        return outputs.named
    if outputs.labels is None and outputs.probabilities is None:
        return _of_payload(outputs.payload, label)
    found = {}
    if outputs.labels is not None:
        found[LABELS] = _widened(outputs.labels, label)
    if outputs.probabilities is not None:
        found[PROBABILITIES] = _widened(outputs.probabilities, "FP64")
    return found


def _widened(array: Array, datatype: str | None) -> Array:
    if datatype is None or datatype == "BYTES" or not np.can_cast(array.dtype, DTYPES[datatype]):
        return array
    return array.astype(DTYPES[datatype], copy=False)


def _of_payload(payload: Any, label: str | None) -> dict[str, Array]:
    """Return plain data as tensors: columns of rows or of a dict by name, anything else under one name."""
    if isinstance(payload, msgspec.Raw):
        payload = msgspec.json.decode(payload)
    columns: dict[str, Any] | None = payload if isinstance(payload, dict) else None
    if isinstance(payload, list) and payload and all(isinstance(row, dict) for row in payload):
        names = list(payload[0])
        if names and all(list(row) == names for row in payload):
            columns = {name: [row[name] for row in payload] for name in names}
    if columns:
        arrays = {str(name): _array(values) for name, values in columns.items()}
        if all(array is not None for array in arrays.values()):
            return arrays  # type: ignore[return-value]
    array = _array(payload)
    if array is not None:
        return {LABELS: _widened(array, label)}
    return {LABELS: np.array([to_json(payload).decode()], dtype=object)}


def _array(values: Any) -> Array | None:
    """Return nested lists of one kind as an array; None where they are of several or ragged."""
    values = values if isinstance(values, list) else [values]
    try:
        array = np.array(values, dtype=object)
        kinds = {type(value) for value in array.ravel().tolist()}
        if kinds <= {str, type(None)}:
            return array
        if kinds == {bool}:
            return array.astype(bool)
        if kinds == {int}:
            return array.astype(np.int64)
        return array.astype(np.float64) if kinds <= {int, float, type(None)} else None
    except (ValueError, OverflowError):
        return None


def chosen(found: dict[str, Array], wanted: Wanted) -> list[tuple[str, Array, bool]]:
    """Return the outputs that the caller asked for, each with whether it comes in binary.

    Raises
    ------
    RequestError
        422 for one that there is not.
    """
    if wanted.outputs is None:
        return [(name, array, wanted.binary) for name, array in found.items()]
    for name, _ in wanted.outputs:
        if name not in found:
            raise unknown_output(name, list(found))
    return [(name, found[name], binary) for name, binary in wanted.outputs]


def unknown_output(name: str, names: Sequence[str]) -> Exception:
    """Return the error for an output that the model does not have."""
    message = f"the model has no output {shown(name)}{nearest(name, names)}"
    return invalid(message, field=f"outputs.{name[:80]}", expected=" or ".join(names))


def write_answer(head: dict[str, Any], outputs: Sequence[tuple[str, Array, bool]]) -> Answer:
    """Return the answer.

    Parameters
    ----------
    head : dict
        The document without its outputs.
    outputs : sequence of (name, array, binary)
    """
    documents, parts = [], []
    for name, array, binary in outputs:
        document: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype_of(array.dtype)}
        if binary:
            parts.append(write_binary(array))
            document["parameters"] = {"binary_data_size": len(parts[-1])}
        elif document["datatype"] == "BYTES":
            content_type, document["data"] = _texts(elements(array))
            document["parameters"] = {"content_type": content_type}
        else:
            document["data"] = array.ravel().tolist()
            document["parameters"] = {"content_type": "np"}
        documents.append(document)
    text = to_json({**head, "outputs": documents})
    if not parts:
        return Answer(200, text)
    return Answer(200, b"".join((text, *parts)), OCTETS, [(HEADER, str(len(text)).encode())])


def _texts(values: list[Any]) -> tuple[str, list[Any]]:
    """Return elements of ``BYTES`` as JSON's values, and MLServer's name of what they are: text, or base64."""
    try:
        return "str", [value.decode() if isinstance(value, bytes) else _text(value) for value in values]
    except UnicodeDecodeError:
        raw = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        return "base64", [base64.b64encode(value).decode() for value in raw]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
