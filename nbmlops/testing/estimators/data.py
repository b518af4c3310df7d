"""Seeded rows like real ones: mixed columns, gaps, moments as seconds, identifiers too large for a float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

FIRST_MOMENT = 1_356_998_400.0  # the first second of 2013
YEAR = 365 * 86_400.0  # seconds
CARRIERS = ("AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN", "VX", "HA", "YV")
SHARES = (0.12, 0.16, 0.14, 0.16, 0.08, 0.17, 0.06, 0.06, 0.03, 0.015, 0.005)
ORIGINS = ("EWR", "JFK", "LGA")
LATE = 15.0  # minutes
WORDS = (
    "flight crew gate weather storm delay late early rome paris oslo engine fuel baggage hold missed connection",
    "cancelled refund voucher smooth on time landed boarding queue thunder fog ice runway",
)

NUMBERS = ("distance", "wind", "temperature", "pressure", "hour")
GAPPED = (*NUMBERS, "visibility")
EPOCH = ("departure", "distance", "flight_id", "wind")
TEXTS = ("carrier", "origin", "tail")
MIXED = (*GAPPED, *TEXTS, "weekend")


@dataclass(frozen=True)
class Rows:
    """Inputs of a model and what it has to learn.

    Attributes
    ----------
    inputs : DataFrame, Series or ndarray, shape (n_rows, n_features)
    target : ndarray, shape (n_rows,) or (n_rows, n_outputs)
    """

    inputs: Any
    target: np.ndarray[Any, Any]


Source = Callable[[int, int], Rows]
"""Makes rows from their number and a seed."""


def _flights(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Return flights and their delays in minutes."""
    rng = np.random.default_rng(seed)
    hour = rng.integers(5, 24, rows)
    day = rng.integers(0, 365, rows)
    frame = pd.DataFrame(
        {
            "departure": FIRST_MOMENT + day * 86_400.0 + hour * 3600.0 + rng.integers(0, 3600, rows),
            "distance": np.round(rng.gamma(2.2, 480, rows) + 80, 1),
            "flight_id": rng.integers(2**33, 2**33 + 40_000, rows),
            "wind": rng.lognormal(2, 0.6, rows),
            "temperature": 55 + 22 * np.sin(day / 58) + rng.normal(0, 6, rows),
            "pressure": 1_013.25 + rng.normal(0, 7.4, rows),
            "hour": hour,
            "visibility": np.minimum(rng.gamma(6, 2, rows), 10),
            "carrier": rng.choice(CARRIERS, rows, p=SHARES),
            "origin": rng.choice(ORIGINS, rows),
            "tail": rng.choice([f"N{number}" for number in range(100, 140)], rows),
            "weekend": day % 7 > 4,
        }
    )
    delay = (
        0.9 * (hour - 14)
        + 0.5 * frame.wind
        - 1.5 * frame.visibility
        + 9 * frame.carrier.isin(["EV", "WN"])
        + 5 * (frame.origin == "EWR")
        + 4 * np.sin((frame.departure - FIRST_MOMENT) / YEAR * 6.3)
        + rng.normal(0, 7, rows)
        + 12
    ).to_numpy()
    frame.loc[rng.random(rows) < 0.08, "visibility"] = np.nan
    frame.loc[rng.random(rows) < 0.06, "tail"] = None
    return frame, delay


