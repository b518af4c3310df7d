from __future__ import annotations

import datetime
import decimal
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmlops.capture import ColumnSchema, fingerprint
from nbmlops.core.errors import InvalidInput

ROWS = 7
WHEN = pd.date_range("2013-01-01", periods=ROWS, freq="h")


def mixed() -> pd.DataFrame:
    """Return a frame with a column of every kind."""
    return pd.DataFrame(
        {
            "integer": np.arange(ROWS),
            "small": np.arange(ROWS, dtype="int8"),
            "float": [0.5, math.nan, 1.5, -2.0, 3.0, 4.0, math.inf],
            "bool": [True, False] * 3 + [True],
            "text": pd.Series(["a", "", None, "é", "a", "b", "c"], dtype="str"),
            "bytes": [b"a", b"", None, b"\xff", b"a", b"b", b"c"],
            "category": pd.Categorical(["x", "y", None, "x", "x", "y", "x"], categories=["y", "x", "z"]),
            "moment": WHEN.where(np.arange(ROWS) != 3),
            "zoned": WHEN.tz_localize("America/New_York"),
            "elapsed": WHEN - WHEN[0],
            "nullable": pd.array([1, None, 3, 4, 5, 6, 7], dtype="Int64"),
            "maybe": pd.array([True, None, False, True, True, True, True], dtype="boolean"),
            "period": WHEN.to_period("D"),
            "complex": np.arange(ROWS) * 1j,
            "nested": [[1, "a"], {"k": (1, 2)}, None, {3}, decimal.Decimal("1.0"), datetime.date(2013, 1, 1), 2.5],
        }
    )


CHANGED: dict[str, Any] = {
    "integer": 99,
    "small": 9,
    "float": 99.5,
    "text": "other",
    "bytes": b"other",
    "category": "z",
    "moment": pd.Timestamp("2020-01-01"),
    "zoned": pd.Timestamp("2020-01-01", tz="America/New_York"),
    "elapsed": pd.Timedelta(99, "s"),
    "nullable": 99,
    "period": pd.Period("2020-01-01", "D"),
    "complex": 9j,
    "nested": [1, "b"],
}


def digest(data: Any) -> str:
    return fingerprint(data, profile=False).digest


FIRST = digest(mixed())


def test_the_shape_and_the_schema() -> None:
    found = fingerprint(mixed())
    assert (found.rows, found.columns) == (ROWS, 15)
    dtypes = {column.name: (column.dtype, column.nullable) for column in found.schema}
    assert dtypes == {
        "integer": ("int64", False),
        "small": ("int8", False),
        "float": ("float64", True),
        "bool": ("bool", False),
        "text": ("string", True),
        "bytes": ("binary", True),
        "category": ("category[string]", True),
        "moment": (str(WHEN.dtype), True),
        "zoned": (f"{str(WHEN.dtype)[:-1]}, America/New_York]", False),
        "elapsed": (str((WHEN - WHEN[0]).dtype), False),
        "nullable": ("int64", True),
        "maybe": ("bool", True),
        "period": ("period[D]", False),
        "complex": ("complex128", False),
        "nested": ("object", True),
    }
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["digest"] == found.digest


@given(column=st.sampled_from(sorted(mixed())), row=st.integers(0, ROWS - 1))
def test_every_cell_counts(column: str, row: int) -> None:
    data = mixed()
    cells = data[column].tolist()
    cells[row] = CHANGED[column] if column in CHANGED else cells[row] is not True
    data[column] = pd.Series(cells, dtype=data[column].dtype, index=data.index)
    assert digest(data) != FIRST


@given(column=st.sampled_from(sorted(mixed())), row=st.integers(0, ROWS - 1))
def test_a_cell_that_goes_missing_counts(column: str, row: int) -> None:
    data = mixed()
    missing = data[column].isna()
    # A type that holds no missing value changes with it, and counts by that
    data[column] = data[column].where(np.arange(ROWS) != row)
    assert (digest(data) == FIRST) == bool(missing.iloc[row])


@pytest.mark.parametrize("rows", [[1, 0, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 6], []])
def test_the_rows_and_their_order_count(rows: list[int]) -> None:
    assert digest(mixed().iloc[rows].reset_index(drop=True)) != FIRST


