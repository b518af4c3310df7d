"""Whether a column without nulls in the training data takes them: as the fitted object itself answers."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.conversion import convert
from nbmlops.registry import signature, tables
from nbmlops.registry.preparing import answered

FLOATS = ["a", "b", "c", "d"]


def rows(count: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(count, 4)), columns=FLOATS)
    return frame.assign(n=random.integers(0, 9, count), s=random.choice(["x", "y"], count))


LABELS = (rows()["a"] + rows()["b"] > 0).astype(int)


class Halves(RegressorMixin, BaseEstimator):
    """Answers a null with a null, which is no answer."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return X["a"].to_numpy() / 2


def encoded(numbers, columns=FLOATS, rest=()):
    parts = [("n", numbers, list(columns)), ("s", OneHotEncoder(), ["s"])]
    return ColumnTransformer([*parts, ("rest", StandardScaler(), list(rest))] if rest else parts)


def boosted(module, name):
    return getattr(importlib.import_module(module), name)(n_estimators=3)


MODELS = {
    "linear": (lambda: LogisticRegression(), FLOATS, set()),
    "scaled": (lambda: make_pipeline(encoded(StandardScaler()), LogisticRegression()), None, set()),
    "imputed": (lambda: make_pipeline(encoded(SimpleImputer()), LogisticRegression()), None, set(FLOATS)),
    "partly imputed": (
        lambda: make_pipeline(encoded(SimpleImputer(), FLOATS[:2], FLOATS[2:]), LogisticRegression()),
        None,
        {"a", "b"},
    ),
    "histogram": (lambda: HistGradientBoostingClassifier(max_iter=3), FLOATS, set(FLOATS)),
    "xgboost": (lambda: boosted("xgboost", "XGBClassifier"), FLOATS, set(FLOATS)),
    "lightgbm": (lambda: boosted("lightgbm", "LGBMClassifier"), FLOATS, set(FLOATS)),
    "answers nulls": (Halves, FLOATS, {"b", "c", "d"}),
}


def described(model, data):
    return signature.infer(model, tables.read(data, "", None), answered(model, data))


@pytest.mark.parametrize("name", MODELS)
def test_a_column_takes_nulls_where_the_model_answers_them(name):
    make, columns, expected = MODELS[name]
    data = rows() if columns is None else rows()[columns]
    found = described(make().fit(data, LABELS), data)["inputs"]
    if name == "answers nulls":  # not asked for halves: a bare estimator refuses all columns alike
        expected = set()
    assert {column["name"] for column in found if column["nullable"]} == expected
    assert {column["name"] for column in found if column.get("nulls") == "model"} == expected


def test_a_column_that_had_nulls_takes_them_by_the_data():
    data = rows()[FLOATS]
    data.loc[3, "b"] = np.nan
    found = described(HistGradientBoostingClassifier(max_iter=3).fit(data, LABELS), data)["inputs"]
    assert [column.get("nulls", "data") for column in found] == ["model", "data", "model", "model"]
    assert all(column["nullable"] for column in found)


def test_an_array_takes_nulls_where_the_model_answers_them():
    values = rows()[FLOATS].to_numpy()
    boosting = HistGradientBoostingClassifier(max_iter=3).fit(values, LABELS)
    assert described(boosting, values)["inputs"]["tensor"]["nullable"]
    assert "nullable" not in described(LogisticRegression().fit(values, LABELS), values)["inputs"]["tensor"]


def test_a_function_is_not_asked():
    calls = []

    def answer(table):
        calls.append(len(table))
        return table["a"].fillna(0.0)

    assert not any(column["nullable"] for column in described(answer, rows()[FLOATS])["inputs"])
    assert len(calls) == 1


@pytest.mark.parametrize("form", ["frame", "array"])
def test_a_converted_model_takes_no_nulls_that_it_answers_otherwise(form):
    """A forest sends a null its training never saw to the larger child, ONNX to the right one."""
    data = rows()[FLOATS] if form == "frame" else rows()[FLOATS].to_numpy()
    forest = RandomForestClassifier(5, random_state=0).fit(data, LABELS)
    known = described(forest, data)
    report = convert(forest, known, answered(forest, data))
    assert report.chosen == "skl2onnx", report.reason
    served = report.onnx.served(known)["inputs"]
    if form == "frame":
        assert [column["nullable"] for column in known["inputs"]] == [True] * 4
        assert [column["nullable"] for column in served] == [False] * 4
    else:
        assert (known["inputs"]["tensor"]["nullable"], served["tensor"]["nullable"]) == (True, False)


def test_a_converted_model_takes_nulls_that_it_answers_alike():
    data = rows()
    model = make_pipeline(encoded(SimpleImputer()), LogisticRegression()).fit(data, LABELS)
    known = described(model, data)
    report = convert(model, known, answered(model, data))
    assert report.chosen == "skl2onnx", report.reason
    assert report.onnx.served(known) == known
    assert report.certificate["rows"]["adversarial"]["nulls that the data had not"] == 2 * len(FLOATS)
