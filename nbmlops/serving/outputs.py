"""What a model answered, and the JSON that carries it."""

from __future__ import annotations

import base64
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
    """Return a JSON value for what `msgspec` does not know; a moment becomes ISO 8601 text, however fine.

    Raises
    ------
    NotImplementedError
        There is none.
    """
    if isinstance(value, np.ndarray):
        return listed(value)
    if isinstance(value, np.datetime64):
        return np.datetime_as_string(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=plain)
_encode = _ENCODER.encode
_SIMPLE = frozenset("biufU")


def to_json(value: Any) -> bytes:
    """Return any answer as JSON text."""
    return _encode(value)


def listed(array: Array) -> Any:
    """Return an array as nested lists in MLflow's form.

    Bytes become base64 in lines; moments ISO 8601 text, or a count where they are finer than microseconds.
    """
    values = array.tolist()
    return values if array.dtype.kind in _SIMPLE else _spelled(values)


def _spelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return base64.encodebytes(value).decode() if isinstance(value, bytes) else value


class AnswerEncoder:
    """Writes the body that answers a request: ``{"predictions": …}``, with ``classes`` beside probabilities.

    NaN and infinities become null, since JSON has neither.

    Parameters
    ----------
    classes : list, optional
        A classifier's classes in the order of its probabilities.
    """

    def __init__(self, classes: list[Any] | None) -> None:
        self._tail = b"}" if classes is None else b',"classes":' + _encode(classes) + b"}"

    def __call__(self, outputs: Outputs, output: Output) -> bytes:
        """Return the body for the wanted output."""
        labels = outputs.labels
        if output == "label" and labels is not None and labels.dtype.kind in _SIMPLE:
            return b'{"predictions":' + _encode(labels.tolist()) + b"}"
        tail = b"}" if output == "label" else self._tail
        return b'{"predictions":' + _encode(_predictions(outputs, output)) + tail


def encode(outputs: Outputs, output: Output, classes: list[Any] | None) -> bytes:
    """Return the body that answers one request; `AnswerEncoder` does the same for many."""
    return AnswerEncoder(classes)(outputs, output)


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
