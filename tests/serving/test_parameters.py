"""The parameters that a model declares beside its data."""

from __future__ import annotations

import datetime
import json

import pytest

from nbmlops.serving.decoding import make_decoder
from nbmlops.serving.documents import CSV, JSON
from nbmlops.serving.errors import RequestError, ServingError
from nbmlops.serving.parameters import Parameters
from nbmlops.serving.signature import Param, parse_signature

PARAMS = [
    {"name": "threshold", "type": "double", "default": 0.5, "shape": None},
    {"name": "top", "type": "long", "default": 3},
    {"name": "words", "type": "string", "default": ["a"], "shape": [-1]},
    {"name": "since", "type": "datetime", "default": "2020-01-01T00:00:00"},
    {"name": "exact", "type": "boolean", "default": False},
    {"name": "options", "type": "object", "default": {"a": 1}},
]
DEFAULTS = {param["name"]: param["default"] for param in PARAMS}
INPUTS = [{"name": "x", "type": "double"}, {"name": "s", "type": "string"}]
ROW = {"x": 1.0, "s": "a"}
FORMS = {
    "columns": (INPUTS, {"dataframe_records": [ROW]}),
    "split": (INPUTS, {"dataframe_split": {"columns": ["x", "s"], "data": [[1.0, "a"]]}}),
    "tensor": ({"tensor": {"dtype": "float64", "shape": [-1, 1]}}, {"inputs": [[1.0]]}),
    "tensors": ({"tensors": [{"name": "t", "dtype": "float64", "shape": [-1]}]}, {"inputs": {"t": [1.0]}}),
    "generic": (None, {"inputs": [1.0]}),
}


def decode(form, params=..., declared=PARAMS):
    inputs, document = FORMS[form]
    decoder = make_decoder(parse_signature({"inputs": inputs, "params": declared}))
    given = {} if params is ... else {"params": params}
    return decoder.decode(json.dumps({**document, **given}).encode(), JSON)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("params", [..., None, {}])
def test_what_is_left_out_has_its_default(form, params):
    assert decode(form, params).params == DEFAULTS


@pytest.mark.parametrize("form", FORMS)
def test_what_is_given_is_taken_and_the_rest_has_its_default(form):
    given = {"threshold": 1, "words": ["x", "y: z"], "since": "2021-02-03", "exact": None, "options": {"b": [1]}}
    request = decode(form, {**given, "output": "both"})
    assert request.params == {**DEFAULTS, **given}
    assert request.output == "both"


@pytest.mark.parametrize("form", FORMS)
def test_a_model_without_parameters_gets_none(form):
    assert decode(form, {"output": "label"}, declared=None).params is None


def test_csv_has_the_defaults():
    for inputs, text in (
        (INPUTS, "x,s\n1,a"),
        (FORMS["tensor"][0], "0\n1"),
        (None, "a\n1"),
        (FORMS["tensors"][0], "t\n1"),
    ):
        decoder = make_decoder(parse_signature({"inputs": inputs, "params": PARAMS}))
        assert decoder.decode(text.encode(), CSV).params == DEFAULTS


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ([], "params", "no object"),
        ({"thresh": 1}, "params.thresh", "did you mean 'threshold'"),
        ({"threshold": "0.5"}, "params.threshold", "a string"),
        ({"threshold": True}, "params.threshold", "a boolean"),
        ({"threshold": [1.0]}, "params.threshold", "a list"),
        ({"top": 1.5}, "params.top", "a number"),
        ({"words": "a"}, "params.words", "a string"),
        ({"words": ["a", 1]}, "params.words[1]", "a number"),
        ({"since": "yesterday"}, "params.since", "a string"),
        ({"exact": 1}, "params.exact", "a number"),
        ({"options": 1}, "params.options", "a number"),
        ({"output": "labels"}, "params.output", "no such value"),
        ({"output": {}}, "params.output", "no such value"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_the_model_does_not_declare_so_is_refused(form, params, field, words):
    with pytest.raises(RequestError, match=words) as caught:
        decode(form, params)
    assert caught.value.status == 422
    assert caught.value.field == field
    assert caught.value.expected


def test_a_parameter_named_output_is_the_models_own():
    declared = [{"name": "output", "type": "string", "default": "short"}]
    request = decode("columns", {"output": "long"}, declared)
    assert (request.output, request.params) == ("label", {"output": "long"})
    assert decode("columns", declared=declared).params == {"output": "short"}


def test_requests_without_parameters_share_their_defaults():
    decoder = make_decoder(parse_signature({"inputs": INPUTS, "params": PARAMS}))
    bodies = [json.dumps(FORMS[form][1]).encode() for form in ("columns", "split")]
    first, second = (decoder.decode(body, JSON).params for body in bodies)
    assert first is second


def test_a_parameter_given_twice_is_refused():
    inputs, _ = FORMS["columns"]
    decoder = make_decoder(parse_signature({"inputs": inputs, "params": PARAMS[:2]}))
    body = b'{"dataframe_records":[{"x":1,"s":"a"}],"params":{"top":1,"top":2}}'
    with pytest.raises(RequestError, match="twice"):
        decoder.decode(body, JSON)


def test_moments_reach_the_model_as_mlflow_gives_them():
    parameters = Parameters([Param("at", "datetime"), Param("days", "datetime", [], [-1]), Param("s", "string")])
    given = {"at": "2021-02-03T04:05:06", "days": ["2021-02-03"], "s": "2021-02-03"}
    assert parameters.native(given) == {
        "at": datetime.datetime(2021, 2, 3, 4, 5, 6),
        "days": [datetime.date(2021, 2, 3)],
        "s": "2021-02-03",
    }


@pytest.mark.parametrize("declared", [{"name": "x", "type": "binary"}, {"name": "x", "type": "long", "shape": [2]}])
def test_what_mlflow_has_not_is_no_declaration(declared):
    with pytest.raises(ServingError, match="parameter 'x'"):
        parse_signature({"params": [declared]})