def test_the_names_the_order_and_the_number_of_columns_count() -> None:
    data = mixed()
    assert digest(data[sorted(data)]) != FIRST
    assert digest(data.rename(columns={"integer": "other"})) != FIRST
    assert digest(data.drop(columns="nested")) != FIRST
    assert digest(pd.DataFrame({0: [1]})) != digest(pd.DataFrame({"0": [1]}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pd.Series([1, 2]), pd.Series([1.0, 2.0])),
        (pd.Series([1, 2]), pd.Series([1, 2], dtype="int32")),
        (pd.Series([1, 0]), pd.Series([True, False])),
        (pd.Series(["1", "2"]), pd.Series([1, 2])),
        (pd.Series(["a", "b"]), pd.Series(["a", "b"], dtype="category")),
        (pd.Series(["a"]), pd.Series([b"a"])),
        (pd.Series(["ab", "c"]), pd.Series(["a", "bc"])),
        (pd.Series(["a", None]), pd.Series(["a", ""])),
        (pd.Series([0.0]), pd.Series([-0.0])),
        (pd.Series([1, 2.5], dtype=object), pd.Series([1.0, 2.5], dtype=object)),
        (pd.Series([1, True], dtype=object), pd.Series([True, 1], dtype=object)),
        (pd.Series([[1, 2], [3]]), pd.Series([[1], [2, 3]])),
        (pd.Series([["a"], "b"]), pd.Series([("a",), "b"])),
        (pd.Series([{"a": 1}]), pd.Series([{"a": 2}])),
        (pd.Series(["a", b"a"], dtype=object), pd.Series([b"a", "a"], dtype=object)),
        (pd.Series(WHEN), pd.Series(WHEN.tz_localize("UTC"))),
        (pd.Series(WHEN.tz_localize("UTC")), pd.Series(WHEN.tz_localize("UTC").tz_convert("Asia/Tokyo"))),
        (pd.Series(WHEN.as_unit("ns")), pd.Series(WHEN.as_unit("s"))),
        (pd.Series(pd.Categorical(["a", "b"], ["a", "b"])), pd.Series(pd.Categorical(["a", "b"], ["b", "a"]))),
        (pd.Series(pd.Categorical(["a"], ["a", "b"])), pd.Series(pd.Categorical(["a"], ["a", "b"], ordered=True))),
        (pd.Series(pd.Categorical(["a"], ["a", "b"])), pd.Series(pd.Categorical(["a"], ["a"]))),
    ],
)
def test_what_differs_in_type_or_value_differs(first: pd.Series, second: pd.Series) -> None:
    assert digest(first) != digest(second)


TEXT = ["a", "é", None, "", "long " * 10]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(TEXT, dtype=object),
        pd.Series(TEXT, dtype="str"),
        pd.Series(TEXT, dtype="string"),
        pd.Series(TEXT, dtype=pd.StringDtype("python")),
        pd.Series(TEXT, dtype=pd.ArrowDtype(pa.string())),
        pd.Series(TEXT, dtype=pd.ArrowDtype(pa.large_string())),
    ],
)
def test_strings_are_equal_however_they_are_stored(column: pd.Series) -> None:
    expected = digest(pa.table({"0": pa.array(TEXT)}))
    assert digest(column.rename("0")) == expected
    assert digest(pl.DataFrame({"0": TEXT})) == expected


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [1, 2, 3]},
        {"a": [1.5, None, 3.0]},
        {"a": [True, None, False]},
        {"a": [b"x", None, b""]},
        {"a": [datetime.datetime(2013, 1, 1), None]},
        {"a": [datetime.timedelta(1), None]},
        {"a": [1, 2], "b": ["x", "y"], "c": [0.5, 1.5]},
    ],
)
def test_pandas_polars_and_arrow_agree(columns: dict[str, list[Any]]) -> None:
    table = pa.table(columns)
    arrow = digest(table)
    backed = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert digest(backed) == arrow
    assert digest(pl.from_arrow(table)) == arrow
    assert digest(table.to_batches()[0]) == arrow
    if pa.bool_() not in table.schema.types:  # pandas makes objects of booleans with None
        assert digest(pd.DataFrame(columns)) == arrow


def test_every_missing_value_is_the_same() -> None:
    expected = digest(pd.DataFrame({"a": [1.0, math.nan]}))
    assert digest(pa.table({"a": pa.array([1.0, None])})) == expected
    assert digest(pa.table({"a": pa.array([1.0, math.nan])})) == expected
    assert digest(pd.DataFrame({"a": pd.array([1.0, None], dtype="Float64")})) == expected
    objects = [[["x"], missing] for missing in (None, math.nan, pd.NA, pd.NaT, np.float64("nan"))]
    assert len({digest(pd.DataFrame({"a": pd.Series(one, dtype=object)})) for one in objects}) == 1
    nan = np.array([0x7FF8000000000001, 0x7FF8000000000000], dtype="u8").view("f8")
    assert digest(nan[:1]) == digest(nan[1:])


