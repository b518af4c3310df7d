from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbmlops.registry import Reference
from nbmlops.registry.sample import answers
from nbmlops.registry.signature import columns_of


@dataclass(frozen=True)
class Case:
    """A fitted model with all that `convert` takes."""

    model: Any
    signature: dict[str, Any]
    reference: Reference


def make_case(model: Any, rows: Any, target: Any = None) -> Case:
    """Fit `model` and take its own answers as the reference."""
    model.fit(rows, target)
    frame, signature = rows, None
    if isinstance(rows, np.ndarray):
        frame = pd.DataFrame(rows, columns=[str(place) for place in range(rows.shape[1])])
        signature = {"inputs": {"tensor": {"dtype": str(rows.dtype), "shape": [-1, *rows.shape[1:]]}}}
    elif isinstance(rows, pd.Series):
        frame = rows.to_frame("text")
    predictions, probabilities, classes = answers(model, rows)
    reference = Reference(frame, predictions, probabilities, classes, digest="sha256:0")
    return Case(model, signature or {"inputs": columns_of(frame)}, reference)


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """Mixed columns: large and small numbers, whole ones, text, booleans, and gaps in a number and in a text."""
    rng = np.random.default_rng(7)
    rows = 600
    frame = pd.DataFrame(
        {
            "distance": rng.normal(size=rows) * 1000,
            "wind": rng.lognormal(size=rows),
            "hour": rng.integers(0, 24, rows),
            "carrier": rng.choice(list("ABCDE"), rows),
            "weekend": rng.random(rows) < 0.3,
        }
    )
    frame["visibility"] = frame.wind.where(rng.random(rows) > 0.1)
    frame["tail"] = frame.carrier.where(rng.random(rows) > 0.1)
    return frame


@pytest.fixture(scope="session")
def late(flights: pd.DataFrame) -> np.ndarray:
    """Whether a flight is late: depends on several columns, with noise."""
    noise = np.random.default_rng(8).normal(size=len(flights)) * 0.3
    return (flights.distance / 1000 + flights.wind + (flights.carrier == "A") + noise > 1.5).to_numpy()
