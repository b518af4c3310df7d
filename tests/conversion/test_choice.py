from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skl2onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from nbmlops.conversion import Speed, Terms, convert, judging
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.registry.signature import columns_of
from tests.conversion.conftest import make_case

NOTHING_KNOWN = Terms(known=())
NUMBERS = ["distance", "wind", "visibility"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """How fast a machine is decides nothing here: the measurement is given."""
    measured = Speed(rows=(1, 1000), fitted_ms=(2.0, 2.0), onnx_ms=(1.0, 1.0))
    monkeypatch.setattr("nbmlops.conversion.ladder.speed", lambda *_, **__: measured)


def columns(*numeric, unknown="ignore"):
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), *numeric), [*NUMBERS, "hour"]),
            ("carrier", OneHotEncoder(handle_unknown=unknown), ["carrier"]),
            (
                "tail",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
                ["tail"],
            ),
        ],
        remainder="passthrough",
    )


def forest(kind=RandomForestClassifier):
    return kind(15, random_state=0)


class Float32(SklearnConverter):
    """What is shipped, without its other rungs."""

    rungs = ("float32",)


FLOAT32_ALONE = (Float32(),)
RIGHT = {
    "mixed columns and boosting": (make_pipeline(columns(), GradientBoostingClassifier(n_estimators=10)), None),
    "mixed columns and forest": (make_pipeline(columns(), forest()), None),
    "a refusing encoder": (make_pipeline(columns(StandardScaler(), unknown="error"), LogisticRegression()), None),
    "encoder of gaps": (
        make_pipeline(
            ColumnTransformer([("tail", OneHotEncoder(handle_unknown="ignore"), ["tail", "carrier"])]),
            LogisticRegression(),
        ),
        None,
    ),
    "encoder of whole numbers": (
        make_pipeline(
            ColumnTransformer([("hour", OneHotEncoder(handle_unknown="ignore"), ["hour", "weekend"])]),
            LogisticRegression(),
        ),
        None,
    ),
    "plain numbers": (LogisticRegression(), ["wind", "hour"]),
    "soft voting": (
        VotingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=0.01))], voting="soft"),
        ["wind", "hour"],
    ),
    "no probabilities": (make_pipeline(StandardScaler(), LinearSVC()), ["distance", "wind"]),
}
WRONG = {
    "scaler and forest": (make_pipeline(columns(StandardScaler()), forest()), None),
    "calibrated pipeline": (
        CalibratedClassifierCV(make_pipeline(StandardScaler(), LogisticRegression())),
        ["distance", "wind"],
    ),
}
HUGE = (GaussianNB(), ["wind", "hour"])
IMPOSSIBLE = {
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=3), ["distance", "wind"]),
    "own function": (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()), ["wind", "hour"]),
    "neighbours": (KNeighborsClassifier(), ["distance", "wind"]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_model_that_says_the_same_is_chosen(name, flights, late):
    model, names = RIGHT[name]
    case = make_case(model, flights[names] if names else flights, np.where(late, "late", "on time"))
    report = convert(case.model, case.signature, case.reference)
    assert report.chosen == "skl2onnx", report.reason
    assert report.rung == "float32"
    assert report.fidelity.labels_different == 0
    assert report.fidelity.max_difference <= 1e-5
    assert list(report.predict(case.reference.inputs)) == list(case.reference.predictions)


@pytest.mark.parametrize("name", WRONG)
def test_a_silently_wrong_conversion_is_refused(name, flights, late):
    model, names = WRONG[name]
    case = make_case(model, flights[names] if names else flights, late)
    report = convert(case.model, case.signature, case.reference, candidates=FLOAT32_ALONE, terms=NOTHING_KNOWN)
    assert report.chosen is None
    assert report.onnx is None
    assert not report.fidelity.agrees
    assert "disagrees" in report.reason
    assert len(report.flips) >= report.fidelity.labels_different


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_model_that_does_not_convert_keeps_its_own_runtime_and_says_why(name, flights, late):
    model, names = IMPOSSIBLE[name]
    case = make_case(model, flights[names], late)
    report = convert(case.model, case.signature, case.reference, candidates=FLOAT32_ALONE)
    assert report.chosen is None
    assert "skl2onnx can't convert this model" in report.reason
    assert "\n" not in report.reason


def test_what_is_known_to_be_wrong_is_refused_before_it_is_converted(flights, late):
    model, names = WRONG["calibrated pipeline"]
    case = make_case(model, flights[names], late)
    report = convert(case.model, case.signature, case.reference, candidates=FLOAT32_ALONE)
    assert report.reason == (
        "skl2onnx is known to be wrong for this model: it is off by up to 0.5 where a pipeline is calibrated"
    )
    assert report.fidelity is None


def test_numbers_whose_squares_float32_can_not_hold_are_tried(flights, late):
    model, names = HUGE
    case = make_case(model, flights[names], late)
    report = convert(case.model, case.signature, case.reference, candidates=FLOAT32_ALONE)
    assert report.chosen is None
    assert "huge numbers" in report.reason
    assert report.fidelity.agrees


def test_a_forest_behind_a_scaler_is_refused_for_its_values_too(flights):
    target = flights.distance * 3 + flights.wind
    case = make_case(make_pipeline(columns(StandardScaler()), forest(RandomForestRegressor)), flights, target)
    report = convert(case.model, case.signature, case.reference, candidates=FLOAT32_ALONE)
    assert report.chosen is None
    assert report.fidelity.labels_different > 0


def test_regressions_answer_in_the_shape_of_the_fitted_object(flights):
    rows, value = flights[["distance", "wind"]], (flights.distance * 3 + flights.wind).to_numpy()
    for target in (value, np.stack([value, -value], axis=1)):
        case = make_case(LinearRegression(), rows, target)
        report = convert(case.model, case.signature, case.reference)
        assert report.chosen, report.reason
        assert report.predict(rows).shape == target.shape


def test_an_array_is_one_tensor(flights, late):
    case = make_case(DecisionTreeClassifier(max_depth=3), flights[["distance", "wind"]].to_numpy(), late)
    report = convert(case.model, case.signature, case.reference)
    assert report.chosen, report.reason
    assert [one["column"] for one in report.onnx.inputs] == [None]


def test_true_and_false_stay_true_and_false(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    assert convert(case.model, case.signature, case.reference).predict(flights).dtype == bool


def text_case(vectorizer, texts):
    texts = pd.Series(texts * 20)
    return make_case(make_pipeline(vectorizer, LogisticRegression()), texts, np.arange(len(texts)) % 4)


def test_text_converts_on_any_locale():
    case = text_case(TfidfVectorizer(), ["late flight to rome", "on time", "Delay due to weather", "gate changed"])
    report = convert(case.model, case.signature, case.reference)
    assert report.chosen, report.reason


def test_text_that_onnx_lowers_differently_is_refused():
    case = text_case(CountVectorizer(), ["été", "Été", "hiver long", "gate changed"])
    report = convert(case.model, case.signature, case.reference, candidates=FLOAT32_ALONE)
    assert "disagrees" in report.reason


def test_a_tie_on_a_row_that_was_made_up_is_no_disagreement():
    """A text without a known word leaves two classes equally likely, and either may be named."""
    case = text_case(CountVectorizer(), ["late flight to rome", "on time", "delay due to weather", "gate changed"])
    chances = np.sort(case.model.predict_proba(["unknown"]))[0]
    assert chances[-1] == pytest.approx(chances[-2])
    assert convert(case.model, case.signature, case.reference).chosen


class Fake:
    """A converter that hands out a model made from another one."""

    name = "fake"

    def __init__(self, other=None, error=None):
        self.other, self.error = other, error

    def can_convert(self, model):
        return True

    def convert(self, model, signature, *, rung="float32"):
        if self.error:
            raise self.error
        return replace(SklearnConverter().convert(self.other or model, signature), converter=self.name)


@pytest.fixture
def plain(flights, late):
    return make_case(make_pipeline(StandardScaler(), LogisticRegression()), flights[["distance", "wind"]], late)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("first line\nsecond line"), KeyError("x"), AssertionError(), MemoryError(), ImportError("no torch")],
)
def test_a_failing_converter_is_a_reason_and_never_an_error(plain, error):
    report = convert(plain.model, plain.signature, plain.reference, candidates=(Fake(error=error),))
    assert report.chosen is None
    assert report.reason.startswith("fake can't convert this model: ")
    assert "second line" not in report.reason


