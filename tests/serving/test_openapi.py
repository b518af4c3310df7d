from __future__ import annotations

import ast
import csv
import datetime
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops import serving
from nbmlops.serving import families
from nbmlops.serving.columns import ColumnCodec
from nbmlops.serving.errors import RequestError
from nbmlops.serving.schemas import answer_schema, csv_schema, request_schema
from nbmlops.serving.signature import Column, parse_signature
from nbmlops.serving.statuses import PROBLEMS
from nbmlops.serving.values import column_schema

from . import bundles

RECORD = {"distance": 500.0, "hour": 7, "carrier": "AA"}
GOOD = [
    {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}},
    {"dataframe_records": [RECORD]},
    {"instances": [RECORD]},
    {"inputs": [RECORD], "params": {"output": "both"}},
    {"inputs": {name: [value] for name, value in RECORD.items()}},
    {"inputs": {name: [value] * 3 for name, value in RECORD.items()}},
    {"inputs": RECORD},
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
    {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, "AA", 7]]}},
    {"inputs": {"distance": [1.0, 2.0], "hour": [7], "carrier": ["AA"]}},
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
    assert set(document["paths"]) == set(served.application._routes)


def test_equal_signatures_are_described_once(document):
    assert set(document["components"]["schemas"]) == {
        "Error", "Request-3", "Answer-3", "Request-5", "Answer-5",
        "TensorError", "InferAnswer", "InferRequest-3", "InferRequest-5",
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


def test_the_order_of_columns_is_free_beyond_what_the_schema_spells(document, served):
    columns = {"columns": ["carrier", "hour", "distance"], "data": [["AA", 7, 500]]}
    assert served.post({"dataframe_split": columns}, **served.token).status == 200
    split = document["components"]["schemas"]["Request-3"]["oneOf"][0]["properties"]["dataframe_split"]
    assert "Another order" in split["properties"]["columns"]["description"]


def test_every_format_has_an_example_that_is_answered(document, served):
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    names = {name.partition(",")[0] for name in content["application/json"]["examples"]}
    assert names == {"dataframe_split", "dataframe_records", "instances", "inputs"}
    for example in content["text/csv"]["examples"].values():
        pattern = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["text/csv"]["schema"]
        jsonschema.validate(example["value"], pattern)
        answer = served.post(example["value"].encode(), "text/csv", **served.token)
        assert answer.status == 200


def test_every_error_that_the_source_raises_is_in_the_table():
    raised = set()
    for path in serving.source_files().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RequestError":
                status, code = (argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant))
                raised.add((status, code))
    told = {(problem.status, problem.code) for problem in PROBLEMS}
    assert raised <= told
    assert len(told) == len(PROBLEMS)


def test_the_documentation_lists_every_error_and_every_metric():
    text = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text()
    for problem in PROBLEMS:
        assert f"| {problem.status} | `{problem.code}` | {problem.meaning} | {problem.remedy} |" in text
    for name, family in {**families.HISTOGRAMS, **families.GAUGES}.items():
        assert f"| `{name}` |" in text
        assert all(f"`{label}`" in text for label in family.labels)
    for name in families.COUNTERS:
        assert f"| `{name}_total` | counter |" in text


def test_versions_of_any_name_have_a_schema(served, made):
    served.configure(('a"b', made("ten"), 1), ("a_b", made("onnx"), 1))
    schemas = served.get("/openapi.json").json["components"]["schemas"]
    assert len(schemas) == 9
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in schemas)


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


def takes(column: Column, value) -> bool:
    try:
        ColumnCodec(column).check(value, 0)
    except RequestError:
        return False
    return True


def fits(column: Column, value) -> bool:
    return jsonschema.Draft202012Validator(column_schema(column)).is_valid(value)


@given(
    st.dates(datetime.date(1600, 1, 1), datetime.date(2400, 1, 1)),
    st.sampled_from(["", "T00:00", " 23:59:59", "T12:30:01.123456789", "T24:00", "T1:00", "T12:60"]),
    st.sampled_from(["", "Z", "+05:30", "-0800", "+24:00", "z"]),
)
def test_the_schema_of_a_moment_is_as_strict_as_the_codec(day, time, zone):
    value = f"{day}{time}{zone}"
    assert fits(Column("x", "datetime"), value) == takes(Column("x", "datetime"), value)


@pytest.mark.parametrize(
    "value", ["2013-02-29", "2012-02-29", "1900-02-29", "2000-02-29", "2013-04-31", "2013-13-01", ""]
)
def test_the_calendar_is_known(value):
    assert fits(Column("x", "datetime"), value) == takes(Column("x", "datetime"), value)


@given(st.text("AQgw=/+b\n", max_size=9))
def test_what_the_schema_takes_for_base64_the_codec_takes(value):
    if not value.endswith("\n") and fits(Column("x", "binary"), value):
        assert takes(Column("x", "binary"), value)


@given(
    st.sampled_from(["boolean", "integer", "long", "float", "double", "string"]),
    st.booleans(),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
)
def test_the_schema_of_a_value_is_as_strict_as_the_codec(kind, nullable, value):
    column = Column("x", kind, nullable=nullable)
    assert fits(column, value) == takes(column, value)


def test_a_category_that_the_training_data_had_not_is_not_in_the_schema():
    column = Column("x", "string", dtype="category", categories=["A,A", "b"])
    for value in ("A,A", "b", "c", None):
        assert fits(column, value) == takes(column, value) == (value in ("A,A", "b"))
    signature = parse_signature({"inputs": [{"name": "x", "type": "string", "dtype": "category", "categories": ["b"]}]})
    valid = jsonschema.Draft202012Validator(csv_schema(signature)).is_valid
    assert valid("x\nb\n")
    assert not valid("x\nc\n")


def test_a_csv_schema_knows_the_columns():
    signature = parse_signature({"inputs": bundles.MIXED})
    valid = jsonschema.Draft202012Validator(csv_schema(signature)).is_valid
    out = io.StringIO()
    csv.writer(out).writerows([signature.names, [1.5, "", 7, "A,A", "true", "2013-01-01", "", 1]])
    assert valid(out.getvalue())
    assert not valid(out.getvalue().replace("7", "x"))
    assert not valid(out.getvalue().splitlines()[0])


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
    assert not re.search(r"""src\s*=|https?://|@import|url\(""", page)
    links = re.findall(r'href="([^"]*)"', page)
    assert links
    assert page.count("href") == len(links)
    for link in links:
        assert link.startswith("#")
        assert f'id="{link[1:]}"' in page, link
    assert "/invocations" in page
    assert "curl" in page
