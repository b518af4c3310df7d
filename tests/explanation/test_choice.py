"""Whatever explains, its sums are the model's own output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from nbmlops.core.errors import Refused
from nbmlops.explanation import Part, Prepared, Subject
from nbmlops.explanation.choice import explained
from nbmlops.explanation.linear import Linear
from nbmlops.explanation.permutation import Permutation
from nbmlops.explanation.trees import LeafPaths
from tests.explanation.conftest import NUMBERS, prepared

Make = Callable[..., Subject]
FLOAT32 = 1e-5  # XGBoost adds up in float32: its own output is no nearer to the sum of its leaves

CASES: dict[str, tuple[Any, str, str, str]] = {
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=20), "late", "tree", "log-odds"),
    "histogram boosting, classes": (HistGradientBoostingClassifier(max_iter=5), "grade", "tree", "log-odds"),
    "random forest": (RandomForestClassifier(10, max_depth=6), "grade", "tree", "probability"),
    "random forest regression": (RandomForestRegressor(10, max_depth=6), "delay", "tree", "value"),
    "extra trees": (ExtraTreesClassifier(10, max_depth=6), "late", "tree", "probability"),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=10), "late", "tree", "log-odds"),
    "gradient boosting, classes": (GradientBoostingClassifier(n_estimators=5), "grade", "tree", "log-odds"),
    "gradient boosting regression": (GradientBoostingRegressor(n_estimators=10), "delay", "tree", "value"),
    "decision tree": (DecisionTreeClassifier(max_depth=6), "late", "tree", "probability"),
    "xgboost": (xgboost.XGBClassifier(n_estimators=20, n_jobs=1), "late", "tree", "log-odds"),
    "xgboost, classes": (xgboost.XGBClassifier(n_estimators=5, n_jobs=1), "grade", "tree", "log-odds"),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1), "late", "tree", "log-odds"),
    "lightgbm regression": (lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1), "delay", "tree", "value"),
    "logistic": (LogisticRegression(max_iter=500), "late", "linear", "log-odds"),
    "logistic, classes": (LogisticRegression(max_iter=500), "grade", "linear", "log-odds"),
    "ridge": (Ridge(), "delay", "linear", "value"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_sums_are_the_models_own_output_on_the_raw_columns(
    name: str, flights: pd.DataFrame, subject_of: Make, request: pytest.FixtureRequest
) -> None:
    model, target, explainer, scale = CASES[name]
    subject = subject_of(prepared(model), flights, request.getfixturevalue(target))
    found = explained(subject, seconds=20)
    assert (found.explainer, found.scale) == (explainer, scale)
    assert found.values.shape[:2] == (60, len(flights.columns))
    assert found.residual <= (FLOAT32 if name.startswith("xgboost") else 1e-6)
    own = subject.model.predict_proba(subject.rows) if scale == "probability" else None
    if own is not None:
        sums = found.values.sum(axis=1) + found.base_values
        np.testing.assert_allclose(sums, own if own.shape[1] > 2 else own[:, 1:], atol=1e-6)


@pytest.mark.parametrize("target", ["late", "grade"])
def test_histogram_boosting_codes_its_own_categories(
    target: str, flights: pd.DataFrame, subject_of: Make, request: pytest.FixtureRequest
) -> None:
    rows = flights.drop(columns="carrier")
    rows.loc[::9, "sky"] = np.nan
    subject = subject_of(HistGradientBoostingClassifier(max_iter=15), rows, request.getfixturevalue(target))
    found = explained(subject, seconds=20)
    assert found.explainer == "tree"
    assert found.residual <= 1e-12
    sums = found.values.sum(axis=1) + found.base_values
    np.testing.assert_allclose(sums.squeeze(), subject.model.decision_function(subject.rows), atol=1e-10)
    assert np.abs(found.values[:, list(rows.columns).index("sky")]).mean() > 0.05


def test_codes_that_training_never_saw_go_where_missing_ones_go(late: np.ndarray, subject_of: Make) -> None:
    codes = np.random.default_rng(3).integers(0, 12, len(late)).astype(float)
    codes[::4] = np.nan  # these and odd codes are alike, so that they go left together somewhere
    rows = pd.DataFrame({"code": codes, "other": np.arange(len(late)) % 7.0})
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features=[0])
    subject = subject_of(model, rows, np.isnan(codes) | (codes % 2 == 1))
    odd = pd.DataFrame({"code": [40.0, np.nan, 250.0, 3.0], "other": 1.0})
    found = explained(replace(subject, rows=odd), seconds=20, candidates=(LeafPaths(),))
    assert found.residual <= 1e-12


@pytest.mark.parametrize("model", [xgboost.XGBClassifier(n_estimators=10, n_jobs=1, enable_categorical=True), None])
def test_boosters_take_pandas_categories(model: Any, flights: pd.DataFrame, late: np.ndarray, subject_of: Make) -> None:
    booster = model or lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1)
    found = explained(subject_of(booster, flights.drop(columns="carrier"), late), seconds=20)
    assert (found.explainer, found.refused) == ("tree", ())
    assert found.residual <= FLOAT32


def test_a_log_link_is_explained_on_the_logarithm(flights: pd.DataFrame, delay: np.ndarray, subject_of: Make) -> None:
    counts = np.exp(np.clip(delay, -2, 3))
    for model, explainer in ((PoissonRegressor(), "linear"), (HistGradientBoostingRegressor(loss="poisson"), "tree")):
        model.set_params(max_iter=20)
        subject = subject_of(prepared(model), flights, counts)
        found = explained(subject, seconds=20)
        assert (found.explainer, found.scale) == (explainer, "logarithm of the value")
        sums = found.values.sum(axis=1)[:, 0] + found.base_values[0]
        np.testing.assert_allclose(np.exp(sums), subject.model.predict(subject.rows), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "scale"),
    [
        (prepared(SVC()), "decision value"),
        (prepared(KNeighborsClassifier()), "probability"),
        (make_pipeline(prepared(PCA(3)), GaussianNB()), "probability"),
        (make_pipeline(prepared(PCA(3)), LogisticRegression()), "probability"),
    ],
    ids=["SVC", "neighbours", "naive Bayes on components", "linear on components"],
)
def test_anything_else_is_explained_by_permutation(
    model: Any, scale: str, flights: pd.DataFrame, late: np.ndarray, subject_of: Make
) -> None:
    found = explained(subject_of(model, flights, late, count=12), seconds=20)
    assert (found.explainer, found.scale, found.background) == ("permutation", scale, 25)
    assert found.residual <= 1e-9


def test_what_tells_no_classes_apart_is_explained_by_its_decision(flights: pd.DataFrame) -> None:
    rows = flights[["distance", "wind"]]
    model = IsolationForest(n_estimators=5, random_state=0).fit(rows)
    found = explained(Subject(model, rows.iloc[:10], rows), seconds=20)
    assert (found.explainer, found.scale) == ("permutation", "decision value")


def test_several_outputs_are_explained_each(flights: pd.DataFrame, delay: np.ndarray, subject_of: Make) -> None:
    model = RandomForestRegressor(5, max_depth=5)
    found = explained(subject_of(model, flights[NUMBERS].fillna(0), np.c_[delay, -(delay**2)]), seconds=20)
    assert found.values.shape == (60, 5, 2)
    assert found.residual <= 1e-9


class Wrong:
    """An explainer whose values are right and whose base is off by `by`."""

    name = "wrong"
    apart = False

    def __init__(self, by: float) -> None:
        self.by = by

    def can_explain(self, subject: Subject) -> bool:
        return True

    def prepare(self, subject: Subject) -> Prepared:
        right = Linear().prepare(subject)
        return replace(right, base_values=right.base_values + self.by)


@pytest.fixture(scope="module")
def linear(flights: pd.DataFrame, late: np.ndarray) -> Subject:
    model = prepared(LogisticRegression(max_iter=500)).fit(flights, late)
    return Subject(model, flights.iloc[:30], flights, classes=(0, 1))


@pytest.mark.parametrize("by", [1e-4, np.nan])
def test_an_explainer_whose_sums_are_wrong_is_refused_and_the_next_one_taken(linear: Subject, by: float) -> None:
    found = explained(linear, seconds=20, candidates=(Wrong(by), Linear()))
    assert found.explainer == "linear"
    [(name, reason)] = found.refused
    assert name == "wrong"
    assert "differ from the model's own log-odds" in reason


def test_without_a_right_one_nothing_is_shown(linear: Subject) -> None:
    with pytest.raises(Refused, match=r"adds up to its own answers \(wrong: its sums differ"):
        explained(linear, seconds=20, candidates=(Wrong(0.5),))


def test_a_model_that_answers_by_chance_is_refused(flights: pd.DataFrame) -> None:
    draw = np.random.default_rng(0)
    rows = flights[["wind"]]
    with pytest.raises(Refused, match="permutation"):
        explained(
            Subject(lambda frame: draw.random(len(frame)), rows.iloc[:5], rows), seconds=5, candidates=(Permutation(),)
        )


def test_when_the_time_is_over_the_rows_done_are_shown(linear: Subject) -> None:
    found = explained(linear, seconds=1e-9)
    assert 0 < len(found.values) < 30
    assert found.residual <= 1e-6


def test_paths_are_the_values_that_shap_gives_where_shap_is_right(
    flights: pd.DataFrame, late: np.ndarray, subject_of: Make
) -> None:
    import shap

    rows = flights[NUMBERS]
    subject = subject_of(HistGradientBoostingClassifier(max_iter=20), rows, late)
    own = LeafPaths().prepare(subject).explain(subject.rows).values[:, :, 0]
    explainer = shap.TreeExplainer(subject.model, feature_perturbation="tree_path_dependent")
    np.testing.assert_allclose(own, explainer.shap_values(subject.rows.to_numpy()), atol=1e-10)


def test_permutation_over_all_orders_is_the_shapley_value(flights: pd.DataFrame) -> None:
    rows = flights[["distance", "wind"]]

    def product(frame: pd.DataFrame) -> np.ndarray:
        return (frame["distance"] * frame["wind"]).to_numpy()

    one, known = rows.iloc[:1], rows.iloc[1:2]
    found: Part = Permutation().prepare(Subject(product, one, known)).explain(one)
    (x, y), (a, b) = one.to_numpy()[0], known.to_numpy()[0]
    expected = [(x - a) * (y + b) / 2, (y - b) * (x + a) / 2]
    np.testing.assert_allclose(found.values[0, :, 0], expected)
