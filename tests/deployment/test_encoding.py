"""Rows to JSON and answers back: nothing changes on the way, and what can't go says why."""

from __future__ import annotations

import datetime
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput, InvalidObject
from nbmlops.deployment.encoding import ROWS_PER_REQUEST, answer_of, requests_of
from nbmlops.serving.decoding import FrameDecoder
from nbmlops.serving.documents import JSON
from nbmlops.serving.signature import Column


def sent(data, **options):
    return [json.loads(body) for body in requests_of(data, **options)]


def received(frame: pd.DataFrame, *columns: Column) -> list[np.ndarray]:
    """Return the columns as the server's own decoder reads them."""
    decoder = FrameDecoder(columns)
    (body,) = requests_of(frame)
    rows = decoder.decode(body, JSON).data
    return decoder.tabulate([rows]).columns


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(finite | st.just(math.nan), st.integers(-(2**63), 2**63 - 1), st.booleans()), min_size=1))
def test_numbers_arrive_to_the_bit(rows) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b", "c"]).astype({"a": "float64", "b": "int64", "c": "bool"})
    a, b, c = received(frame, Column("a", "double", nullable=True), Column("b", "long"), Column("c", "boolean"))
    np.testing.assert_array_equal(a, frame["a"].to_numpy())
    np.testing.assert_array_equal(b, frame["b"].to_numpy())
    np.testing.assert_array_equal(c, frame["c"].to_numpy())


@given(st.lists(st.text(st.characters(codec="utf-8")) | st.none(), min_size=1))
def test_text_arrives(texts) -> None:
    (column,) = received(pd.DataFrame({"a": pd.Series(texts, dtype=object)}), Column("a", "string", nullable=True))
    assert column.tolist() == texts


@given(st.lists(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)) | st.none(), min_size=1))
def test_moments_arrive(moments) -> None:
    frame = pd.DataFrame({"a": pd.to_datetime(pd.Series(moments, dtype="object"))})
    (column,) = received(frame, Column("a", "datetime", nullable=True))
    np.testing.assert_array_equal(column, frame["a"].to_numpy().astype("datetime64[ns]"))


@given(st.lists(st.binary(), min_size=1))
def test_bytes_arrive(values) -> None:
    (column,) = received(pd.DataFrame({"a": pd.Series(values, dtype=object)}), Column("a", "binary"))
    assert column.tolist() == values


def test_float32_arrives_to_the_bit() -> None:
    values = np.array([0.1, 1e-40, 3.4e38], dtype=np.float32)
    (column,) = received(pd.DataFrame({"a": values}), Column("a", "float"))
    np.testing.assert_array_equal(column, values)


def test_categories_nullable_integers_and_zones() -> None:
    frame = pd.DataFrame(
        {
            "c": pd.Categorical(["a", None]),
            "i": pd.array([1, None], dtype="Int64"),
            "z": pd.to_datetime(["2013-01-01T12:00+02:00", None]),
        }
    )
    (document,) = sent(frame)
    assert document["dataframe_split"] == {
        "columns": ["c", "i", "z"],
        "data": [["a", 1, "2013-01-01T10:00:00.000000"], [None, None, None]],
    }


@pytest.mark.parametrize(
    "data",
    [
        [{"x": 1, "y": "a"}],
        {"x": [1], "y": ["a"]},
        {"x": 1, "y": "a"},
        pd.DataFrame({"x": [1], "y": ["a"]}),
    ],
)
def test_named_rows_in_every_form_are_a_split_frame(data) -> None:
    assert sent(data) == [{"dataframe_split": {"columns": ["x", "y"], "data": [[1, "a"]]}}]


def test_polars_and_series_are_frames() -> None:
    import polars

    assert sent(polars.DataFrame({"x": [1]})) == sent(pd.Series([1], name="x"))
    assert sent(pd.Series([1]), names=["x"]) == sent(pd.Series([1], name="x"), names=["x"])


def test_arrays_are_inputs_or_take_the_signatures_names() -> None:
    assert sent(np.array([[1.5, np.nan]])) == [{"inputs": [[1.5, None]]}]
    assert sent([[1, 2]], names=["a", "b"]) == [{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}]
    assert sent(np.array([["a", None]], dtype=object)) == [{"inputs": [["a", None]]}]


def test_many_rows_are_several_requests_in_order() -> None:
    documents = sent(pd.DataFrame({"x": range(2 * ROWS_PER_REQUEST + 1)}), output="both")
    assert [document["params"] for document in documents] == [{"output": "both"}] * 3
    assert [row[0] for one in documents for row in one["dataframe_split"]["data"]] == list(
        range(2 * ROWS_PER_REQUEST + 1)
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame({"x": []}), "no row to score"),
        ([], "no row to score"),
        (pd.DataFrame({"x": [math.inf]}), "column 'x' holds an infinite number"),
        (pd.DataFrame({"x": pd.Series([-math.inf], dtype=object)}), "column 'x' holds an infinite number"),
        (np.array([[math.inf]]), "the array holds an infinite number"),
        (pd.DataFrame({"x": [object()]}), "column 'x' holds a object, which JSON can't carry"),
        (np.array([[1j]]), "complex128 can't be sent"),
        ([[1], [1, 2]], "different lengths"),
    ],
)
def test_what_can_not_be_sent(data, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        sent(data)


def test_a_scalar_is_no_rows() -> None:
    with pytest.raises(InvalidObject, match="a float holds no rows"):
        sent(1.5)


@pytest.mark.parametrize(
    ("predictions", "dtype"),
    [([1, 2], "int64"), ([1.5, None], "float64"), (["a", "b"], "object"), ([True, False], "bool")],
)
def test_answers_are_arrays_of_their_own_dtype(predictions, dtype) -> None:
    answer = answer_of([{"predictions": predictions[:1]}, {"predictions": predictions[1:]}])
    assert answer.dtype == dtype
    assert len(answer) == 2


def test_both_is_a_frame_with_the_classes() -> None:
    predictions = [{"label": "late", "probabilities": [0.25, 0.75]}]
    frame = answer_of([{"predictions": predictions, "classes": ["early", "late"]}], "both")
    assert frame.to_dict("records") == [{"label": "late", "early": 0.25, "late": 0.75}]


def test_records_are_a_frame_and_anything_else_is_itself() -> None:
    assert answer_of([{"predictions": [{"a": 1}]}]).to_dict("list") == {"a": [1]}
    assert answer_of([{"predictions": "free text"}]) == "free text"
    assert answer_of([{"predictions": {"a": [1.0]}}])["a"].tolist() == [1.0]
