"""Preprocessing in float64, joined to an estimator's graph."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    StandardScaler,
    TargetEncoder,
)

from nbmlops.conversion.graphs import scikit_learn_graph
from nbmlops.conversion.preprocessing import with_float64_preprocessing
from nbmlops.conversion.rungs import FLOAT32, FLOAT64_PREPROCESSING
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.core.errors import InvalidObject
from nbmlops.registry.signature import columns_of
from tests.conversion.conftest import make_case


@pytest.fixture(scope="module")
def trips(flights) -> pd.DataFrame:
    """Flights with moments in seconds, which float32 rounds to two minutes, and with codes that it can't tell apart."""
    rng = np.random.default_rng(3)
    moments = 1.6e9 + rng.integers(0, 5000, len(flights)) + 0.25
    codes = rng.choice([16777216.0, 16777217.0, 0.1], len(flights))
    return flights.assign(moment=moments, code=codes)


def columns(*transformers, rows) -> ColumnTransformer:
    return ColumnTransformer([(str(place), *one) for place, one in enumerate(transformers)]).fit(rows)


def answered(transformer, rows, steps=FLOAT64_PREPROCESSING):
    """Return what a pipeline's preparing steps make of `rows` in ONNX, through an estimator that adds nothing."""

    def nothing(estimator, width):
        from onnx import TensorProto, helper

        shape = [None, width]
        given, made = (helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape) for name in ("given", "made"))
        graph = helper.make_graph([helper.make_node("Identity", ["given"], ["made"])], "same", [given], [made])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    pipeline = make_pipeline(transformer, "passthrough")
    onnx = with_float64_preprocessing(pipeline, {"inputs": columns_of(rows)}, nothing, converter="nothing")
    return onnx.predict(rows)[0]


@pytest.mark.parametrize(
    ("transformer", "names"),
    [
        (SimpleImputer(add_indicator=True), ["visibility", "wind"]),
        (SimpleImputer(missing_values=0.1, strategy="median"), ["code", "wind"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["visibility", "moment"]),
        (PolynomialFeatures(2), ["moment", "wind"]),
        (OneHotEncoder(sparse_output=False), ["code", "hour", "carrier", "weekend"]),
        (OneHotEncoder(sparse_output=False, drop="first"), ["code", "carrier"]),
        (OneHotEncoder(sparse_output=False, drop="first", min_frequency=0.25), ["carrier", "hour"]),
        (OrdinalEncoder(), ["code", "carrier", "hour"]),
        (OrdinalEncoder(min_frequency=130, encoded_missing_value=-5), ["visibility", "carrier"]),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder()), ["tail"]),
        (OrdinalEncoder(encoded_missing_value=-5), ["tail", "carrier"]),
        (OrdinalEncoder(), ["tail"]),
        (PowerTransformer(), ["distance", "wind", "hour"]),
        (PowerTransformer("box-cox", standardize=False), ["wind"]),
        (KBinsDiscretizer([4, 2, 9], quantile_method="averaged_inverted_cdf"), ["moment", "hour", "wind"]),
        (KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), ["moment", "wind"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else type(value).__name__,
)
def test_preparing_steps_give_the_numbers_of_scikit_learn(transformer, names, trips):
    fitted = columns((transformer, names), rows=trips)
    expected = fitted.transform(trips)
    expected = expected.toarray() if hasattr(expected, "toarray") else expected.astype(float)
    # Powers of numbers near one lose digits to the subtraction of one; all else is exact.
    np.testing.assert_allclose(answered(fitted, trips), expected, rtol=1e-15, atol=1e-13)


@pytest.mark.parametrize("classes", [2, 3])
def test_means_of_the_target_take_the_place_of_categories(classes, trips):
    target = pd.qcut(trips.moment, classes, labels=False)
    encoder = TargetEncoder(target_type="binary" if classes == 2 else "multiclass", cv=2, random_state=0)
    fitted = ColumnTransformer([("all", encoder, ["carrier", "tail", "hour"])]).fit(trips, target)
    rows = pd.concat([trips, trips.head(3).assign(carrier="?", hour=99, tail=np.nan)])
    assert np.array_equal(answered(fitted, rows), fitted.transform(rows))


def test_columns_that_never_held_a_number_are_left_out_as_by_scikit_learn(trips):
    rows = trips.assign(empty=np.nan)
    fitted = columns((SimpleImputer(), ["wind", "empty", "visibility"]), rows=rows)
    assert np.array_equal(answered(fitted, rows), fitted.transform(rows))


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=150, sparse_output=False),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ],
    ids=lambda value: value.handle_unknown,
)
def test_categories_never_seen_are_what_the_encoder_makes_of_them(encoder, trips):
    fitted = columns((encoder, ["carrier", "code", "hour"]), rows=trips)
    others = trips.head(3).assign(carrier="?", code=[0.1 + 1e-9, 16777218.0, 1e300], hour=[-1, 24, 3])
    assert np.array_equal(answered(fitted, others), fitted.transform(others))


