"""Tells how two models' answers to the same rows differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .outputs import Outputs, plain, to_json

Array = NDArray[Any]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TOLERANCE = 1e-6
"""Numbers agree that differ by at most this, relative to the larger one (absolutely where both are below 1)."""

LARGEST = 1e300
"""The size of a disagreement between numbers of which one is not finite."""

KEPT = 10
"""Disagreements that are kept: the largest."""

_LONGEST = 200


class Disagreement(msgspec.Struct, frozen=True):
    """One row that the two versions answer differently; it holds answers, so it is shown and never journalled.

    Attributes
    ----------
    prediction : str
        The prediction id of the request.
    row : int
    champion, shadow : object
        The answers as JSON scalars, long text cut; None where they are no scalars.
    size : float
        1 between labels; the distance between numbers or probabilities.
    """

    prediction: str
    row: int
    champion: Any
    shadow: Any
    size: float

    @property
    def rank(self) -> tuple[float, str, int]:
        """Its place: by size, the newest last among equals."""
        return self.size, self.prediction, self.row


@dataclass(slots=True)
class Pair:
    """Two answers to one request.

    Attributes
    ----------
    rows, equal, agreeing : int
        Rows, those whose answers are the same, and those whose answers are within the tolerance. Of probabilities
        alone those agree whose most probable class is the same.
    difference, absolute : float, optional
        The mean over the rows of the shadow's number minus the champion's, and of its absolute value; of two classes'
        probabilities that of the second; of more classes their total-variation distance. None between labels alone.
    largest : list of Disagreement
        `KEPT` at most.
    """

    rows: int
    equal: int
    agreeing: int
    difference: float | None
    absolute: float | None
    largest: list[Disagreement]


def compare(prediction: str, champion: Outputs, shadow: Outputs) -> Pair:
    """Compare two answers to the same rows; answers of different shapes disagree in every row.

    Parameters
    ----------
    prediction : str
        The request's prediction id.
    champion, shadow : Outputs
    """
    old, new = champion.labels, shadow.labels
    if old is None or new is None:
        return _summed(prediction, _without_labels(champion, shadow))
    if champion.probabilities is None and old.shape == new.shape == (1,):
        pair = _single(prediction, old.item(), new.item())
        if pair is not None:
            return pair
    rows = _values(old, new)
    if rows.differences is None and champion.probabilities is not None and shadow.probabilities is not None:
        rows.differences = _distances(champion.probabilities, shadow.probabilities)
    return _summed(prediction, rows)


def _single(prediction: str, old: Any, new: Any) -> Pair | None:
    """Compare one row without NumPy, which takes twenty times as long; None where a number is not finite."""
    numbers = type(old) is type(new) is float
    if old == new:
        difference = 0.0 if numbers else None
        return Pair(1, 1, 1, difference, difference, [])
    if not numbers:
        return None
    gap = new - old
    size = abs(gap)
    if not size <= LARGEST:
        return None
    agrees = size <= TOLERANCE * max(abs(old), abs(new), 1.0)
    largest = [] if agrees else [Disagreement(prediction, 0, old, new, size)]
    return Pair(1, 0, int(agrees), gap, size, largest)


@dataclass(slots=True)
class _Rows:
    """Row by row: same, close (n_rows,), sizes and differences (n_rows,), and what to show."""

    equal: Flags
    agreeing: Flags
    sizes: Floats
    differences: Floats | None = None
    shown: tuple[Array, Array] | None = None


def _summed(prediction: str, rows: _Rows) -> Pair:
    n, agreeing = len(rows.equal), int(np.count_nonzero(rows.agreeing))
    difference = absolute = None
    if rows.differences is not None and n:
        difference, absolute = float(rows.differences.mean()), float(np.abs(rows.differences).mean())
    largest = _largest(prediction, rows) if agreeing < n else []
    return Pair(n, int(np.count_nonzero(rows.equal)), agreeing, difference, absolute, largest)


def _largest(prediction: str, rows: _Rows) -> list[Disagreement]:
    places = np.flatnonzero(~rows.agreeing)
    worst = places[np.argsort(-rows.sizes[places], kind="stable")[:KEPT]]
    return [Disagreement(prediction, int(row), *_shown(rows, row), float(rows.sizes[row])) for row in worst]


def _shown(rows: _Rows, row: int) -> tuple[Any, Any]:
    if rows.shown is None:
        return None, None
    champion, shadow = (_scalar(answers[row]) if row < len(answers) else None for answers in rows.shown)
    return champion, shadow


def _scalar(value: Any) -> Any:
    scalar = plain(value) if isinstance(value, np.generic) else value
    if isinstance(scalar, float) and not np.isfinite(scalar):
        return str(scalar)
    if scalar is None or isinstance(scalar, int | float | bool):
        return scalar
    return None if isinstance(scalar, np.ndarray) else str(scalar)[:_LONGEST].encode("utf-8", "replace").decode()


def _without_labels(champion: Outputs, shadow: Outputs) -> _Rows:
    if champion.probabilities is not None and shadow.probabilities is not None:
        return _probabilities(champion.probabilities, shadow.probabilities)
    if champion.named and shadow.named:
        return _named(champion.named, shadow.named)
    kinds = [(one.labels is None, one.probabilities is None, one.named is None) for one in (champion, shadow)]
    return _all(kinds[0] == kinds[1] and to_json(champion.payload) == to_json(shadow.payload), 1)


def _all(same: bool, n: int) -> _Rows:
    flags = np.full(n, same)
    return _Rows(flags, flags, np.full(n, float(not same)))


def _differently_shaped(champion: Array) -> _Rows:
    return _all(False, len(champion) if champion.ndim else 1)


def _are_numbers(*arrays: Array) -> bool:
    return all(array.dtype.kind == "f" for array in arrays)


def _values(champion: Array, shadow: Array) -> _Rows:
    if champion.shape != shadow.shape or champion.ndim == 0:
        return _differently_shaped(champion)
    if champion.size == 0:
        return _all(True, len(champion))
    if _are_numbers(champion, shadow):
        return _numbers(champion, shadow)
    same = _per_row(np.asarray(champion == shadow, dtype=bool))
    return _Rows(same, same, np.where(same, 0.0, 1.0), shown=(champion, shadow))


def _per_row(cells: Flags) -> Flags:
    return np.asarray(cells.reshape(len(cells), -1).all(axis=1), dtype=bool)


def _numbers(champion: Array, shadow: Array) -> _Rows:
    old, new = (array.astype(np.float64).reshape(len(array), -1) for array in (champion, shadow))
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.where(same, 0.0, new - old)
        allowed = TOLERANCE * np.maximum(np.maximum(np.abs(old), np.abs(new)), 1.0)
        close = same | (np.isfinite(allowed) & (np.abs(gaps) <= allowed))
    sizes = np.nan_to_num(np.abs(gaps), nan=LARGEST, posinf=LARGEST).max(axis=1, initial=0.0)
    return _Rows(same.all(axis=1), close.all(axis=1), sizes, gaps.mean(axis=1), (champion, shadow))


def _distances(champion: Array, shadow: Array) -> Floats | None:
    if champion.shape != shadow.shape or champion.ndim != 2:
        return None
    gaps = shadow.astype(np.float64) - champion
    distances: Floats = gaps[:, 1] if gaps.shape[1] == 2 else np.abs(gaps).sum(axis=1) / 2
    return distances


def _probabilities(champion: Array, shadow: Array) -> _Rows:
    differences = _distances(champion, shadow)
    if differences is None:
        return _differently_shaped(champion)
    agreeing = champion.argmax(axis=1) == shadow.argmax(axis=1)
    sizes = np.nan_to_num(np.abs(differences), nan=LARGEST)
    return _Rows(_per_row(champion == shadow), agreeing, sizes, differences)


def _named(champion: dict[str, Array], shadow: dict[str, Array]) -> _Rows:
    first = next(iter(champion.values()))
    if champion.keys() != shadow.keys():
        return _differently_shaped(first)
    outputs = [_values(array, shadow[name]) for name, array in champion.items()]
    if len({len(rows.equal) for rows in outputs}) != 1:
        return _differently_shaped(first)
    equal = np.logical_and.reduce([rows.equal for rows in outputs])
    agreeing = np.logical_and.reduce([rows.agreeing for rows in outputs])
    return _Rows(equal, agreeing, np.maximum.reduce([rows.sizes for rows in outputs]))
