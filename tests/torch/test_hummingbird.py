"""Hummingbird: what it converts is right or refused, and the comparison alone refuses what it gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nbmlops.conversion import ConversionReport, convert
from nbmlops.conversion.hummingbird import HummingbirdConverter
from nbmlops.conversion.ladder import Terms
from nbmlops.registry import signature, tables
from nbmlops.registry.preparing import answered
from nbmlops.testing.converters import check_converter

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(1500, 5)).astype(np.float32), columns=list("abcde"))
TWO = (ROWS["a"] + ROWS["b"] > 0).astype(int)
THREE = np.digitize(ROWS["a"] + ROWS["b"], [-0.5, 0.5]) + 3


def halved(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.where(rows > 0, rows / 2)


def reported(model: Any, target: Any, **more: Any) -> ConversionReport:
    model.fit(ROWS, target)
    reference = answered(model, ROWS)
    form = signature.infer(model, tables.read(ROWS), reference)
    return convert(model, form, reference, candidates=(HummingbirdConverter(),), **more)


RIGHT = {
    "forest": (RandomForestClassifier(10, max_depth=5, random_state=0), TWO),
    "boosting": (GradientBoostingClassifier(n_estimators=10, random_state=0), TWO),
    "histograms": (HistGradientBoostingClassifier(max_iter=10, random_state=0), TWO),
    "histograms, three classes": (HistGradientBoostingClassifier(max_iter=10, random_state=0), THREE),
    "histograms, regression": (HistGradientBoostingRegressor(max_iter=10, random_state=0), ROWS["a"] * 2),
    "logistic regression": (LogisticRegression(), TWO),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_it_converts_answers_alike(case: str) -> None:
    model, target = RIGHT[case]
    model.fit(ROWS, target)
    onnx = HummingbirdConverter().convert(model, {"inputs": signature.columns_of(ROWS)})
    for rows in (ROWS[:1], ROWS):
        label, probabilities = onnx.predict(rows)
        if hasattr(model, "predict_proba"):
            assert (label == model.predict(rows)).all()
            assert label.dtype == np.int64
            np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=1e-6)
        else:
            np.testing.assert_allclose(label.ravel(), model.predict(rows), atol=1e-5)


def test_the_seam_is_kept() -> None:
    model = RandomForestClassifier(3, max_depth=3, random_state=0).fit(ROWS, TWO)
    check_converter(HummingbirdConverter(), model, ROWS[:20])


WRONG = {
    "multinomial": (lambda: LogisticRegression(), THREE, "logistic regression of several classes"),
    "function": (
        lambda: make_pipeline(FunctionTransformer(halved), LogisticRegression()),
        TWO,
        "FunctionTransformer",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_it_gets_wrong_is_refused_by_name_and_by_the_comparison_alone(case: str) -> None:
    make, target, words = WRONG[case]
    named = reported(make(), target)
    assert named.chosen is None
    assert words in named.reason
    alone = reported(make(), target, terms=Terms(known=()))
    assert alone.chosen is None
    assert words not in alone.reason


def test_texts_and_columns_picked_by_name_are_left_to_others() -> None:
    model = RandomForestClassifier(3, random_state=0).fit(ROWS, TWO.map({0: "no", 1: "yes"}))
    with pytest.raises(Exception, match="whole numbers"):
        HummingbirdConverter().convert(model, {"inputs": signature.columns_of(ROWS)})
