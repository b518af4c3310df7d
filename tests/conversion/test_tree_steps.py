"""scikit-learn's own trees on the rungs that keep their comparisons and sums."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeRegressor

from nbmlops.conversion.rungs import FLOAT32, FLOAT64, ROUNDED
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.conversion.trees import rounded_down
from nbmlops.core.errors import InvalidObject
from nbmlops.registry.signature import columns_of
from tests.conversion.tree_cases import farthest, hostile_rows

EXACT = 1e-12
ROUNDED_SUMS = 1e-6
SEED = {"random_state": 0}
CLASSIFIERS = {
    "tree": DecisionTreeClassifier(**SEED),
    "forest": RandomForestClassifier(10, **SEED),
    "extra trees": ExtraTreesClassifier(10, bootstrap=True, **SEED),
    "boosting": GradientBoostingClassifier(n_estimators=5, **SEED),
    "boosting from zero": GradientBoostingClassifier(n_estimators=5, init="zero", **SEED),
}
REGRESSORS = {
    "tree": DecisionTreeRegressor(**SEED),
    "random tree": ExtraTreeRegressor(**SEED),
    "forest": RandomForestRegressor(10, **SEED),
    "extra trees": ExtraTreesRegressor(10, **SEED),
    "boosting": GradientBoostingRegressor(n_estimators=5, **SEED),
    "voting": VotingRegressor([("a", GradientBoostingRegressor(n_estimators=3, **SEED)), ("b", Ridge())]),
}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    numbers = {"near": rng.normal(size=300), "large": rng.normal(size=300) * 1e7, "whole": rng.integers(0, 9, 300)}
    return pd.DataFrame(numbers | {"moment": 1.6e9 + rng.integers(0, 90_000, 300)})


@pytest.fixture(scope="module")
def value(rows) -> np.ndarray:
    noise = np.random.default_rng(2).normal(size=len(rows))
    return (rows.near + rows.large / 1e7 + rows.whole % 3 + rows.moment // 9_000 % 2 + noise).to_numpy()


def converted(model, rows, rung=FLOAT64):
    return SklearnConverter().convert(model, {"inputs": columns_of(rows)}, rung=rung)


def bearable(rows):
    """Return the rows whose numbers float32 holds: trees refuse others."""
    return rows[(rows.abs() < 1e38).all(axis=1)]


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_s_answers_are_those_of_scikit_learn(name, classes, rows, value):
    labels = np.array([f"class {place}" for place in range(classes)])[pd.qcut(value, classes, labels=False)]
    model = CLASSIFIERS[name].fit(rows, labels)
    hostile = bearable(hostile_rows(model, rows, np.random.default_rng(3)))
    for some in (rows, hostile, rows.head(1)):
        # The operator for leaves of several numbers rounds the sums to float32 after it chose the label.
        assert farthest(model, converted(model, rows), some) <= (EXACT if "boosting" in name else ROUNDED_SUMS)
    assert farthest(model, converted(model, rows, ROUNDED), rows.astype(np.float32)) <= ROUNDED_SUMS


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_s_answers_are_those_of_scikit_learn(name, rows, value):
    model = REGRESSORS[name].fit(rows, value * 1e6)
    onnx = converted(model, rows)
    for some in (rows, bearable(hostile_rows(model, rows, np.random.default_rng(3))), rows.head(1)):
        assert farthest(model, onnx, some) <= EXACT


def test_several_targets_are_answered_side_by_side(rows, value):
    model = RandomForestRegressor(4, **SEED).fit(rows, np.stack([value, -value, value**2], axis=1))
    assert farthest(model, converted(model, rows), rows) <= EXACT


def test_the_loss_exponential_has_probabilities_of_its_own(rows, value):
    model = GradientBoostingClassifier(n_estimators=4, loss="exponential", **SEED).fit(rows, value > 1)
    assert farthest(model, converted(model, rows), rows) <= EXACT


def test_ties_of_two_classes_go_to_the_first_as_in_scikit_learn(rows, value):
    """Two trees of one leaf a row disagree often, and each says one half."""
    model = RandomForestClassifier(2, **SEED).fit(rows, np.where(value > 1, "b", "a"))
    ties = (model.predict_proba(rows) == 0.5).any(axis=1)
    assert ties.sum() > 10
    onnx = converted(model, rows)
    assert (onnx.predict(rows)[0] == model.predict(rows)).all()


@pytest.mark.parametrize("model", [DecisionTreeClassifier(**SEED), RandomForestClassifier(5, **SEED)], ids=str)
def test_missing_values_go_the_way_that_the_training_found(model, rows, value):
    gaps = rows.mask(np.random.default_rng(4).random(rows.shape) < 0.2)
    model.fit(gaps, value > 1)
    assert farthest(model, converted(model, gaps), gaps) <= ROUNDED_SUMS
    assert farthest(model, converted(model, gaps, FLOAT32), gaps) > 0.1, "skl2onnx has learnt it: use its own"


def test_a_tree_behind_a_scaler_sees_the_numbers_rounded(rows, value):
    some = rows[["moment", "near"]]
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(**SEED)).fit(some, value > 1)
    assert farthest(model, converted(model, some), some) <= EXACT


def test_a_tree_of_one_leaf_answers(rows):
    model = DecisionTreeRegressor().fit(rows, np.full(len(rows), 0.1))
    assert farthest(model, converted(model, rows), rows) == 0


def test_what_has_no_conversion_is_refused(rows, value):
    begun = GradientBoostingRegressor(init=Ridge(), n_estimators=2).fit(rows, value)
    several = DecisionTreeClassifier().fit(rows, np.stack([value > 1, value > 0], axis=1))
    for model, reason in ((begun, "begins with an estimator"), (several, "several targets")):
        with pytest.raises(InvalidObject, match=reason):
            converted(model, rows)


def test_linear_models_keep_float64(rows, value):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, value > 1)
    assert farthest(model, converted(model, rows), rows) <= EXACT


def test_thresholds_are_rounded_to_the_float32_below():
    values = np.random.default_rng(5).normal(size=1000) * 10.0 ** np.arange(-40, 40).repeat(13)[:1000]
    rounded = rounded_down(values)
    above = np.nextafter(rounded, np.float32(np.inf))
    assert (rounded.astype(float) <= values).all()
    assert (above.astype(float) > values).all()
