"""HistGradientBoosting in ONNX says what scikit-learn says, to the last bits."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from nbmlops.conversion import convert
from nbmlops.conversion.exact import ExactConverter
from nbmlops.conversion.rungs import FLOAT64, ROUNDED
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.core.errors import InvalidObject
from nbmlops.registry.signature import columns_of
from nbmlops.testing.converters import check_converter
from tests.conversion.conftest import make_case
from tests.conversion.tree_cases import farthest, hostile_rows, made_rows, made_target, unknown_categories

EXACT = 1e-12
SEEDS = range(int(os.environ.get("TREE_SEEDS", "1")))
Classifier, Regressor = HistGradientBoostingClassifier, HistGradientBoostingRegressor
KINDS = {
    "two classes": (Classifier(), lambda value: np.where(value > np.median(value), "late", "on time")),
    "five classes": (Classifier(), lambda value: pd.qcut(value, 5, labels=False)),
    "squared error": (Regressor(), lambda value: value * 1e6),
    "absolute error": (Regressor(loss="absolute_error"), lambda value: value),
    "log link, poisson": (Regressor(loss="poisson"), lambda value: np.round(np.exp(value / 2))),
    "log link, gamma": (Regressor(loss="gamma"), lambda value: np.exp(value / 2)),
}
SETS = ["code", "share", "name"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """scikit-learn's threads wait for each other longer than they work on so few rows."""
    with threadpool_limits(1):
        yield


def fitted(kind, rng, frame, **settings):
    model, target = KINDS[kind]
    settings = {"max_iter": int(rng.integers(2, 25)), "min_samples_leaf": 3, "random_state": 0} | settings
    return type(model)(**model.get_params() | settings).fit(frame, target(made_target(rng, frame)))


def converted(model, frame, rung=FLOAT64):
    return ExactConverter().convert(model, {"inputs": columns_of(frame)}, rung=rung)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_that_of_scikit_learn(kind, seed):
    rng = np.random.default_rng([seed, *map(ord, kind)])
    frame = made_rows(rng, int(rng.integers(200, 700)))
    model = fitted(kind, rng, frame, categorical_features=SETS)
    onnx = converted(model, frame)
    assert farthest(model, onnx, frame) <= EXACT
    assert farthest(model, onnx, hostile_rows(model, frame, rng)) <= EXACT
    assert farthest(model, onnx, unknown_categories(frame, SETS)) <= EXACT
    assert all(farthest(model, onnx, frame.iloc[[place]]) <= EXACT for place in range(3))


@pytest.mark.parametrize("kind", ["two classes", "five classes"])
def test_categories_of_pandas_are_told_by_their_dtype(kind):
    rng = np.random.default_rng(5)
    frame = made_rows(rng, 300)
    typed = frame.astype(dict.fromkeys([*SETS, "count", "flag"], "category"))
    model, target = KINDS[kind]
    model = type(model)(max_iter=5, categorical_features="from_dtype").fit(typed, target(made_target(rng, frame)))
    onnx = converted(model, typed)
    assert model.is_categorical_.sum() == 5
    assert farthest(model, onnx, typed) <= EXACT
    assert farthest(model, onnx, unknown_categories(frame, SETS)) <= EXACT


def test_a_split_of_known_and_missing_categories_converts():
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"name": rng.choice(["a", "b", None], 300, p=[0.4, 0.4, 0.2])})
    model = Regressor(max_iter=2, categorical_features=["name"]).fit(frame, frame.name.isna() * 9.0)
    onnx = converted(model, frame)
    assert farthest(model, onnx, frame) <= EXACT
    assert farthest(model, onnx, unknown_categories(frame, ["name"])) <= EXACT


def test_numbers_alone_are_one_input_and_infinities_are_numbers():
    rng = np.random.default_rng(2)
    frame = made_rows(rng, 400)[["size", "moment", "share"]]
    frame.iloc[::9, 0], frame.iloc[::11, 1] = np.inf, -np.inf
    target = (frame["share"] > 3) ^ (frame.moment.rank() % 8 > 3)
    model = Classifier(max_iter=10, max_leaf_nodes=None, min_samples_leaf=1).fit(frame, target)
    onnx = converted(model, frame)
    assert [one["dtype"] for one in onnx.inputs] == ["float64"]
    assert farthest(model, onnx, frame) <= EXACT
    assert farthest(model, onnx, hostile_rows(model, frame, rng)) <= EXACT


