"""Tells how two models' answers to the same rows differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .outputs import Outputs, plain, to_json

TOLERANCE = 1e-6
"""Numbers agree that differ by at most this, relative to the larger one (absolutely where both are below 1)."""

LARGEST = 1e300

KEPT = 10
"""Disagreements that are kept: the largest."""

_LONGEST = 200


@dataclass(slots=True)
class Pair:
    """Two answers to one request, row by row.

    Attributes
    ----------
    equal, agreeing : ndarray of bool, shape (n_rows,)
        Whether the answers are the same, and whether they are within the tolerance. Of probabilities alone those
        agree whose most probable class is the same.
    sizes : ndarray of float, shape (n_rows,)
        How large a disagreement is: 1 between labels, the distance between numbers or probabilities.
    differences : ndarray of float, shape (n_rows,), optional
        The shadow's number minus the champion's; of two classes' probabilities that of the second; of more classes
        their total-variation distance. None for labels alone.
    champion, shadow : ndarray or object
        What to show of a row.
    """

    equal: NDArray[np.bool_]
    agreeing: NDArray[np.bool_]
    sizes: NDArray[np.float64]
    differences: NDArray[np.float64] | None
    champion: Any
    shadow: Any


def compare(champion: Outputs, shadow: Outputs) -> Pair:
    """Compare two answers to the same rows; answers of different shapes disagree in every row."""
    if champion.labels is not None and shadow.labels is not None:
        pair = _values(champion.labels, shadow.labels)
        if pair.differences is None and champion.probabilities is not None and shadow.probabilities is not None:
            pair.differences = _distances(champion.probabilities, shadow.probabilities)
        return pair
    if champion.probabilities is not None and shadow.probabilities is not None:
        return _probabilities(champion.probabilities, shadow.probabilities)
    if champion.named and shadow.named:
        return _named(champion.named, shadow.named)
    same = to_json(champion.payload) == to_json(shadow.payload) and _kinds(champion) == _kinds(shadow)
    return _whole(same, 1)


def _kinds(outputs: Outputs) -> tuple[bool, bool, bool]:
    return outputs.labels is None, outputs.probabilities is None, outputs.named is None


def _whole(same: bool, rows: int, shown: tuple[Any, Any] = (None, None)) -> Pair:
    return Pair(np.full(rows, same), np.full(rows, same), np.full(rows, float(not same)), None, *shown)


def _is_number(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f"


def _values(champion: NDArray[Any], shadow: NDArray[Any]) -> Pair:
    if champion.shape != shadow.shape or champion.ndim == 0:
        return _whole(False, len(champion) if champion.ndim else 1, (champion, shadow))
    if _is_number(champion) and _is_number(shadow):
        return _numbers(champion, shadow)
    same = _per_row(np.asarray(champion == shadow, dtype=bool))
    return Pair(same, same, np.where(same, 0.0, 1.0), None, champion, shadow)


def _per_row(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cells.reshape(len(cells), -1).all(axis=1), dtype=bool)


def _numbers(champion: NDArray[Any], shadow: NDArray[Any]) -> Pair:
    old, new = (array.astype(np.float64).reshape(len(array), -1) for array in (champion, shadow))
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.where(same, 0.0, new - old)
        close = same | (np.abs(gaps) <= TOLERANCE * np.maximum(np.maximum(np.abs(old), np.abs(new)), 1.0))
    sizes = np.nan_to_num(np.abs(gaps), nan=LARGEST, posinf=LARGEST).max(axis=1, initial=0.0)
    return Pair(same.all(axis=1), close.all(axis=1), sizes, gaps.mean(axis=1), champion, shadow)


def _distances(champion: NDArray[Any], shadow: NDArray[Any]) -> NDArray[np.float64] | None:
    if champion.shape != shadow.shape or champion.ndim != 2:
        return None
    gaps: NDArray[np.float64] = shadow.astype(np.float64) - champion
    second: NDArray[np.float64] = gaps[:, 1] if gaps.shape[1] == 2 else np.abs(gaps).sum(axis=1) / 2
    return second


def _probabilities(champion: NDArray[Any], shadow: NDArray[Any]) -> Pair:
    differences = _distances(champion, shadow)
    if differences is None:
        return _whole(False, len(champion), (champion, shadow))
    agreeing = champion.argmax(axis=1) == shadow.argmax(axis=1)
    sizes = np.nan_to_num(np.abs(differences), nan=LARGEST)
    return Pair(_per_row(champion == shadow), agreeing, sizes, differences, champion, shadow)


def _named(champion: dict[str, NDArray[Any]], shadow: dict[str, NDArray[Any]]) -> Pair:
    first = next(iter(champion.values()))
    rows = len(first) if first.ndim else 1
    if champion.keys() != shadow.keys():
        return _whole(False, rows)
    pairs = [_values(array, shadow[name]) for name, array in champion.items()]
    if any(len(pair.equal) != rows for pair in pairs):
        return _whole(False, rows)
    equal = np.logical_and.reduce([pair.equal for pair in pairs])
    agreeing = np.logical_and.reduce([pair.agreeing for pair in pairs])
    return Pair(equal, agreeing, np.maximum.reduce([pair.sizes for pair in pairs]), None, None, None)


class Disagreement(msgspec.Struct, frozen=True):
    """One row that the two versions answer differently.

    Attributes
    ----------
    prediction : str
        The prediction id of the request.
    row : int
    champion, shadow : object
        The answers as JSON scalars or short lists, long text cut.
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
        """Its place: by size, the newest first among equals."""
        return self.size, self.prediction, self.row


def disagreements(prediction: str, pair: Pair) -> list[Disagreement]:
    """Return the largest disagreements of a pair, `KEPT` at most."""
    places = np.flatnonzero(~pair.agreeing)
    worst = places[np.argsort(-pair.sizes[places], kind="stable")[:KEPT]]
    return [
        Disagreement(prediction, int(row), _shown(pair.champion, row), _shown(pair.shadow, row), float(pair.sizes[row]))
        for row in worst
    ]


def _shown(answers: Any, row: int) -> Any:
    if answers is None or np.ndim(answers) == 0 or row >= len(answers):
        return None
    value = answers[row]
    scalar = plain(value) if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(scalar, float) and not np.isfinite(scalar):
        return str(scalar)
    return scalar if isinstance(scalar, int | float | bool | None) else str(scalar)[:_LONGEST]
