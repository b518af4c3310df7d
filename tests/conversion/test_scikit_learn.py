from __future__ import annotations

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from nbmlops.conversion import scikit_learn
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.core.errors import InvalidInput, InvalidObject
from tests.conversion.conftest import make_case


@pytest.fixture
def by_column(flights, late):
    encoder = ColumnTransformer([("carrier", OneHotEncoder(), ["carrier"])], remainder="passthrough")
    rows = flights[["carrier", "hour", "wind"]]
    return make_case(make_pipeline(encoder, LogisticRegression()), rows, late.astype(int))


def test_columns_of_one_type_come_in_side_by_side(by_column):
    onnx = SklearnConverter().convert(by_column.model, by_column.signature)
    assert onnx.interface() == {
        "inputs": [
            {"name": "carrier", "column": "carrier", "dtype": "string", "shape": [-1, 1]},
            {"name": "columns of float32", "column": ["hour", "wind"], "dtype": "float32", "shape": [-1, 2]},
        ],
        "label_output": "label",
        "probability_output": "probabilities",
    }


def test_numbers_that_no_step_picks_apart_are_one_input(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    [only] = SklearnConverter().convert(case.model, case.signature).inputs
    assert (only["column"], only["shape"]) == (["wind", "hour"], [-1, 2])


def test_a_missing_column_is_named(by_column, flights):
    onnx = SklearnConverter().convert(by_column.model, by_column.signature)
    with pytest.raises(InvalidInput, match="'hour' is missing"):
        onnx.predict(flights[["carrier", "wind"]])


def test_more_nodes_than_the_limit_are_left_alone(flights, late, monkeypatch):
    case = make_case(RandomForestClassifier(5), flights[["wind", "hour"]], late)
    monkeypatch.setattr(scikit_learn, "NODE_LIMIT", 10)
    with pytest.raises(InvalidObject, match="nodes"):
        SklearnConverter().convert(case.model, case.signature)


def test_inputs_without_a_type_in_onnx_are_refused(by_column):
    with pytest.raises(InvalidObject, match="'when'"):
        SklearnConverter().convert(by_column.model, {"inputs": [{"name": "when", "type": "datetime"}]})
    with pytest.raises(InvalidObject, match="unknown"):
        SklearnConverter().convert(by_column.model, {"inputs": None})


def test_the_bytes_never_enter_plain_data(by_column):
    onnx = SklearnConverter().convert(by_column.model, by_column.signature)
    assert isinstance(onnx, OnnxModel)
    assert "content" not in onnx.to_dict()
    assert onnx.digest.startswith("sha256:")


@pytest.mark.parametrize("model", [object(), print, OneHotEncoder()])
def test_only_estimators_that_predict_are_worth_a_try(model):
    assert not SklearnConverter().can_convert(model)
