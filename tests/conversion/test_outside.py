"""A pipeline whose preprocessing stays where it is, while its estimator goes to ONNX."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler

from nbmlops.conversion import converters
from nbmlops.conversion.fidelity import agreement
from nbmlops.conversion.known import Known
from nbmlops.conversion.outside import OutsideConverter, outside_converters
from nbmlops.conversion.rungs import FLOAT32, FLOAT64, OUTSIDE
from nbmlops.conversion.seam import CONVERTER_ERRORS, rungs_of
from nbmlops.core.errors import InvalidObject
from nbmlops.serving.runtimes.hybrid import Preprocessing
from tests.conversion.conftest import make_case


def speeds(frame: pd.DataFrame) -> pd.DataFrame:
    """What only Python can say: a column made of two others, another one of a text."""
    return pd.DataFrame({"log": np.log1p(frame.wind), "far": frame.distance / 1000, "a": frame.carrier == "A"})


class Stateless(BaseEstimator):
    """A step of the user's that learns nothing, and could not say that it was fitted."""

    def fit(self, rows, target=None):
        return self

    def transform(self, rows):
        return rows[["wind", "hour"]]


def converted(case, *, inner=(FLOAT32,)):
    return OutsideConverter("outside", inner).convert(case.model, case.signature)


def words(text: str) -> list[str]:
    return text.lower().split()


@pytest.fixture
def texts() -> tuple[pd.Series, np.ndarray]:
    rng = np.random.default_rng(3)
    lines = pd.Series([" ".join(rng.choice(["Late", "storm", "sun", "gate"], 4)) for _ in range(80)])
    return lines, lines.str.contains("storm").to_numpy()


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(FunctionTransformer(speeds), LogisticRegression()),
        make_pipeline(FunctionTransformer(speeds), "passthrough", StandardScaler(), LogisticRegression()),
        make_pipeline(Stateless(), KBinsDiscretizer(4, quantile_method="linear"), LogisticRegression()),
        make_pipeline(Stateless(), StandardScaler().set_output(transform="pandas"), LogisticRegression()),
        make_pipeline(Stateless(), OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
    ],
    ids=["a function", "several steps", "bins", "pandas output", "sparse output"],
)
def test_both_parts_together_answer_as_the_pipeline(flights, late, model):
    case = make_case(model, flights[["distance", "wind", "hour", "carrier"]], late)
    onnx = converted(case)
    assert onnx.runtime == "hybrid"
    assert onnx.converter == "skl2onnx"
    seen = agreement(case.reference, *onnx.predict(case.reference.inputs))
    assert seen.labels_different == 0
    assert seen.max_difference <= 1e-6


def test_a_search_is_taken_for_the_pipeline_that_it_found(flights, late):
    search = GridSearchCV(make_pipeline(Stateless(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=2)
    case = make_case(search, flights[["wind", "hour"]], late)
    assert agreement(case.reference, *converted(case).predict(case.reference.inputs)).agrees


def test_values_of_a_regression_keep_their_shape_and_size(flights):
    model = make_pipeline(Stateless(), RandomForestRegressor(5, random_state=0))
    case = make_case(model, flights[["wind", "hour"]], flights.distance)
    values, none = converted(case).predict(case.reference.inputs)
    np.testing.assert_allclose(values[:, 0], case.reference.predictions, rtol=1e-4)
    assert none is None


def test_texts_go_to_the_preprocessing_as_texts(texts):
    case = make_case(make_pipeline(TfidfVectorizer(tokenizer=words, token_pattern=None), LogisticRegression()), *texts)
    case.signature["inputs"][0]["series"] = True
    assert agreement(case.reference, *converted(case).predict(case.reference.inputs)).agrees


def test_an_array_stays_an_array(flights, late):
    rows = flights[["wind", "distance"]].to_numpy()
    case = make_case(make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()), rows, late)
    onnx = converted(case)
    assert agreement(case.reference, *onnx.predict(case.reference.inputs)).agrees
    np.testing.assert_array_equal(onnx.predict(rows)[0], case.model.predict(rows))


@pytest.mark.filterwarnings("ignore:invalid value encountered in log1p")
def test_what_the_estimator_refuses_is_refused(flights, late):
    case = make_case(
        make_pipeline(FunctionTransformer(speeds), LogisticRegression()), flights[["distance", "wind", "carrier"]], late
    )
    onnx, row = converted(case), case.reference.inputs.head(1)
    for wind, distance, what in [(-7.0, 1.0, "a null"), (1.0, np.inf, "an infinite number")]:
        odd = row.assign(wind=wind, distance=distance)
        with pytest.raises(ValueError, match="Input X contains"):
            case.model.predict(odd)
        with pytest.raises(ValueError, match=f"{what}, which the estimator refuses"):
            onnx.predict(odd)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_tree_refuses_what_float32_can_not_hold(flights):
    model = make_pipeline(FunctionTransformer(np.square), RandomForestRegressor(3, random_state=0))
    case = make_case(model, flights[["distance", "hour"]], flights.distance)
    odd = case.reference.inputs.head(1).assign(distance=1e25)
    with pytest.raises(ValueError, match="too large for dtype"):
        case.model.predict(odd)
    with pytest.raises(ValueError, match="too large for float32, which the estimator refuses"):
        converted(case).predict(odd)


class Counting(BaseEstimator):
    """An estimator of texts, of a class that no converter could know."""

    def fit(self, rows, target=None):
        self.n_features_in_ = 1
        return self

    def predict(self, rows):
        return np.full(rows.shape[0], 1.0)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (make_pipeline(TfidfVectorizer(), Counting()), "shape calculator for type"),
        (make_pipeline(HashingVectorizer(n_features=2**14), LogisticRegression()), "16,384 features; more than 10,000"),
    ],
)
def test_a_pipeline_that_can_not_be_parted_so_says_why(texts, model, reason):
    case = make_case(model, *texts)
    with pytest.raises(CONVERTER_ERRORS, match=reason):
        converted(case)


