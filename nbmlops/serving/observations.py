"""What is counted of an arm's requests: small histograms of whole numbers that add exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import frexp, ldexp
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key")

STEPS = 16
"""Buckets for each doubling: 3 to 6 % wide."""

NAMED = 200
"""Labels that are counted by their text; others are counted by a hash of it."""

CELLS = 4096
"""What the hash of a label is cut to."""

NUMBERS = 64 * STEPS
"""Buckets for the positive numbers, from 2**-33 to 2**31; as many for the negative ones, and one for zero."""

_LONGEST = 64
_MIDDLE = 33
_HIGHEST = NUMBERS // STEPS - _MIDDLE


def latency_bucket(seconds: float) -> int:
    """Return the bucket of a latency; anything outside 1 µs to 12 days is counted at that end."""
    if not 1e-6 < seconds < 1e6:
        seconds = 1e6 if seconds >= 1e6 else 1e-6
    fraction, exponent = frexp(seconds)
    return exponent * STEPS + int(fraction * (2 * STEPS)) - STEPS


def edge(bucket: int) -> float:
    """Return the least latency of a bucket, in seconds."""
    return ldexp((STEPS + bucket % STEPS) / (2 * STEPS), bucket // STEPS)


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """Return a quantile of counted latencies in seconds, to the middle of its bucket; None when nothing was counted.

    Examples
    --------
    >>> counts = {latency_bucket(0.001): 95, latency_bucket(0.1): 5}
    >>> round(percentile(counts, 0.5), 4), round(percentile(counts, 0.99), 2)
    (0.001, 0.1)
    """
    rank, seen = share * sum(latencies.values()), 0
    for bucket in sorted(latencies):
        seen += latencies[bucket]
        if seen >= rank:
            return (edge(bucket) + edge(bucket + 1)) / 2
    return None


def number_bucket(value: float) -> int:
    """Return the bucket of a number that is not NaN; a larger number never has a smaller bucket."""
    fraction, exponent = frexp(abs(value))
    if fraction == 0 or exponent <= -_MIDDLE:
        return 0
    if exponent > _HIGHEST or fraction > 1:
        magnitude = NUMBERS
    else:
        magnitude = (exponent + _MIDDLE) * STEPS + int(fraction * (2 * STEPS)) - (2 * STEPS - 1)
    return magnitude if value > 0 else -magnitude


class Observations:
    """The requests that one arm got, as counts.

    Requests that the caller got wrong (a 4xx) never reached a model and are not observed. Of a request with several
    rows the first answer is counted alone: rows of one request depend on each other, and the tests take what they
    count to be independent.

    Attributes
    ----------
    requests, errors : int
        Errors are requests that the arm failed: a 5xx, a time-out.
    latencies : dict of int to int
        Of the requests that it did not fail, by `latency_bucket`.
    labels : dict of str to int
        Predictions that are no floats, by their text, `NAMED` different ones at most in one process.
    others : dict of int to int
        Labels beyond those, by `label_cell`.
    numbers : dict of int to int
        Predictions that are floats, by `number_bucket`.
    """

    __slots__ = ("errors", "labels", "latencies", "numbers", "others", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.latencies: dict[int, int] = {}
        self.labels: dict[str, int] = {}
        self.others: dict[int, int] = {}
        self.numbers: dict[int, int] = {}

    def observe(self, seconds: float, failed: bool, predictions: NDArray[Any] | None = None) -> None:
        """Count one request.

        Parameters
        ----------
        seconds : float
            From the request's arrival to its answer.
        failed : bool
        predictions : ndarray of shape (n_rows,) or (n_rows, n_classes), optional
            The labels or numbers that were answered, or probabilities: of two columns the second is counted, of
            more the place of the greatest, of other shapes the first value.
        """
        self.requests += 1
        if failed:
            self.errors += 1
            return
        bucket = latency_bucket(seconds)
        latencies = self.latencies
        latencies[bucket] = latencies.get(bucket, 0) + 1
        if predictions is not None and predictions.size:
            value = predictions.item(0) if predictions.ndim < 2 else _watched(predictions)
            self._predicted(value)

    def _predicted(self, value: Any) -> None:
        if type(value) is float and value == value:
            bucket = number_bucket(value)
            numbers = self.numbers
            numbers[bucket] = numbers.get(bucket, 0) + 1
            return
        label = (value if type(value) is str else str(value))[:_LONGEST]
        labels = self.labels
        if label not in labels:
            label = label.encode("utf-8", "replace").decode()
        if label in labels or len(labels) < NAMED:
            labels[label] = labels.get(label, 0) + 1
        else:
            cell = label_cell(label)
            self.others[cell] = self.others.get(cell, 0) + 1

    def __add__(self, other: Observations) -> Observations:
        return Observations.merged([self, other])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Observations) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def merged(cls, parts: Iterable[Observations]) -> Observations:
        """Return the sum of what several processes counted."""
        whole = cls()
        for part in parts:
            whole.requests += part.requests
            whole.errors += part.errors
            for name in ("latencies", "labels", "others", "numbers"):
                add_counts(getattr(whole, name), getattr(part, name))
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "latencies": {str(bucket): count for bucket, count in self.latencies.items()},
            "labels": dict(self.labels),
            "others": {str(cell): count for cell, count in self.others.items()},
            "numbers": {str(bucket): count for bucket, count in self.numbers.items()},
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Observations:
        """Return the counts that `to_dict` wrote."""
        read = cls()
        read.requests, read.errors = document["requests"], document["errors"]
        read.latencies = by_number(document["latencies"])
        read.labels = dict(document["labels"])
        read.others = by_number(document["others"])
        read.numbers = by_number(document["numbers"])
        return read


def _watched(predictions: NDArray[Any]) -> Any:
    """Return what is counted of the first row of several columns."""
    if predictions.ndim == 2 and predictions.dtype.kind == "f" and predictions.shape[1] > 1:
        return predictions.item(1) if predictions.shape[1] == 2 else int(predictions[0].argmax())
    return predictions.item(0)


def label_cell(label: str) -> int:
    """Return the hash of a label's text, from 0 to `CELLS`."""
    return crc32(label.encode()) % CELLS


def by_number(counts: Mapping[str, int]) -> dict[int, int]:
    """Return a histogram whose keys JSON had made text."""
    return {int(key): count for key, count in counts.items()}


def add_counts(whole: dict[Key, int], part: Mapping[Key, int]) -> None:
    """Add one histogram to another."""
    for key, count in part.items():
        whole[key] = whole.get(key, 0) + count


def tails(counts: Mapping[int, int], buckets: range) -> NDArray[np.float64]:
    """Return for each of `buckets` how many were counted in it or a higher one, and 0 after the last."""
    dense = np.zeros(len(buckets) + 1)
    for bucket, count in counts.items():
        dense[bucket - buckets.start] += count
    return dense[::-1].cumsum()[::-1]