def test_an_array_with_a_mask_of_categories_converts():
    rng = np.random.default_rng(4)
    rows = np.column_stack([rng.normal(size=300), rng.integers(0, 200, 300), 1.6e9 + rng.integers(0, 900, 300)])
    target = (rows[:, 1] % 7 > 3) ^ (rows[:, 2] % 2 > 0)
    case = make_case(Classifier(max_iter=20, categorical_features=[False, True, False]), rows, target)
    onnx = ExactConverter().convert(case.model, case.signature)
    assert np.abs(onnx.predict(rows)[1] - case.reference.probabilities).max() <= EXACT
    assert onnx.predict(rows)[0].dtype == bool


def pipelines():
    numbers = ["size", "moment", "count"]
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
            ("name", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["name", "code"]),
        ]
    )
    inner = Classifier(max_iter=5, random_state=0)
    return {
        "column transformer": make_pipeline(prepare, Classifier(max_iter=8)),
        "calibrated": make_pipeline(prepare, CalibratedClassifierCV(inner, cv=2)),
        "voting beside a forest": make_pipeline(
            prepare,
            SimpleImputer(),
            VotingClassifier(
                [("a", inner), ("b", RandomForestClassifier(5, random_state=0))], voting="soft", flatten_transform=False
            ),
        ),
        "stacking": make_pipeline(
            prepare, SimpleImputer(), StackingClassifier([("a", inner)], final_estimator=LogisticRegression(), cv=2)
        ),
    }


@pytest.mark.parametrize("name", pipelines())
def test_inside_pipelines_and_other_estimators_the_answers_stay(name):
    rng = np.random.default_rng(9)
    frame = made_rows(rng, 300).fillna({"name": "none"})
    value = made_target(rng, frame)
    model = pipelines()[name].fit(frame, np.digitize(value, np.quantile(value, [0.3, 0.7])))
    onnx = converted(model, frame)
    rows = frame.head(100).assign(moment=frame.moment.head(100) + 1, name="never seen")
    assert farthest(model, onnx, frame) <= EXACT
    assert farthest(model, onnx, rows) <= EXACT


def test_several_values_at_once_convert():
    rng = np.random.default_rng(1)
    frame = made_rows(rng, 200)[["size", "moment"]]
    model = MultiOutputRegressor(Regressor(max_iter=3)).fit(frame, rng.normal(size=(200, 2)))
    assert farthest(model, converted(model, frame), frame) <= EXACT


def test_numbers_that_float32_can_hold_part_alike_with_rounded_thresholds():
    rng = np.random.default_rng(6)
    frame = made_rows(rng, 400)[["size", "share", "count"]].astype(np.float32)
    model = Classifier(max_iter=10).fit(frame, frame["share"] > 3)
    onnx = converted(model, frame, ROUNDED)
    assert [one["dtype"] for one in onnx.inputs] == ["float32"]
    assert farthest(model, onnx, frame) < 1e-6
    assert farthest(model, onnx, hostile_rows(model, frame, rng)) < 1e-6


def test_the_promises_of_a_converter_are_kept():
    rng = np.random.default_rng(3)
    frame = made_rows(rng, 200)
    check_converter(ExactConverter(), fitted("two classes", rng, frame, categorical_features=SETS), frame)


def test_it_takes_what_holds_such_a_model_and_nothing_else(flights, late):
    assert not ExactConverter().can_convert(LogisticRegression())
    assert ExactConverter().can_convert(make_pipeline(StandardScaler(), Classifier()))
    model = Classifier(max_iter=2).fit(flights[["wind"]], late)
    with pytest.raises(InvalidObject, match="know no categories"):
        SklearnConverter().convert(model, {"inputs": columns_of(flights[["wind"]])})


def test_only_the_operators_of_trees_are_of_a_later_set():
    rng = np.random.default_rng(3)
    frame = made_rows(rng, 200)[["size", "moment"]]
    made = onnx.load_from_string(converted(fitted_numbers(rng, frame), frame).content)
    onnx.checker.check_model(made)
    versions = {one.domain: one.version for one in made.opset_import}
    assert versions.pop("ai.onnx.ml") == 5
    assert all(version <= 18 for version in versions.values())


def fitted_numbers(rng, frame):
    return Classifier(max_iter=3).fit(frame, rng.random(len(frame)) < 0.5)


def test_it_is_chosen_where_it_serves_best():
    rng = np.random.default_rng(8)
    frame = made_rows(rng, 300)
    case = make_case(Classifier(max_iter=5, categorical_features=SETS), frame, made_target(rng, frame) > 4)
    report = convert(case.model, case.signature, case.reference)
    assert (report.chosen, report.rung) == ("nbmlops", FLOAT64), report.reason