def test_the_next_converter_is_tried(plain):
    candidates = (Fake(error=RuntimeError("no")), SklearnConverter())
    assert convert(plain.model, plain.signature, plain.reference, candidates=candidates).chosen == "skl2onnx"


def test_a_converter_that_answers_with_another_model_is_refused(plain, flights, late):
    other = make_case(make_pipeline(StandardScaler(), LogisticRegression(C=1e-3)), flights[["distance", "wind"]], late)
    report = convert(plain.model, plain.signature, plain.reference, candidates=(Fake(other=other.model),))
    assert report.chosen is None
    assert "disagrees" in report.reason


@pytest.mark.parametrize(("onnx_ms", "chosen"), [((2.0, 1.0), None), ((0.5, 9.0), "fake")])
def test_a_model_that_is_slower_on_one_row_is_not_taken(plain, monkeypatch, onnx_ms, chosen):
    measured = Speed(rows=(1, 600), fitted_ms=(1.0, 1.0), onnx_ms=onnx_ms)
    monkeypatch.setattr("nbmlops.conversion.ladder.speed", lambda *_, **__: measured)
    report = convert(plain.model, plain.signature, plain.reference, candidates=(Fake(),))
    assert report.chosen == chosen
    assert ("but is slower" in report.reason) == (chosen is None)


