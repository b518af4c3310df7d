"""XGBoost and LightGBM in ONNX: what is written says what the library says, and what would not is refused."""

from __future__ import annotations

import pickle

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.conversion import convert, converters
from nbmlops.conversion.boosting import OnnxmltoolsConverter
from nbmlops.conversion.lightgbm import LightgbmConverter
from nbmlops.conversion.rungs import FLOAT64, FLOAT64_PREPROCESSING, ROUNDED
from nbmlops.core.errors import InvalidObject
from nbmlops.registry import sample
from nbmlops.testing.converters import check_converter
from tests.conversion.conftest import Case, make_case

NUMBERS = ["distance", "wind", "hour", "visibility"]


@pytest.fixture(scope="module")
def rows(flights):
    """Numbers of a notebook's frame: float64, whole ones, gaps, and an epoch in seconds."""
    epoch = np.random.default_rng(3).integers(1_356_998_400, 1_388_534_400, len(flights))
    return flights[NUMBERS].assign(epoch=epoch.astype(float))


@pytest.fixture(scope="module")
def value(rows):
    """Something that depends on all columns."""
    return (rows.distance / 1000 + rows.wind + rows.epoch / 1e8 - rows.visibility.fillna(2)).to_numpy()


def three(value):
    return np.array(["early", "late", "on time"], dtype=object)[np.digitize(value, [13, 14.5])]


TARGETS = {
    "two": lambda value: (value > 13.5).astype(int),
    "truth": lambda value: value > 13.5,
    "texts": three,
    "odd": lambda value: np.array([3, 7, 12])[np.digitize(value, [13, 14.5])],
    "positions": lambda value: np.digitize(value, [13, 14.5]),
    "value": lambda value: value,
    "count": lambda value: np.digitize(value, [12, 13, 14, 15]),
}


def xgb(kind="XGBClassifier", **settings):
    return getattr(xgboost, kind)(n_estimators=12, max_depth=4, n_jobs=1, **settings)


def lgbm(kind="LGBMClassifier", **settings):
    return getattr(lightgbm, kind)(n_estimators=12, min_child_samples=5, n_jobs=1, verbose=-1, **settings)


def fitted(model, rows, target) -> Case:
    if isinstance(model, (xgboost.XGBRanker, lightgbm.LGBMRanker)):
        groups = [100] * (len(rows) // 100)
        plain = model.fit
        model.fit = lambda rows, target: plain(rows, target, group=groups)
        case = make_case(model, rows, target)
        del model.fit
        return case
    return make_case(model, rows, target)


def check(case, onnx, *, tolerance):
    labels, probabilities = onnx.predict(case.reference.inputs)
    expected = case.reference.predictions
    if case.reference.probabilities is None:
        np.testing.assert_allclose(np.asarray(labels).reshape(expected.shape), expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_allclose(probabilities, case.reference.probabilities, atol=tolerance)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (lambda: xgb(), "two"),
        (lambda: xgb(), "positions"),
        (lambda: xgb(base_score=0.2), "two"),
        (lambda: xgb("XGBRegressor"), "value"),
        (lambda: xgb("XGBRegressor", objective="count:poisson"), "count"),
        (lambda: xgb("XGBRegressor", objective="reg:absoluteerror"), "value"),
        (lambda: xgb("XGBRanker"), "count"),
        (lambda: xgb("XGBRFRegressor"), "value"),
    ],
)
def test_xgboost_says_the_same(rows, value, model, target):
    case = fitted(model(), rows, TARGETS[target](value))
    assert OnnxmltoolsConverter().refusal(case.model) is None
    check(case, OnnxmltoolsConverter().convert(case.model, case.signature), tolerance=2e-6)


LIGHTGBM = [
    (lambda: lgbm(), "two"),
    (lambda: lgbm(), "truth"),
    (lambda: lgbm(), "texts"),
    (lambda: lgbm(), "odd"),
    (lambda: lgbm(objective="multiclassova"), "texts"),
    (lambda: lgbm(sigmoid=2.0), "two"),
    (lambda: lgbm(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5), "two"),
    (lambda: lgbm(boosting_type="dart"), "positions"),
    (lambda: lgbm(use_missing=False), "two"),
    (lambda: lgbm("LGBMRegressor"), "value"),
    (lambda: lgbm("LGBMRegressor", reg_sqrt=True), "value"),
    (lambda: lgbm("LGBMRegressor", objective="tweedie"), "count"),
    (lambda: lgbm("LGBMRanker"), "count"),
]