@given(cut=st.integers(0, ROWS))
def test_copies_views_and_chunks_are_equal(cut: int) -> None:
    data = mixed()
    assert digest(data.copy()) == FIRST
    doubled = pd.concat([data, data], ignore_index=True)
    view = doubled.iloc[ROWS:].reset_index(drop=True)
    assert digest(view) == FIRST
    table = pa.Table.from_pandas(data.drop(columns=["nested", "period", "complex"]))
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert digest(chunked) == digest(table)
    assert digest(chunked.combine_chunks()) == digest(table)


def test_what_lies_under_a_missing_value_does_not_count() -> None:
    valid = pa.array([True, False, True])
    first = pa.Array.from_buffers(pa.int64(), 3, [valid.buffers()[1], pa.py_buffer(np.array([1, 7, 3]))])
    second = pa.Array.from_buffers(pa.int64(), 3, [valid.buffers()[1], pa.py_buffer(np.array([1, 8, 3]))])
    assert digest(pa.table({"a": first})) == digest(pa.table({"a": second}))
    offsets = pa.py_buffer(np.array([0, 1, 3, 4], dtype="i4"))
    texts = [
        pa.Array.from_buffers(pa.string(), 3, [valid.buffers()[1], offsets, pa.py_buffer(text)])
        for text in (b"axxb", b"ayyb")
    ]
    assert len({digest(pa.table({"a": text})) for text in texts}) == 1


def test_storage_order_does_not_count() -> None:
    data = np.arange(12.0).reshape(4, 3)
    assert digest(np.asfortranarray(data)) == digest(data)
    assert digest(data.astype(">f8")) == digest(data)
    assert digest(data[::-1][::-1]) == digest(data)
    assert digest(pd.DataFrame(data)) == digest(data)


def test_an_index_counts_unless_it_is_the_default_one() -> None:
    data = pd.DataFrame({"a": [1, 2, 3]})
    plain = digest(data)
    assert digest(data.set_axis(pd.Index([0, 1, 2]))) == plain
    others = [
        data.set_axis([1, 2, 3]),
        data.set_axis([0, 2, 1]),
        data.set_axis(["0", "1", "2"]),
        data.rename_axis("id"),
        data.set_axis(pd.MultiIndex.from_tuples([(0, 0), (0, 1), (0, 2)])),
        data.set_axis(pd.date_range("2013", periods=3)),
    ]
    assert len({plain, *map(digest, others)}) == len(others) + 1


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame({"a": pd.Series([], dtype="str")}),
        pd.DataFrame(index=[0, 1]),
        pd.DataFrame({"a": pd.Categorical([])}),
        pl.DataFrame({"a": []}),
        pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.dictionary(pa.int8(), pa.string()))}),
        pa.table({"a": pa.array([None, None])}),
        np.empty((0, 3)),
        [],
    ],
)
def test_empty_data_has_a_fingerprint(data: Any) -> None:
    assert fingerprint(data).digest == fingerprint(data).digest


def test_other_arrow_types_count() -> None:
    columns = {
        "decimal": pa.array([decimal.Decimal("1.10"), None]),
        "date": pa.array([datetime.date(2013, 1, 1), None]),
        "time": pa.array([datetime.time(1, 2), None]),
        "list": pa.array([[1, None], None]),
        "struct": pa.array([{"a": 1, "b": "x"}, None]),
        "fixed": pa.array([b"ab", None], pa.binary(2)),
        "view": pa.array(["ab", None], pa.string_view()),
        "dictionary": pa.array(["a", None]).dictionary_encode(),
        "half": pa.array(np.array([1.5, 2.5], dtype="f2")),
        "u64": pa.array([2**64 - 1, None], pa.uint64()),
        "big_date": pa.array([datetime.date(2013, 1, 1), None], pa.date64()),
        "nano": pa.array([1, None], pa.time64("ns")),
    }
    for name, column in columns.items():
        other = pa.array([None, None], column.type) if name != "half" else pa.array(np.array([1.5, 0], dtype="f2"))
        assert digest(pa.table({"a": column})) != digest(pa.table({"a": other})), name
        assert fingerprint(pa.table({"a": column})).profile["a"]["missing"] == (0 if name == "half" else 1), name


