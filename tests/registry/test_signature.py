"""Signatures: our own and MLflow's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbmlops.core.errors import InvalidInput
from nbmlops.registry import signature, tables
from nbmlops.registry.records import Reference

COLUMNS = {
    "boolean": pd.Series([True, False]),
    "boolean, nullable": pd.Series([True, None], dtype="boolean"),
    "boolean of objects": pd.Series([True, None], dtype=object),
    "integer": pd.Series([1, 2], dtype="int32"),
    "integer, short": pd.Series([1, 2], dtype="uint16"),
    "long": pd.Series([1, 2]),
    "long, unsigned": pd.Series([1, 2], dtype="uint32"),
    "long, nullable": pd.Series([1, None], dtype="Int64"),
    "float": pd.Series([1, 2], dtype="float32"),
    "double": pd.Series([1.0, None]),
    "string": pd.Series(["a", None]),
    "string of objects": pd.Series(["a", None], dtype=object),
    "string, only nulls": pd.Series([None, None], dtype=object),
    "string categories": pd.Series(["a", "b"], dtype="category"),
    "long categories": pd.Series([3, 4], dtype="category"),
    "datetime": pd.to_datetime(pd.Series(["2013-01-01", None])),
    "datetime with zone": pd.to_datetime(pd.Series(["2013-01-01", "2013-02-01"]), utc=True),
    "binary": pd.Series([b"a", b"b"], dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_types_and_nullability(name: str) -> None:
    column = COLUMNS[name]
    (described,) = signature.columns_of(pd.DataFrame({name: column}))
    expected = {"string, only nulls": "string", "binary": "binary"}.get(name, name.split(",")[0].split()[0])
    assert described["type"] == expected
    assert described["nullable"] is bool(column.isna().any())
    assert described["name"] == name


def test_mixed_objects_are_refused_with_the_column() -> None:
    with pytest.raises(InvalidInput, match="column 'odd' holds mixed"):
        signature.columns_of(pd.DataFrame({"odd": pd.Series([1, "a", object()], dtype=object)}))


def test_mlflow_reads_it_and_enforces_it() -> None:
    frame = pd.DataFrame({name: column for name, column in COLUMNS.items() if name != "string, only nulls"})
    reference = Reference(frame, np.array([0, 1]), None, None)
    found = signature.infer(lambda rows: rows, tables.Inputs(frame), reference)
    theirs = signature.to_mlflow(found, frame)
    assert theirs.inputs.input_names() == list(frame.columns)
    from mlflow.models.utils import _enforce_schema

    assert list(_enforce_schema(frame, theirs.inputs).columns) == list(frame.columns)


def test_a_unit_of_time_other_than_the_servers_is_kept() -> None:
    moments = pd.Series(pd.to_datetime(["2013-01-01"]))
    frame = pd.DataFrame({unit: moments.astype(f"datetime64[{unit}]") for unit in ("s", "us", "ns")})
    assert [column.get("dtype") for column in signature.columns_of(frame)] == ["datetime64[s]", "datetime64[us]", None]


def test_arrays_are_tensors() -> None:
    inputs = tables.read(np.zeros((3, 2, 2), dtype="float32"))
    found = signature.infer(lambda rows: rows, inputs, Reference(inputs.frame, np.zeros((3, 5)), None, None))  # type: ignore[union-attr]
    assert found["inputs"] == {"tensor": {"dtype": "float32", "shape": [-1, 2, 2]}}
    assert found["outputs"] == {"tensor": {"dtype": "float64", "shape": [-1, 5]}}
    assert signature.to_mlflow(found).inputs.is_tensor_spec()


def test_a_series_is_told_from_a_frame_of_one_column() -> None:
    texts = pd.Series(["late", "on time"])
    for data, alone in ((texts, True), (texts.to_frame("text"), None)):
        found = signature.infer(lambda rows: rows, tables.read(data), None)
        assert [column.get("series") for column in found["inputs"]] == [alone]
        assert signature.to_mlflow(found).inputs.input_names() == ["text"]


def test_nothing_known_is_nothing_said() -> None:
    found = signature.infer(lambda rows: rows, None, None)
    assert found["inputs"] is None
    assert signature.to_mlflow(found) is None


def test_the_example_is_plain_data() -> None:
    frame = pd.DataFrame({"when": pd.to_datetime(["2013-01-01"]), "wind": [np.nan], "flag": [True], "n": [3]})
    example: Any = signature.example_of(frame)
    assert example["columns"] == ["when", "wind", "flag", "n"]
    assert example["data"][0][1:] == [None, True, 3]
    assert example["data"][0][0].startswith("2013-01-01T00:00:00")