@pytest.mark.parametrize(("model", "target"), LIGHTGBM)
def test_lightgbm_says_the_same_to_the_last_bits(rows, value, model, target):
    case = fitted(model(), rows, TARGETS[target](value))
    check(case, LightgbmConverter().convert(case.model, case.signature), tolerance=1e-13)


@pytest.mark.parametrize(("model", "target"), LIGHTGBM)
def test_what_onnxmltools_writes_of_lightgbm_is_right_but_for_a_rounded_threshold_or_refused(
    rows, value, model, target
):
    case = fitted(model(), rows, TARGETS[target](value))
    if OnnxmltoolsConverter().refusal(case.model) is not None:
        return
    labels, probabilities = OnnxmltoolsConverter().convert(case.model, case.signature).predict(rows)
    known = case.reference.probabilities
    expected, answer = (case.reference.predictions, labels) if known is None else (known, probabilities)
    wrong = ~np.isclose(answer.reshape(expected.shape), expected, rtol=2e-6, atol=2e-6)
    assert wrong.reshape(len(rows), -1).any(axis=1).mean() < 0.05


def test_lightgbm_with_rounded_thresholds_parts_float32_numbers_as_before(rows, value):
    single = rows.astype(np.float32)
    case = make_case(lgbm(), single, TARGETS["texts"](value))
    check(case, LightgbmConverter().convert(case.model, case.signature, rung=ROUNDED), tolerance=2e-6)


def bare(library, rows, target, **settings):
    if library == "xgboost":
        data = xgboost.DMatrix(rows, label=target)
        return xgboost.train({"max_depth": 3, **settings}, data, num_boost_round=8)
    quiet = {"verbose": -1, "min_data_in_leaf": 5, **settings}
    return lightgbm.train(quiet, lightgbm.Dataset(rows, label=target), num_boost_round=8)


@pytest.mark.parametrize(
    ("library", "target", "settings"),
    [
        ("xgboost", "two", {"objective": "binary:logistic"}),
        ("xgboost", "positions", {"objective": "multi:softprob", "num_class": 3}),
        ("xgboost", "value", {}),
        ("lightgbm", "two", {"objective": "binary"}),
        ("lightgbm", "positions", {"objective": "multiclass", "num_class": 3}),
        ("lightgbm", "value", {}),
    ],
)
def test_a_bare_booster_says_what_its_own_predict_says(rows, value, library, target, settings):
    model = bare(library, rows, TARGETS[target](value), **settings)
    converter = OnnxmltoolsConverter() if library == "xgboost" else LightgbmConverter()
    signature = {"inputs": [{"name": name, "type": "double", "nullable": True} for name in rows]}
    answer, probabilities = converter.convert(model, signature).predict(rows)
    expected = sample.predict(model, rows)
    assert probabilities is None
    np.testing.assert_allclose(answer.reshape(expected.shape), expected, rtol=2e-6, atol=2e-6)


def in_pipeline(last):
    steps = [("scaled", StandardScaler(), ["distance", "wind"]), ("carrier", OneHotEncoder(), ["carrier"])]
    return make_pipeline(ColumnTransformer(steps, remainder="drop", sparse_threshold=0), last)


@pytest.mark.parametrize(
    ("last", "converter", "rung", "tolerance"),
    [
        (xgb, OnnxmltoolsConverter, FLOAT64_PREPROCESSING, 2e-6),
        (lgbm, OnnxmltoolsConverter, FLOAT64_PREPROCESSING, 2e-6),
        (lgbm, LightgbmConverter, FLOAT64, 1e-12),
    ],
)
def test_the_last_step_of_a_pipeline_is_converted_with_it(flights, late, last, converter, rung, tolerance):
    case = make_case(in_pipeline(last()), flights[["distance", "wind", "carrier"]], late.astype(int))
    check(case, converter().convert(case.model, case.signature, rung=rung), tolerance=tolerance)