def test_the_dictionaries_of_chunks_are_one() -> None:
    chunks = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "c"]).dictionary_encode()]
    whole = pa.table({"a": pa.chunked_array(chunks)})
    assert digest(whole) == digest(pa.table({"a": pa.chunked_array(chunks).combine_chunks()}))
    assert digest(whole) == digest(pd.DataFrame({"a": pd.Categorical(["a", "b", "b", "c"])}))


def test_arrays_of_any_rank_have_a_fingerprint() -> None:
    flat = fingerprint(np.arange(4))
    assert (flat.rows, flat.columns, flat.schema) == (4, 1, (ColumnSchema("0", "int64", False),))
    assert fingerprint(np.zeros((5, 3), dtype="float32")).schema[2] == ColumnSchema("2", "float32", False)
    images = fingerprint(np.zeros((5, 4, 4)))
    assert (images.rows, images.columns, images.schema[0].name) == (5, 1, "tensor[4,4]")
    assert digest(np.zeros((5, 4, 4))) != digest(np.zeros((5, 2, 8)))
    wide = np.zeros((2, 5000))
    wide[1, 4999] = 1
    assert fingerprint(wide).schema[0].name == "tensor[5000]"
    assert digest(wide) != digest(np.zeros((2, 5000)))
    structured = fingerprint(np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]))
    assert [column.name for column in structured.schema] == ["a", "b"]
    assert digest(np.array(["a", "b"])) == digest(np.array(["a", "b"], dtype=object))
    assert digest(np.array([1.5], dtype=np.longdouble)) != digest(np.array([2.5], dtype=np.longdouble))


def test_plain_lists_dicts_and_sparse_matrices_have_a_fingerprint() -> None:
    from scipy import sparse

    expected = digest(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert digest({"a": [1, 2], "b": ["x", "y"]}) == expected
    assert digest([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]) == expected
    assert digest(pl.Series("a", [1, 2])) == digest(pd.DataFrame({"a": [1, 2]}))
    matrix = sparse.csr_matrix([[0.0, 1.0], [2.0, 0.0]])
    assert fingerprint(matrix).rows == 2
    assert digest(matrix) == digest(matrix.tocsc()) == digest(matrix.tocoo())
    assert digest(matrix) != digest(matrix.T)


def test_pandas_own_extension_types_have_a_fingerprint() -> None:
    frame = pd.DataFrame(
        {
            "interval": pd.interval_range(0, 3),
            "sparse": pd.arrays.SparseArray([0, 0, 1]),
            "p": pd.period_range("2013", periods=3),
        }
    )
    other = frame.assign(interval=pd.interval_range(0, 3, closed="left"))
    assert digest(frame) != digest(other)


def test_lone_surrogates_count() -> None:
    assert digest(pd.Series(["\ud800"], dtype=object)) != digest(pd.Series(["\ud801"], dtype=object))


def test_a_cell_without_a_canonical_form_is_refused_by_the_name_of_its_column() -> None:
    data = pd.DataFrame({"good": [1], "bad": [object()]})
    with pytest.raises(InvalidInput, match=r"column 'bad' holds builtins\.object objects.*data\.drop"):
        fingerprint(data)
    with pytest.raises(InvalidInput, match=r"column 'deep' holds builtins\.object"):
        fingerprint({"deep": [[1, {"k": object()}]]})


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=[0, "0"]),
        pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ],
)
def test_two_columns_of_one_name_are_refused(data: Any) -> None:
    with pytest.raises(InvalidInput, match=r"more than one column is named '(a|0)'.*Rename them"):
        fingerprint(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, r"data is a builtins\.int"),
        ("text", r"data is a builtins\.str"),
        (np.array(3), "without dimensions"),
        ({"a": [1], "b": [1, 2]}, "could not be read as a table"),
        (pl.LazyFrame({"a": [1]}), r"lazy Polars query.*data\.collect\(\)"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fingerprint(data)


@given(
    st.lists(
        st.one_of(st.none(), st.text(max_size=5), st.binary(max_size=5), st.integers(), st.floats(), st.booleans()),
        max_size=6,
    )
)
@settings(max_examples=50)
def test_any_mix_of_objects_has_one_digest_and_another_for_each_change(cells: list[Any]) -> None:
    first = digest(pd.DataFrame({"a": pd.Series(cells, dtype=object)}))
    assert digest(pd.DataFrame({"a": pd.Series(list(cells), dtype=object)})) == first
    for row in range(len(cells)):
        other = [*cells[:row], ("another",), *cells[row + 1 :]]
        assert digest(pd.DataFrame({"a": pd.Series(other, dtype=object)})) != first