def _late(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return delay > LATE


def _late_number(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (delay > LATE).astype(np.int64)


def _status(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.select([delay < 5, delay > LATE], ["early", "late"], "on time").astype(object)


def _delay(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return delay


def _complaints(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.maximum(np.round(delay / 6), 0) + 0.0


def _delay_and_fuel(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([delay, frame.distance * 4.2 + frame.wind * 11], axis=1)


def _late_and_far(frame: pd.DataFrame, delay: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([delay > LATE, frame.distance > 1_000], axis=1).astype(np.int64)


TARGETS: dict[str, Callable[[pd.DataFrame, np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "late": _late,
    "late number": _late_number,
    "status": _status,
    "delay": _delay,
    "complaints": _complaints,
    "delay and fuel": _delay_and_fuel,
    "late and far": _late_and_far,
}


def flights(columns: tuple[str, ...], target: str = "late", *, categories: tuple[str, ...] = ()) -> Source:
    """Return flights as a frame.

    Parameters
    ----------
    columns : tuple of str
        `NUMBERS` have no gaps, `GAPPED` have some, `EPOCH` holds seconds since 1970 and identifiers above 2**33,
        `MIXED` has texts with gaps too.
    target : str
        A key of `TARGETS`.
    categories : tuple of str
        Columns of texts that become pandas categoricals.
    """

    def make(rows: int, seed: int) -> Rows:
        frame, delay = _flights(rows, seed)
        chosen = frame[list(columns)].copy()
        for name in categories:
            known = sorted({*CARRIERS, *ORIGINS} if name != "tail" else {f"N{number}" for number in range(100, 140)})
            chosen[name] = pd.Categorical(chosen[name], categories=known)
        return Rows(chosen, TARGETS[target](frame, delay))

    return make


def bundled(name: str, *, named: bool = False, texts: bool = False) -> Source:
    """Return a data set that comes with scikit-learn; other seeds give rows between two of its rows.

    Parameters
    ----------
    name : str
        ``iris``, ``wine``, ``breast_cancer``, ``digits``, ``diabetes`` or ``linnerud``.
    named : bool
        A frame instead of an array.
    texts : bool
        Classes by their names.
    """

    def make(rows: int, seed: int) -> Rows:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")(as_frame=True)
        rng = np.random.default_rng(seed)
        inputs, target = found.data.to_numpy(dtype=np.float64), found.target.to_numpy()
        first, second = rng.integers(0, len(inputs), (2, rows))
        share = rng.random((rows, 1)) * 0.5
        between = inputs[first] * (1 - share) + inputs[second] * share
        answers = np.asarray(found.target_names, dtype=object)[target] if texts else target
        return Rows(pd.DataFrame(between, columns=found.data.columns) if named else between, answers[first])

    return make


def sentences(classes: int = 2) -> Source:
    """Return texts as a series: words of one field, some of them new, upper case, accents, and empty ones."""

    def make(rows: int, seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        odd = ("Café", "DELAY", "l'avion", "gate-7", "zürich", f"word{seed}")
        vocabulary = np.array([*" ".join(WORDS).split(), *odd], dtype=object)
        kind = rng.integers(0, classes, rows)
        weights = 1 + 3 * (np.arange(len(vocabulary)) % classes == np.arange(classes)[:, None])
        texts = [
            " ".join(rng.choice(vocabulary, rng.integers(0, 12), p=weights[one] / weights[one].sum())) for one in kind
        ]
        return Rows(pd.Series(texts, name="text", dtype=object), kind)

    return make


def notes() -> Source:
    """Return a column of texts beside numbers."""

    def make(rows: int, seed: int) -> Rows:
        frame, delay = _flights(rows, seed)
        texts = sentences()(rows, seed + 1).inputs
        return Rows(frame[["distance", "wind"]].assign(note=texts.to_numpy()), _late(frame, delay))

    return make


def crowded() -> Source:
    """Return numbers that part classes by less than a float32 can tell: 16,777,216 and a bit."""

    def make(rows: int, seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        steps = rng.integers(0, 40, rows)
        near = 2.0**24 + steps * 0.25
        ratio = 1 + rng.integers(0, 64, rows) * 2.0**-26
        return Rows(pd.DataFrame({"near": near, "ratio": ratio}), (steps % 8 > 3).astype(np.int64))

    return make


def counts() -> Source:
    """Return whole numbers of words."""

    def make(rows: int, seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        kind = rng.integers(0, 3, rows)
        rates = 0.4 + 3 * (np.arange(12) % 3 == kind[:, None])
        return Rows(rng.poisson(rates).astype(np.float64), kind)

    return make
