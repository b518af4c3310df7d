"""CatBoost in ONNX by its own exporter, and what that exporter gets wrong."""

from __future__ import annotations

import catboost
import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbmlops.conversion import convert, converters
from nbmlops.conversion.catboost import CatboostConverter
from nbmlops.conversion.rungs import FLOAT64_PREPROCESSING
from nbmlops.core.errors import InvalidObject
from nbmlops.registry.nulls import answered
from nbmlops.registry.signature import task_of
from nbmlops.registry.tables import Inputs
from nbmlops.testing.converters import check_converter
from tests.conversion.conftest import make_case

NUMBERS = ["distance", "wind", "hour", "visibility"]
TARGETS = {
    "two": lambda value: (value > 2).astype(int),
    "texts": lambda value: np.array(["early", "late", "on time"], dtype=object)[np.digitize(value, [1, 2])],
    "odd": lambda value: np.array([3, 7, 12])[np.digitize(value, [1, 2])],
    "value": lambda value: value,
    "count": lambda value: np.digitize(value, [0, 1, 2, 3]),
    "truth": lambda value: value > 2,
}


def boosted(kind="CatBoostClassifier", **settings):
    options = {"iterations": 12, "depth": 4, "thread_count": 1, "verbose": False, "allow_writing_files": False}
    if kind == "CatBoost":
        return catboost.CatBoost({**options, **settings})
    return getattr(catboost, kind)(**options, **settings)


@pytest.fixture(scope="module")
def value(flights):
    return (flights.distance / 1000 + flights.wind - flights.visibility.fillna(2) + flights.hour / 12).to_numpy()


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (lambda: boosted(), "two"),
        (lambda: boosted(), "texts"),
        (lambda: boosted(), "odd"),
        (lambda: boosted(nan_mode="Max"), "two"),
        (lambda: boosted(loss_function="CrossEntropy"), "two"),
        (lambda: boosted("CatBoostRegressor"), "value"),
        (lambda: boosted("CatBoostRegressor", loss_function="MAE"), "value"),
    ],
)
def test_catboost_says_the_same(flights, value, model, target):
    case = make_case(model(), flights[NUMBERS], TARGETS[target](value))
    assert CatboostConverter().refusal(case.model) is None
    labels, probabilities = CatboostConverter().convert(case.model, case.signature).predict(flights[NUMBERS])
    expected = case.reference.predictions
    if case.reference.probabilities is None:
        np.testing.assert_allclose(labels.ravel(), expected.ravel(), rtol=2e-6, atol=2e-6)
    else:
        assert labels.ravel().tolist() == expected.ravel().tolist()
        np.testing.assert_allclose(probabilities, case.reference.probabilities, atol=5e-7)


@pytest.mark.parametrize("target", ["two", "odd", "value"])
def test_the_gate_takes_it_by_itself(flights, value, target):
    model = boosted("CatBoostRegressor" if target == "value" else "CatBoostClassifier")
    case = make_case(model, flights[NUMBERS], TARGETS[target](value))
    report = convert(case.model, case.signature, case.reference)
    assert {one.converter for one in report.trail} >= {"catboost"}
    assert any(one.faithful for one in report.trail), report.reason


def test_a_pipeline_is_prepared_in_float64(flights, value):
    case = make_case(make_pipeline(StandardScaler(), boosted()), flights[NUMBERS], TARGETS["two"](value))
    made = CatboostConverter().convert(case.model, case.signature, rung=FLOAT64_PREPROCESSING)
    labels, probabilities = made.predict(flights[NUMBERS])
    assert labels.tolist() == case.reference.predictions.tolist()
    np.testing.assert_allclose(probabilities, case.reference.probabilities, atol=5e-7)
    with pytest.raises(InvalidObject, match="float64"):
        CatboostConverter().convert(case.model, case.signature)


@pytest.mark.parametrize(
    ("model", "target", "loss"),
    [
        (lambda: boosted(loss_function="MultiClassOneVsAll"), "odd", "MultiClassOneVsAll"),
        (lambda: boosted("CatBoostRegressor", loss_function="Poisson"), "count", "Poisson"),
        (lambda: boosted("CatBoostRegressor", loss_function="Tweedie:variance_power=1.5"), "count", "Tweedie"),
    ],
)
def test_losses_that_it_exports_wrongly_are_refused_and_the_comparison_alone_rejects_them(
    flights, value, model, target, loss
):
    case = make_case(model(), flights[NUMBERS], TARGETS[target](value))
    assert loss in CatboostConverter().refusal(case.model)

    class Unwarned(CatboostConverter):
        refusal = None

    [only, *_] = convert(case.model, case.signature, case.reference, candidates=(Unwarned(),)).trail
    assert only.state == "unfaithful"


def test_what_it_can_not_export_is_refused_with_the_reason(flights, value):
    target = TARGETS["two"](value)
    rows = flights[["wind", "carrier"]]
    categories = make_case(boosted(cat_features=["carrier"]), rows, target)
    truth = make_case(boosted(), flights[NUMBERS], TARGETS["truth"](value))
    lopsided = make_case(boosted(grow_policy="Lossguide"), flights[NUMBERS], target)
    plain = make_case(boosted("CatBoost", loss_function="Logloss"), flights[NUMBERS], target)
    for case, reason in (
        (categories, "categories"),
        (truth, "label type"),
        (lopsided, "non symmetric"),
        (plain, "sums"),
    ):
        with pytest.raises(InvalidObject, match=reason):
            CatboostConverter().convert(case.model, case.signature)


def test_it_conforms_and_tells_nothing_of_the_training(flights, value):
    model = boosted().fit(flights[NUMBERS], TARGETS["two"](value))
    check_converter(CatboostConverter(), model, flights[NUMBERS])
    case = make_case(boosted(), flights[NUMBERS], TARGETS["two"](value))
    made = onnx.load_from_string(CatboostConverter().convert(case.model, case.signature).content)
    assert list(made.metadata_props) == []


def test_it_is_found_and_leaves_others_alone():
    assert "catboost" in [one.name for one in converters()]
    for model in (object(), pd.DataFrame(), make_pipeline(StandardScaler())):
        assert not CatboostConverter().can_convert(model)


def test_the_registry_knows_its_tasks_and_asks_it_about_nulls(flights, value):
    full = flights[["distance", "wind"]]
    two = TARGETS["two"](value)
    assert task_of(boosted().fit(full, two)) == "classification"
    assert task_of(boosted("CatBoostRegressor").fit(full, value)) == "regression"
    inputs = Inputs(full, "frame")
    assert answered(boosted().fit(full, two), inputs, full) == {"distance", "wind"}
