"""Data and rows that try what trees must tell apart: thresholds, their neighbours, missing and unknown values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from nbmlops.conversion.estimators import parts

EXTREMES = (np.nan, 1e300, -1e300, 0.0, -0.0, 5e-324, 16777217.0)
CATEGORIES = (np.nan, 3.5, -1.0, 0.1 + 2e-17, np.nextafter(0.1, 1.0), 33.0, 64.0, 16777217.0, 2.0**32 + 1, 1e18)


def made_rows(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return numbers small and large, seconds since 1970, and categories of whole numbers, of others and of text."""
    whole = rng.choice(rng.integers(-100, 10 ** int(rng.integers(2, 12)), 60), rows)
    texts = [f"c{place}" for place in range(int(rng.integers(3, 120)))]
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows) * 10.0 ** rng.integers(-3, 9),
            "moment": 1.6e9 + rng.integers(0, 10 ** int(rng.integers(3, 9)), rows) + rng.random(rows),
            "count": rng.integers(-5, 30, rows),
            "flag": rng.random(rows) < 0.3,
            "code": whole.astype(np.float64),
            "share": rng.choice([0.1, 0.2, 1 / 3, 2.5, 3.5, 7.0, 31.0, 32.0, 33.0], rows),
            "name": rng.choice(texts, rows),
        }
    )
    for column in ("size", "code", "share", "name"):
        if rng.random() < 0.6:
            frame.loc[rng.random(rows) < 0.1, column] = None
    return frame


def made_target(rng: np.random.Generator, frame: pd.DataFrame) -> np.ndarray:
    """Return numbers that depend on every column."""
    moment = frame.moment.rank() // 20 % 2
    known = frame["size"].rank().fillna(0) / len(frame) + frame.code.rank().fillna(0) / len(frame)
    text = frame.name.fillna("cccc").str.len() + frame["share"].fillna(0) * frame.flag
    return (known * 2 + moment + frame["count"] % 3 + text + rng.normal(size=len(frame)) / 2).to_numpy()


def hostile_rows(model: Any, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return rows of `frame` with one column changed: to thresholds of the trees, their neighbours, and extremes."""
    return pd.concat(_hostile(model, frame, rng)).astype(frame.dtypes)


def _hostile(model: Any, frame: pd.DataFrame, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    for place, thresholds in sorted(found_thresholds(model).items()):
        column = frame.columns[place]
        if frame[column].dtype.kind != "f":
            continue
        values = rng.choice(np.unique(thresholds), 20)
        single = values.astype(np.float32)
        infinities = np.float32([-np.inf, np.inf])
        near = [values, *(np.nextafter(values, end) for end in infinities.astype(float))]
        near += [single.astype(float), *(np.nextafter(single, end).astype(float) for end in infinities)]
        for changed in (*near, np.array(EXTREMES)):
            yield frame.sample(len(changed), replace=True, random_state=place).assign(**{column: changed})


def found_thresholds(model: Any) -> dict[int, list[float]]:
    """Return the thresholds of the columns that come in, by their places."""
    found: dict[int, list[float]] = {}
    for part in parts(model):
        for iteration in getattr(part, "_predictors", []):
            sets = part.is_categorical_
            places = np.arange(part._n_features) if sets is None else np.argsort(~sets, kind="stable")
            for nodes in (one.nodes for one in iteration):
                inner = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
                for feature, threshold in zip(inner["feature_idx"], inner["num_threshold"], strict=True):
                    found.setdefault(int(places[feature]), []).append(threshold)
        if hasattr(part, "tree_"):
            inner = part.tree_.children_left >= 0
            for feature, threshold in zip(part.tree_.feature[inner], part.tree_.threshold[inner], strict=True):
                found.setdefault(int(feature), []).append(threshold)
    return found


def unknown_categories(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return rows with categories that no training saw, or with none."""
    return pd.concat(_unknown(frame, columns)).astype(frame.dtypes)


def _unknown(frame: pd.DataFrame, columns: list[str]) -> Iterator[pd.DataFrame]:
    some = frame.head(8)
    for column in columns:
        values = ("never seen", None) if column == "name" else CATEGORIES
        for value in values:
            changed = pd.Series([value] * len(some), index=some.index, dtype=frame[column].dtype)
            yield some.assign(**{column: changed})


def farthest(model: Any, onnx: Any, rows: pd.DataFrame) -> float:
    """Return the largest difference of a probability or a value (relative, above 1), infinite where a label differs."""
    label, probabilities = onnx.predict(rows)
    expected = np.asarray(model.predict(rows))
    if probabilities is None:
        label = label.reshape(expected.shape)
        return float(np.max(np.abs(label - expected) / np.maximum(1, np.abs(expected))))
    if (np.asarray(label) != expected).any():
        return np.inf
    return float(np.abs(probabilities - model.predict_proba(rows)).max())