@pytest.mark.parametrize(
    ("model", "target", "what"),
    [
        (lambda: xgb("XGBRFClassifier"), "positions", "side by side"),
        (lambda: xgb(num_parallel_tree=3, subsample=0.5), "positions", "side by side"),
        (lambda: xgb("XGBRegressor", objective="reg:logistic"), "two", "reg:logistic"),
        (lambda: xgb(booster="dart", rate_drop=0.5), "two", "dart"),
        (lambda: xgb(booster="gblinear"), "two", "gblinear"),
        (lambda: lgbm(objective="multiclassova"), "texts", "multiclassova"),
        (lambda: lgbm(sigmoid=2.0), "two", "sigmoid"),
        (lambda: lgbm(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5), "two", "mean"),
        (lambda: lgbm("LGBMRegressor", reg_sqrt=True), "value", "square"),
        (lambda: lgbm("LGBMRegressor", linear_tree=True), "value", "linear"),
    ],
)
def test_what_onnxmltools_writes_wrongly_is_refused_with_the_reason(rows, value, model, target, what):
    made = model()
    made.fit(rows, TARGETS[target](value))
    assert what in OnnxmltoolsConverter().refusal(made)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_native_categories_are_refused(flights, late, library):
    frame = flights[["wind", "carrier"]].assign(carrier=flights.carrier.astype("category"))
    model = xgb(enable_categorical=True) if library == "xgboost" else lgbm()
    case = make_case(model, frame, late.astype(int))
    assert "categories" in OnnxmltoolsConverter().refusal(case.model)
    with pytest.raises(InvalidObject, match=r"text|categories"):
        OnnxmltoolsConverter().convert(case.model, case.signature)
    if library == "lightgbm":
        with pytest.raises(InvalidObject, match="categories"):
            LightgbmConverter().convert(case.model, case.signature)


def test_what_can_not_be_written_of_lightgbm_is_refused(rows, value):
    linear = lgbm("LGBMRegressor", linear_tree=True).fit(rows, value)
    zeros = lgbm(zero_as_missing=True).fit(rows, TARGETS["two"](value))
    signature = {"inputs": [{"name": name, "type": "double"} for name in rows]}
    with pytest.raises(InvalidObject, match="linear"):
        LightgbmConverter().convert(linear, signature)
    with pytest.raises(InvalidObject, match="zeros"):
        LightgbmConverter().convert(zeros, signature)


def test_trees_that_early_stopping_left_out_are_left_out(rows, value):
    target = TARGETS["two"](value)
    noise = np.random.default_rng(1).permutation(target)
    boosted = xgb(early_stopping_rounds=2).fit(rows, target, eval_set=[(rows, noise)], verbose=False)
    light = lgbm().fit(rows, target, eval_set=[(rows, noise)], callbacks=[lightgbm.early_stopping(2, verbose=False)])
    signature = {"inputs": [{"name": name, "type": "double", "nullable": True} for name in rows]}
    for model, converter in ((boosted, OnnxmltoolsConverter()), (light, LightgbmConverter())):
        _, probabilities = converter.convert(model, signature).predict(rows)
        np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=2e-6)


@pytest.mark.parametrize(("model", "converter"), [(xgb, OnnxmltoolsConverter), (lgbm, LightgbmConverter)])
def test_the_converters_conform_and_register_nothing(rows, value, model, converter):
    from skl2onnx import supported_converters

    before = supported_converters(False)
    check_converter(converter(), model().fit(rows, TARGETS["two"](value)), rows)
    assert supported_converters(False) == before


@pytest.mark.parametrize(("model", "chosen"), [(xgb, "onnxmltools"), (lgbm, "lightgbm")])
def test_a_boosted_model_is_converted_by_itself(rows, value, model, chosen):
    case = make_case(model(), rows, TARGETS["texts"](value) if chosen == "lightgbm" else TARGETS["two"](value))
    before = pickle.dumps(case.model)
    report = convert(case.model, case.signature, case.reference)
    assert report.chosen == chosen, report.reason
    assert pickle.dumps(case.model) == before


def test_the_order_is_exact_first_and_other_frameworks_late():
    names = [one.name for one in converters()]
    assert names.index("skl2onnx") < names.index("lightgbm") < names.index("onnxmltools")


def test_objects_of_other_libraries_are_left_alone():
    for model in (object(), pd.DataFrame(), make_pipeline(StandardScaler())):
        assert not OnnxmltoolsConverter().can_convert(model)
        assert not LightgbmConverter().can_convert(model)
