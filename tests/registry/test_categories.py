"""Whether a column takes a value that the training data had not: as the fitted object itself answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from nbmlops.conversion import convert
from nbmlops.registry import signature, tables
from nbmlops.registry.preparing import answered


def rows(count: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"x": random.normal(size=count), "hour": random.integers(5, 9, count)})
    return frame.assign(carrier=random.choice(["AA", "UA"], count), tail=random.choice(["N1", "N2", "N3"], count))


LABELS = (rows()["x"] + (rows()["carrier"] == "AA") > 0.3).astype(int)
STRICT = OneHotEncoder()
WIDER = OneHotEncoder(categories=[["AA", "UA", "WN"]])
FILLED = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())


def encoded(*parts):
    return make_pipeline(make_column_transformer(*parts, ("passthrough", ["x"])), LogisticRegression())


CASES = {
    "strict": (encoded((STRICT, ["carrier", "tail"])), {"carrier": ["AA", "UA"], "tail": ["N1", "N2", "N3"]}),
    "whole numbers": (encoded((STRICT, ["hour"])), {"hour": [5, 6, 7, 8]}),
    "wider than the data": (encoded((WIDER, ["carrier"])), {"carrier": ["AA", "UA", "WN"]}),
    "behind an imputer": (encoded((FILLED, ["carrier"])), {"carrier": ["AA", "UA"]}),
    "ordinal": (encoded((OrdinalEncoder(), ["tail"])), {"tail": ["N1", "N2", "N3"]}),
    "one of two": (
        encoded((STRICT, ["carrier"]), (OneHotEncoder(handle_unknown="ignore"), ["tail"])),
        {"carrier": ["AA", "UA"]},
    ),
    "ignored": (encoded((OneHotEncoder(handle_unknown="ignore"), ["carrier", "tail"])), {}),
    "numbered": (encoded((OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["tail"])), {}),
    "by target": (encoded((TargetEncoder(), ["tail"])), {}),
}


def signature_of(model, frame):
    return signature.infer(model, tables.read(frame), answered(model, frame))


def closed(form) -> dict:
    return {column["name"]: column["categories"] for column in form["inputs"] if "categories" in column}


@pytest.mark.parametrize("case", CASES)
def test_a_column_is_closed_where_the_model_refuses_what_it_never_saw(case):
    model, expected = CASES[case]
    model.fit(rows(), LABELS)
    assert closed(signature_of(model, rows())) == expected


def test_data_that_lack_a_category_of_the_fit_do_not_close_it_out():
    model, expected = CASES["strict"]
    model.fit(rows(), LABELS)
    some = rows().query("tail != 'N2'")
    assert closed(signature_of(model, some)) == expected


def test_pandas_categories_and_models_without_encoders_are_left_alone():
    frame = rows().astype({"carrier": "category"})[["x", "carrier"]]
    model = make_pipeline(make_column_transformer((STRICT, ["carrier"]), ("passthrough", ["x"])), LogisticRegression())
    form = signature_of(model.fit(frame, LABELS), frame)
    assert form["inputs"][1]["dtype"] == "category"
    numbers = rows()[["x", "hour"]]
    assert closed(signature_of(RandomForestClassifier(3).fit(numbers, LABELS), numbers)) == {}


def test_a_model_that_refuses_new_categories_converts_all_the_same():
    model, _ = CASES["strict"]
    model.fit(rows(), LABELS)
    report = convert(model, signature_of(model, rows()), answered(model, rows()))
    assert report.chosen == "skl2onnx", report.reason
