from __future__ import annotations

import datetime
import json

import numpy as np
import pytest

from nbmlops.serving.outputs import Outputs, encode, to_json

LABELS = np.array([1, 0])
CHANCES = np.array([[0.25, 0.75], [1.0, 0.0]])


def decoded(outputs, output="label", classes=None):
    return json.loads(encode(outputs, output, classes))


def test_each_output_has_its_shape():
    both = Outputs(LABELS, CHANCES)
    assert decoded(both, classes=[0, 1]) == {"predictions": [1, 0]}
    assert decoded(both, "probabilities", [0, 1]) == {"predictions": [[0.25, 0.75], [1.0, 0.0]], "classes": [0, 1]}
    assert decoded(both, "both", ["no", "yes"]) == {
        "predictions": [{"label": 1, "probabilities": [0.25, 0.75]}, {"label": 0, "probabilities": [1.0, 0.0]}],
        "classes": ["no", "yes"],
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_json_lacks_becomes_null(value):
    assert decoded(Outputs(np.array([1.5, value]))) == {"predictions": [1.5, None]}
    assert decoded(Outputs(np.array([[value]], dtype=np.float32))) == {"predictions": [[None]]}


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array([True, False]), [True, False]),
        (np.array([2**62]), [2**62]),
        (np.array([b"ab"], dtype=object), ["YWI=\n"]),
        (np.array([b"ab"]), ["YWI=\n"]),
        (np.array(["2013-01-01"], dtype="datetime64[s]"), ["2013-01-01T00:00:00"]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([np.int64(5)], dtype=object), [5]),
    ],
)
def test_every_kind_of_label_has_a_json_form(array, expected):
    assert decoded(Outputs(array)) == {"predictions": expected}


def test_named_and_plain_outputs_pass_through():
    assert decoded(Outputs(named={"y": np.array([1.0]), "z": np.array(["a"])})) == {
        "predictions": {"y": [1.0], "z": ["a"]}
    }
    assert decoded(Outputs(payload=[{"a": 1, "b": None}])) == {"predictions": [{"a": 1, "b": None}]}


def test_odd_values_are_written_as_mlflow_does():
    value = {
        "d": datetime.date(2013, 1, 2),
        "t": datetime.time(7, 30),
        "n": np.float64(1.5),
        "a": np.array([1]),
        "b": b"ab",
        "m": np.datetime64("2013-01-01"),
    }
    expected = {"d": "2013-01-02", "t": "07:30:00", "n": 1.5, "a": [1], "b": "YWI=", "m": "2013-01-01"}
    assert json.loads(to_json(value)) == expected
    with pytest.raises(NotImplementedError, match="object"):
        to_json(object())
