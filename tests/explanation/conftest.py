"""Rows of mixed columns, and subjects made of fitted models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.explanation import Subject

NUMBERS = ["distance", "wind", "hour", "epoch", "visibility"]


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """Large and small numbers, epoch seconds, text, a boolean, a categorical, and gaps."""
    rng = np.random.default_rng(7)
    rows = 500
    frame = pd.DataFrame(
        {
            "distance": rng.normal(size=rows) * 1000,
            "wind": rng.lognormal(size=rows),
            "hour": rng.integers(0, 24, rows),
            "carrier": rng.choice(list("ABCDE"), rows),
            "weekend": rng.random(rows) < 0.3,
            "epoch": 1_700_000_000 + rng.integers(0, 10**7, rows),
        }
    )
    frame["visibility"] = frame.wind.where(rng.random(rows) > 0.1)
    frame["sky"] = pd.Categorical(rng.choice(["clear", "cloud", "rain"], rows))
    return frame


@pytest.fixture(scope="session")
def delay(flights: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(8).normal(size=len(flights)) * 0.3
    parts = flights.distance / 1000 + flights.wind + 2 * (flights.carrier == "A") + 1.5 * (flights.sky == "clear")
    return (parts + (flights.epoch > 1_705_000_000) + noise).to_numpy()


@pytest.fixture(scope="session")
def late(delay: np.ndarray) -> np.ndarray:
    return (delay > 3).astype(int)


@pytest.fixture(scope="session")
def grade(delay: np.ndarray) -> np.ndarray:
    return np.digitize(delay, [2, 4])


def prepared(last: Any) -> Any:
    """A pipeline that one-hot encodes, imputes and scales before its last step."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier", "sky"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), NUMBERS),
        ("passthrough", ["weekend"]),
    )
    return make_pipeline(columns, last)


@pytest.fixture(scope="session")
def subject_of() -> Callable[..., Subject]:
    """Fit a model and make a subject of its first rows."""

    def made(model: Any, rows: pd.DataFrame, target: Any, *, count: int = 60) -> Subject:
        model.fit(rows, target)
        classes = tuple(getattr(model, "classes_", ()))
        return Subject(model, rows.iloc[:count], rows, classes=classes)

    return made