def test_a_converter_that_is_known_to_get_the_estimator_wrong_is_not_asked(flights, late, monkeypatch):
    case = make_case(make_pipeline(Stateless(), LogisticRegression()), flights[["wind", "hour"]], late)
    wrong = Known("skl2onnx", "it was seen to be", lambda model: isinstance(model, LogisticRegression))
    monkeypatch.setattr("nbmlops.conversion.outside.KNOWN", (wrong,))
    assert not OutsideConverter("outside", (FLOAT32,)).can_convert(case.model)


def test_boosting_with_categories_and_nulls_is_exact_behind_a_function(flights, late):
    rows = flights[["wind", "visibility", "carrier"]]
    step = FunctionTransformer(lambda frame: frame.assign(carrier=frame.carrier.map(ord) - ord("A")))
    last = HistGradientBoostingClassifier(max_iter=10, categorical_features=[2])
    case = make_case(make_pipeline(step, last), rows, late)
    seen = agreement(case.reference, *converted(case, inner=(FLOAT64,)).predict(rows))
    assert seen.labels_different == 0
    assert seen.max_difference <= 1e-12


def test_an_estimator_that_no_converter_takes_says_so(flights, late):
    case = make_case(make_pipeline(Stateless(), LogisticRegression()), flights[["wind", "hour"]], late)
    with pytest.raises(InvalidObject, match="no converter takes the LogisticRegression"):
        converted(case, inner=())


@pytest.mark.parametrize(
    ("step", "kind", "reason"),
    [
        (lambda frame: frame[["carrier"]], ValueError, "could not convert string"),
        (lambda frame: frame.wind, TypeError, "numbers in rows and columns"),
        (lambda frame: frame[["wind"]].astype("datetime64[s]"), TypeError, "datetime64"),
    ],
)
def test_what_is_no_number_between_the_parts_is_refused(flights, step, kind, reason):
    with pytest.raises(kind, match=reason):
        Preprocessing([FunctionTransformer(step)])(flights)


@pytest.mark.parametrize(
    "model",
    [LogisticRegression(), make_pipeline(StandardScaler()), make_pipeline(None, LogisticRegression()), object()],
)
def test_what_has_no_two_parts_is_not_taken(model):
    assert not any(one.can_convert(model) for one in outside_converters())


def test_the_ladder_ends_with_it():
    *others, _, last = converters()
    assert rungs_of(last) == (OUTSIDE,)
    assert not any(OUTSIDE in rungs_of(one) for one in others if not isinstance(one, OutsideConverter))


def test_the_pipeline_is_left_as_it_was_and_gives_the_same_bytes(flights, late):
    case = make_case(make_pipeline(Stateless(), LogisticRegression()), flights[["wind", "hour"]], late)
    before = pickle.dumps(case.model)
    assert converted(case).content == converted(case).content
    assert pickle.dumps(case.model) == before
