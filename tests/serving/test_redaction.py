from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving.redaction import Opaque, redacted

COLUMNS = ["hour", "ssn", "carrier"]
JSON = "application/json"
SECRET = "123-45-6789"
TENSOR = {"shape": [1, 1], "datatype": "BYTES", "data": [SECRET]}


def without(document: Any, columns: list[str] | None = COLUMNS) -> Any:
    return json.loads(redacted(json.dumps(document).encode(), JSON, hidden=["ssn"], columns=columns))


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (
            {"dataframe_split": {"columns": ["hour", "ssn"], "data": [[1, SECRET]], "index": [0]}},
            {"dataframe_split": {"columns": ["hour"], "data": [[1]]}},
        ),
        ({"dataframe_records": [{"ssn": SECRET, "hour": 1}]}, {"dataframe_records": [{"hour": 1}]}),
        ({"instances": [{"ssn": SECRET, "hour": 1}]}, {"instances": [{"hour": 1}]}),
        ({"inputs": {"ssn": [SECRET], "hour": [1]}}, {"inputs": {"hour": [1]}}),
        ({"inputs": [[1, SECRET, "UA"]]}, {"inputs": [[1, "UA"]]}),
        (
            {"inputs": [{"name": "hour"} | TENSOR, {"name": "ssn"} | TENSOR]},
            {"inputs": [{"name": "hour"} | TENSOR]},
        ),
        ({"instances": [{"SSN": SECRET}], "params": {"a": 1}}, {"instances": [{}], "params": {"a": 1}}),
    ],
)
def test_the_column_is_left_out_wherever_it_may_stand(given_, kept):
    assert without(given_) == kept


def test_a_column_of_csv():
    body = f'hour,ssn,carrier\n1,"{SECRET}",UA\n'.encode()
    assert redacted(body, "text/csv; charset=utf-8", hidden=["ssn"], columns=COLUMNS) == b"hour,carrier\n1,UA\n"


@pytest.mark.parametrize(
    ("body", "kind", "columns"),
    [
        (b'{"inputs": [[1, "123-45-6789"', JSON, COLUMNS),
        (b"[1, 2]", JSON, COLUMNS),
        (b'{"rows": [["123-45-6789"]]}', JSON, COLUMNS),
        (b'{"inputs": [["123-45-6789"]]}', JSON, COLUMNS),
        (b'{"inputs": [[1, "123-45-6789", "UA"]]}', JSON, None),
        (b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "BYTES", "data": []}]}', JSON, None),
        (b'{"dataframe_split": {"data": [["123-45-6789"]]}}', JSON, COLUMNS),
        (b"hour,ssn\n1\n", "text/csv", COLUMNS),
        (b"\xff\xfe", "text/csv", COLUMNS),
        (b'{"inputs": []}\x00\x01', "application/octet-stream", COLUMNS),
    ],
)
def test_what_can_not_be_taken_apart_is_opaque(body, kind, columns):
    with pytest.raises(Opaque):
        redacted(body, kind, hidden=["ssn"], columns=columns)


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.just(SECRET) | st.sampled_from(COLUMNS)
ANY = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(COLUMNS), inner), max_leaves=8
)


@given(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), ANY)
def test_no_document_keeps_the_hidden_columns_name_as_a_key(key, value):
    try:
        kept = without({key: value})
    except Opaque:
        return
    rows = kept[key]["columns"] if key == "dataframe_split" else kept[key]
    assert "ssn" not in (rows if isinstance(rows, dict) or key == "dataframe_split" else {})
    assert not any(isinstance(row, dict) and "ssn" in row for row in (rows if isinstance(rows, list) else []))