@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(sparse_output=False), OrdinalEncoder()], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("change", [{"carrier": "?"}, {"code": 0.1000001}], ids=str)
def test_categories_that_scikit_learn_refuses_are_refused(encoder, change, trips):
    fitted = columns((encoder, ["carrier", "code"]), rows=trips)
    with pytest.raises(Exception, match="out of data bounds"):
        answered(fitted, trips.head(3).assign(**change))


def test_trees_behind_a_scaler_part_the_rows_as_scikit_learn_does(trips):
    late = trips.moment // 300 % 2 == 1
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["moment", "distance", "visibility"]),
            ("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        ]
    )
    case = make_case(make_pipeline(prepare, RandomForestClassifier(20, random_state=0)), trips, late)
    converter = SklearnConverter()
    _, probabilities = converter.convert(case.model, case.signature, rung=FLOAT64_PREPROCESSING).predict(trips)
    assert np.abs(probabilities - case.reference.probabilities).max() < 1e-6
    _, flat = converter.convert(case.model, case.signature, rung=FLOAT32).predict(trips)
    assert np.abs(flat - case.reference.probabilities).max() > 1e-3, "float32 would do, so nothing was tested"


def test_a_pipeline_within_a_pipeline_is_taken_apart(trips, late):
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    case = make_case(make_pipeline(StandardScaler(), inner), trips[["distance", "wind"]], late)
    onnx = SklearnConverter().convert(case.model, case.signature, rung=FLOAT64_PREPROCESSING)
    assert np.abs(onnx.predict(case.reference.inputs)[1] - case.reference.probabilities).max() < 1e-6


def test_columns_may_have_the_names_of_the_graph_s_outputs(trips, late):
    rows = trips[["wind", "distance"]].rename(columns={"wind": "label", "distance": "probabilities"})
    prepare = ColumnTransformer([("all", StandardScaler(), ["label"])], remainder="passthrough")
    case = make_case(make_pipeline(prepare, LogisticRegression()), rows, late)
    onnx = SklearnConverter().convert(case.model, case.signature, rung=FLOAT64_PREPROCESSING)
    assert np.abs(onnx.predict(rows)[1] - case.reference.probabilities).max() < 1e-6


def test_a_model_without_preprocessing_has_no_such_rung(trips, late):
    case = make_case(LogisticRegression(), trips[["wind", "moment"]], late)
    with pytest.raises(InvalidObject, match="no preprocessing"):
        SklearnConverter().convert(case.model, case.signature, rung=FLOAT64_PREPROCESSING)


def test_an_estimator_of_another_library_is_asked_for_its_own_graph(trips, late):
    case = make_case(make_pipeline(StandardScaler(), LogisticRegression()), trips[["wind", "moment"]], late)
    asked = []

    def graph(estimator, width):
        asked.append((estimator, width))
        return scikit_learn_graph(estimator, [{"name": "x", "dtype": "float64", "shape": [-1, width]}])

    onnx = with_float64_preprocessing(case.model, case.signature, graph, converter="other")
    assert asked == [(case.model.steps[-1][1], 2)]
    assert onnx.converter == "other"
    assert np.abs(onnx.predict(case.reference.inputs)[1] - case.reference.probabilities).max() < 1e-12
