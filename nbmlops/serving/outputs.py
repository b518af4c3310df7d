"""What a model answered, and the JSON that carries it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .documents import Output

Array = NDArray[Any]


@dataclass(slots=True)
class Outputs:
    """The answers to a batch; every array's first axis counts its rows.

    Attributes
    ----------
    labels : ndarray, optional
        What ``predict`` gives.
    probabilities : ndarray of shape (n_rows, n_classes), optional
    named : dict of ndarray, optional
        All outputs of a graph of which it isn't known which one holds labels.
    payload : object
        Plain data of a model that may answer anything; it can't be cut into rows.
    """

    labels: Array | None = None
    probabilities: Array | None = None
    named: dict[str, Array] | None = None
    payload: Any = None

    def lengths(self) -> set[int]:
        """Return the lengths of all arrays; one number where the answers are one a row."""
        arrays = [self.labels, self.probabilities, *(self.named or {}).values()]
        return {len(array) if array.ndim else -1 for array in arrays if array is not None}

    def part(self, start: int, stop: int) -> Outputs:
        """Return the answers to rows `start` to `stop`."""
        labels = None if self.labels is None else self.labels[start:stop]
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        named = None if self.named is None else {name: array[start:stop] for name, array in self.named.items()}
        return Outputs(labels, probabilities, named, self.payload)


def plain(value: Any) -> Any:
    """Return a JSON value for what `msgspec` does not know, as MLflow's encoder writes it.

    Raises
    ------
    NotImplementedError
        There is none.
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.datetime64):
        return np.datetime_as_string(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=plain)


def to_json(value: Any) -> bytes:
    """Return any answer as JSON text."""
    return _ENCODER.encode(value)


def listed(array: Array) -> Any:
    """Return an array as nested lists; moments become ISO 8601 text and bytes base64."""
    if array.dtype.kind == "M":
        return np.datetime_as_string(array).tolist()
    return array.tolist()


def encode(outputs: Outputs, output: Output, classes: list[Any] | None) -> bytes:
    """Return the body that answers a request: ``{"predictions": …}``, with ``classes`` beside probabilities.

    NaN and infinities become null, since JSON has neither.
    """
    document: dict[str, Any] = {"predictions": _predictions(outputs, output)}
    if output != "label" and classes is not None:
        document["classes"] = classes
    return _ENCODER.encode(document)


def _predictions(outputs: Outputs, output: Output) -> Any:
    if outputs.named is not None:
        return {name: listed(array) for name, array in outputs.named.items()}
    if outputs.labels is None and outputs.probabilities is None:
        return outputs.payload
    if output == "probabilities" and outputs.probabilities is not None:
        return outputs.probabilities.tolist()
    labels = listed(outputs.labels) if outputs.labels is not None else None
    if output == "both" and outputs.probabilities is not None and labels is not None:
        pairs = zip(labels, outputs.probabilities.tolist(), strict=True)
        return [{"label": label, "probabilities": probabilities} for label, probabilities in pairs]
    return labels
