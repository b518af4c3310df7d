from __future__ import annotations

import json
import re

import jsonschema
import pytest

from nbmlops.serving.openapi import answer_schema, request_schema
from nbmlops.serving.signature import parse_signature

from . import bundles

RECORD = {"distance": 500.0, "hour": 7, "carrier": "AA"}
GOOD = [
    {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}},
    {"dataframe_split": {"columns": ["carrier", "hour", "distance"], "data": [["AA", 7, 500]]}},
    {"dataframe_records": [RECORD]},
    {"instances": [RECORD]},
    {"inputs": [RECORD], "params": {"output": "both"}},
    {"inputs": {name: [value] for name, value in RECORD.items()}},
]
BAD = [
    {},
    {"dataframe_records": []},
    {"dataframe_records": [{**RECORD, "more": 1}]},
    {"dataframe_records": [{**RECORD, "hour": "7"}]},
    {"dataframe_records": [{**RECORD, "hour": None}]},
    {"dataframe_records": [{"hour": 7}]},
    {"dataframe_records": [RECORD], "inputs": [RECORD]},
    {"dataframe_records": [RECORD], "params": {"output": "other"}},
    {"dataframe_split": {"columns": ["distance"], "data": [[1.0]]}},
]


@pytest.fixture
def document(served, made):
    served.configure(("3", made("onnx"), 100), ("4", made("skops"), 0), ("5", made("ten"), 0), token="t")
    served.token = {"authorization": "Bearer t"}
    return served.get("/openapi.json", **served.token).json


def test_it_is_what_is_served(document, served):
    assert document["openapi"] == "3.1.0"
    assert document["security"] == [{"bearer": []}]
    for path, operations in document["paths"].items():
        for method in operations:
            answer = served.run(served.request(method.upper(), path, b"", None, served.token))
            assert answer.status not in (404, 405), path
    assert set(document["paths"]["/invocations"]["post"]["responses"]) >= {"200", "401", "413", "422", "429", "504"}


def test_equal_signatures_are_described_once(document):
    assert set(document["components"]["schemas"]) == {
        "Error", "Request-3", "Answer-3", "Request-5", "Answer-5",
    }  # fmt: skip
    assert document["paths"]["/invocations"]["post"]["parameters"][0]["schema"]["enum"] == ["3", "4", "5"]


def test_every_reference_leads_somewhere(document):
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_its_examples_are_answered_as_it_says(document, served):
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]
    for example in content["examples"].values():
        jsonschema.validate(example["value"], document["components"]["schemas"]["Request-3"])
        for output in ("label", "probabilities", "both"):
            answer = served.post({**example["value"], "params": {"output": output}}, **served.token)
            jsonschema.validate(answer.json, document["components"]["schemas"]["Answer-3"])


@pytest.mark.parametrize("body", GOOD)
def test_what_it_allows_is_served(document, served, body):
    jsonschema.validate(body, document["components"]["schemas"]["Request-3"])
    assert served.post(body, **served.token).status == 200


@pytest.mark.parametrize("body", BAD)
def test_what_it_forbids_is_refused(document, served, body):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, document["components"]["schemas"]["Request-3"])
    answer = served.post(body, **served.token)
    assert answer.status in (400, 422)
    jsonschema.validate(answer.json, document["components"]["schemas"]["Error"])


def test_without_authentication_it_says_nothing_of_tokens(served, made):
    served.configure(("1", made("ten"), 1))
    assert "security" not in served.get("/openapi.json").json
    assert "bearer token" not in served.get("/docs").body.decode().replace("The bearer token is missing or wrong", "")


@pytest.mark.parametrize(
    ("inputs", "good", "bad"),
    [
        ({"tensor": {"dtype": "float64", "shape": [-1, 2]}}, {"inputs": [[1, 2]]}, {"inputs": [[1]]}),
        ({"tensor": {"dtype": "int64", "shape": [-1]}}, {"instances": [1]}, {"instances": ["1"]}),
        ({"tensor": {"dtype": "bool", "shape": [-1]}}, {"inputs": [True]}, {"inputs": [1]}),
        (None, {"inputs": {"anything": 1}}, {}),
        ([{"name": "x", "type": "double", "nullable": True}], {"inputs": [{"x": None}]}, {"inputs": [{"x": "1"}]}),
    ],
)
def test_every_kind_of_signature_is_described(inputs, good, bad):
    schema = request_schema(parse_signature({"inputs": inputs}))
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, schema)


def test_the_answer_of_an_unknown_model_may_be_anything():
    jsonschema.validate({"predictions": {"a": 1}}, answer_schema(parse_signature({"inputs": None})))


def test_the_page_needs_nothing_from_elsewhere(served, tmp_path):
    columns = [{"name": "<script>alert(1)</script>", "type": "double"}]
    example = {"columns": [columns[0]["name"]], "data": [[1.0]]}
    path = bundles.constant_bundle(tmp_path, 1.0, columns)
    document = json.loads((path / "bundle.json").read_text())
    document["signature"]["example"] = example
    (path / "bundle.json").write_text(json.dumps(document))
    served.configure(("1", path, 1))
    answer = served.get("/docs")
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in page
    assert not re.search(r"""(src|href)\s*=|https?://|@import|url\(""", page)
    assert "/invocations" in page
    assert "curl" in page