def encoded(unknown):
    return make_pipeline(
        ColumnTransformer([("carrier", OneHotEncoder(handle_unknown=unknown), ["carrier"])]), LogisticRegression()
    )


def test_a_model_that_answers_where_the_fitted_one_refuses_is_not_taken(flights, late):
    """Both say the same on every saved row; only a category that no row holds tells them apart."""
    refusing = make_case(encoded("error"), flights[["carrier"]], late)
    answering = make_case(encoded("ignore"), flights[["carrier"]], late)
    fake = Fake(other=answering.model)
    report = convert(refusing.model, refusing.signature, refusing.reference, candidates=(fake,))
    assert report.chosen is None
    assert "categories never seen" in report.reason
    assert report.fidelity.agrees


def test_nulls_are_compared_although_no_saved_row_has_one(flights, late):
    rows = flights[["visibility", "wind"]]
    median = make_case(make_pipeline(SimpleImputer(strategy="median"), LogisticRegression()), rows, late)
    other = copy.deepcopy(median.model)
    other[0].statistics_ += 9e3
    whole = rows.visibility.notna().to_numpy()
    reference = replace(
        median.reference,
        inputs=rows[whole],
        predictions=median.reference.predictions[whole],
        probabilities=median.reference.probabilities[whole],
    )
    report = convert(median.model, median.signature, reference, candidates=(Fake(other=other),))
    assert report.chosen is None
    assert "nulls" in report.reason


def test_without_a_sample_nothing_is_converted(plain):
    assert "nothing to compare" in convert(plain.model, plain.signature, None).reason


def test_an_object_that_no_converter_takes_is_left_alone(plain):
    assert convert(print, plain.signature, plain.reference).reason == "no converter takes builtin_function_or_method"


def test_converting_says_nothing_and_leaves_the_model_as_it_was(flights, late, capfd, caplog, monkeypatch):
    convert_sklearn = skl2onnx.convert_sklearn

    def talkative(*arguments, **options):
        warnings.warn("by the way", FutureWarning, stacklevel=1)  # what silences the fitted object leaves it
        logging.getLogger("skl2onnx").warning("by the way")
        return convert_sklearn(*arguments, **options)

    monkeypatch.setattr(skl2onnx, "convert_sklearn", talkative)
    case = make_case(make_pipeline(columns(), forest()), flights, late)
    steps, level = list(case.model.steps), logging.getLogger("skl2onnx").level
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        convert(case.model, case.signature, case.reference)
    assert not [str(one.message) for one in said]
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith(("skl2onnx", "onnx"))]
    assert logging.getLogger("skl2onnx").level == level
    assert case.model.steps == steps
    assert (case.model.predict(flights) == case.reference.predictions).all()


def test_the_certificate_names_what_the_choice_rests_on(plain):
    certificate = convert(plain.model, plain.signature, plain.reference).certificate
    rows = certificate["rows"]
    assert (rows["own"], rows["made"], rows["reference"]) == (600, 400, "sha256:0")
    assert rows["adversarial"]["numbers far outside the range"] == 8
    assert certificate["onnx"].startswith("sha256:")


def test_a_model_that_takes_too_long_over_the_sample_is_given_up(plain, monkeypatch):
    monkeypatch.setattr(judging, "PATIENCE", -1.0)
    assert "answered only 0 rows" in convert(plain.model, plain.signature, plain.reference).reason


@pytest.mark.parametrize("missing", [False, True])
def test_a_model_fitted_on_an_array_says_nothing_of_names(flights, late, missing):
    rows = flights[["distance", "wind", "hour"]].astype(float)
    case = make_case(DecisionTreeClassifier(max_depth=3), rows.to_numpy(), late)
    case = replace(case, signature={"inputs": columns_of(rows)}, reference=replace(case.reference, inputs=rows))
    if missing:
        case.signature["inputs"][1]["nullable"] = True
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        report = convert(case.model, case.signature, case.reference)
    assert report.fidelity.agrees
    assert said == []
