from __future__ import annotations

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmlops.serving.columns import ColumnCodec
from nbmlops.serving.decoding import FrameDecoder, GenericDecoder, make_decoder
from nbmlops.serving.documents import CSV, JSON
from nbmlops.serving.errors import RequestError
from nbmlops.serving.signature import TYPES, Column, parse_signature

COLUMNS = (
    Column("a", "double"),
    Column("b", "long"),
    Column("c", "string", nullable=True),
    Column("d", "boolean"),
    Column("e:f", "double", nullable=True),
)
NAMES = [column.name for column in COLUMNS]
ROW = {"a": 1.5, "b": 2, "c": "x", "d": True, "e:f": None}
DECODER = FrameDecoder(COLUMNS)


def split(*rows, columns=NAMES):
    return {"dataframe_split": {"columns": columns, "data": [list(row) for row in rows]}}


def decode(document, decoder=DECODER, kind=JSON):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decoder.decode(body, kind)


def table(request, decoder=DECODER):
    return decoder.tabulate([request.data])


def refusal(document, decoder=DECODER, kind=JSON) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode(document, decoder, kind)
    return caught.value


@pytest.mark.parametrize(
    "document",
    [
        split(ROW.values()),
        split(reversed(ROW.values()), columns=NAMES[::-1]),
        {"dataframe_split": {"index": [7], "columns": NAMES, "data": [list(ROW.values())]}},
        {"dataframe_records": [ROW]},
        {"dataframe_records": [dict(reversed(ROW.items()))]},
        {"instances": [ROW]},
        {"inputs": [ROW]},
        {"inputs": {name: [value] for name, value in ROW.items()}},
        {"instances": {name: [value] for name, value in ROW.items()}},
        {"inputs": ROW},
        {"params": {}, **split(ROW.values())},
        {"params": None, **split(ROW.values())},
        {"params": {"output": "label"}, "dataframe_records": [ROW]},
    ],
)
def test_every_format_gives_the_same_rows(document):
    request = decode(document)
    assert request.data.records == [tuple(ROW.values())]
    assert request.output == "label"


def test_arrays_have_the_dtypes_that_pandas_gives():
    columns = table(decode(split([1, 2, "x", True, None], [2.5, 3, None, False, 4]))).columns
    assert [column.dtype for column in columns] == [np.float64, np.int64, object, np.bool_, np.float64]
    assert columns[0].tolist() == [1.0, 2.5]
    assert columns[2].tolist() == ["x", None]
    assert np.isnan(columns[4][0])


@pytest.mark.parametrize("output", ["label", "probabilities", "both"])
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records"])
def test_the_wanted_output_is_read(form, output):
    data = split(ROW.values())["dataframe_split"] if form == "dataframe_split" else [ROW]
    assert decode({form: data, "params": {"output": output}}).output == output


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ({"dataframe_records": [{**ROW, "extra": 1}]}, "extra", "no column 'extra'"),
        ({"dataframe_records": [{**{k: v for k, v in ROW.items() if k != "a"}, "aa": 1}]}, "aa", "did you mean 'a'"),
        ({"dataframe_records": [{k: v for k, v in ROW.items() if k != "b"}]}, "b", "'b' is missing"),
        ({"dataframe_records": [ROW, {k: v for k, v in ROW.items() if k != "b"}]}, "b", "row 1 lacks column 'b'"),
        (split([1, 2, "x", True, None, 3], columns=[*NAMES, "a"]), "a", "twice"),
        (split([1, 2, "x", True]), "dataframe_split.data[0]", "4 values"),
        ({"dataframe_split": {"columns": NAMES, "data": [5]}}, "dataframe_split.data[0]", "a number"),
        ({"dataframe_split": {"columns": NAMES, "data": []}}, "dataframe_split.data", "no rows"),
        ({"dataframe_split": {"columns": NAMES}}, "dataframe_split", "another form"),
        ({"dataframe_split": {"columns": NAMES, "data": [], "x": 1}}, "dataframe_split", "another form"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "dataframe_split.columns", "no list of names"),
        ({"dataframe_split": []}, "dataframe_split", "another form"),
        ({"dataframe_records": []}, "dataframe_records", "no rows"),
        ({"dataframe_records": {}}, "dataframe_records", "no rows"),
        ({"instances": [5]}, "instances[0]", "a number"),
        ({"inputs": [[1, 2, "x", True, None]]}, "inputs[0]", "a list"),
        ({"inputs": None}, "inputs", "no rows"),
        ({"inputs": {}}, "a", "missing"),
        ({"inputs": {**{k: [v] for k, v in ROW.items()}, "a": [1, 2]}}, "b", "1 values"),
        ({"inputs": {**{k: [v] for k, v in ROW.items()}, "a": 1}}, "a", "no list"),
        ({"inputs": {k: [] for k in ROW}}, "inputs", "no rows"),
        (split(["1", 2, "x", True, None]), "a", "a string in row 0"),
        (split(ROW.values(), [None, 2, "x", True, None]), "a", "null in row 1"),
        (split([1, 2.5, "x", True, None]), "b", "a number"),
        (split([1, True, "x", True, None]), "b", "a boolean"),
        (split([1, 2**63, "x", True, None]), "b", "a number"),
        (split([1, 2, 3, True, None]), "c", "a number"),
        (split([1, 2, "x", 1, None]), "d", "a number"),
        (split([1, 2, "x", True, [1]]), "e:f", "a list"),
        (split([1, 2, "x", True, {}]), "e:f", "an object"),
        (b'{"dataframe_records": [{"a":1e400,"b":2,"c":"x","d":true,"e:f":1}]}', "a", "not finite"),
        (b'{"dataframe_records": [{"a":NaN,"b":2,"c":"x","d":true,"e:f":1}]}', "a", "NaN"),
        (b'{"dataframe_records": [{"a":1,"b":2,"c":"\\ud800","d":true,"e:f":1}]}', "c", "a string"),
        (b'{"dataframe_records": [{"a":1,"a":2,"b":2,"c":"x","d":true,"e:f":1}]}', "a", "twice"),
        (b'{"inputs": {"a":[1],"a":[2],"b":[2],"c":["x"],"d":[true],"e:f":[1]}}', "a", "twice"),
        ({"params": {"output": "labels"}, **split(ROW.values())}, "params.output", "no such value"),
        ({"params": {"outptu": "label"}, **split(ROW.values())}, "params.outptu", "did you mean 'output'"),
        ({"params": [], **split(ROW.values())}, "params", "no object"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_signature_is_named(document, field, words):
    error = refusal(document)
    assert error.status == 422
    assert error.field == field
    assert words in error.message
    assert error.expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "not valid JSON"),
        (b'{"inputs": [1', "not valid JSON"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"5", "no JSON object"),
        (b"{}", "0 of the four formats"),
        (b'{"inputs": [], "instances": []}', "2 of the four formats"),
        (b'{"dataframe_spilt": {}}', "did you mean 'dataframe_split'"),
        (b'{"inputs": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs":' * 100_000, "nested too deeply"),
        (b'{"inputs": ' + b"1" * 5000 + b"}", "too many digits"),
        (b'\xef\xbb\xbf{"inputs": []}', "not valid JSON"),
    ],
)
def test_what_can_not_be_read_is_malformed(body, words):
    error = refusal(body)
    assert error.status == 400
    assert words in error.message


def test_nothing_that_was_sent_is_in_an_error():
    secret = "4929123456781234"
    for document in (
        split([secret, 2, "x", True, None]),
        {"inputs": secret},
        {"params": {"output": secret}, "inputs": 1},
    ):
        assert secret not in json.dumps(refusal(document).body())


def test_names_that_were_sent_are_cut_short():
    assert len(refusal({"dataframe_records": [{"x" * 10_000: 1}]}).message) < 200


def test_whole_floats_are_taken_for_whole_numbers_and_nan_for_null():
    body = b'{"dataframe_records": [{"a":1,"b":2.0,"c":NaN,"d":true,"e:f":NaN}]}'
    assert decode(body).data.records == [(1.0, 2, None, True, None)]


def test_optional_columns_may_be_left_out():
    decoder = FrameDecoder([Column("a", "double"), Column("b", "double", required=False), Column("c", "string", False)])
    for document in (split([1.0], columns=["a"]), {"dataframe_records": [{"a": 1.0}]}, {"inputs": {"a": [1.0]}}):
        columns = table(decode(document, decoder), decoder).columns
        assert columns[0].tolist() == [1.0]
        assert np.isnan(columns[1]).all()
        assert columns[2].tolist() == [None]
    assert refusal({"dataframe_records": [{"a": 1.0, "b": 1.0}, {"a": 2.0}]}, decoder).field == "b"


def test_a_single_column_takes_a_bare_list():
    decoder = FrameDecoder([Column("text", "string")])
    assert decode({"inputs": ["x", "y"]}, decoder).data.records == [("x",), ("y",)]
    assert decode({"instances": ["x"]}, decoder).data.records == [("x",)]
    assert refusal({"dataframe_records": ["x"]}, decoder).status == 422


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2013-01-01", "2013-01-01T00:00:00.000000000"),
        ("2013-01-01 07:30", "2013-01-01T07:30:00.000000000"),
        ("2013-01-01T07:30:00.123456789", "2013-01-01T07:30:00.123456789"),
        ("2013-01-01T07:30:00.5Z", "2013-01-01T07:30:00.500000000"),
        ("2013-01-01T07:30:00+02:00", "2013-01-01T05:30:00.000000000"),
        ("2013-01-01T07:30:00-0130", "2013-01-01T09:00:00.000000000"),
    ],
)
def test_moments_are_read_as_utc(value, expected):
    decoder = FrameDecoder([Column("t", "datetime", nullable=True)])
    column = table(decode(split([value], [None], columns=["t"]), decoder), decoder).columns[0]
    assert str(column[0]) == expected
    assert np.isnat(column[1])


@pytest.mark.parametrize("value", ["now", "today", "NaT", "2013", "2013-02-30", "1500-01-01", "2300-01-01", "", 5,
                                   "2013-01-01T07:30:00+99:00", "2013-01-01T25:00", "٢٠١٣-01-01"])  # fmt: skip
def test_what_is_no_moment_is_refused(value):
    assert refusal(split([value], columns=["t"]), FrameDecoder([Column("t", "datetime")])).field == "t"


def test_binary_comes_in_base64():
    decoder = FrameDecoder([Column("b", "binary")])
    content = bytes(range(256))
    for text in (base64.b64encode(content), base64.encodebytes(content)):
        assert decode({"inputs": [text.decode()]}, decoder).data.records == [(content,)]
    for wrong in ("a", "é", "!!!!", 5):
        assert refusal(split([wrong], columns=["b"]), decoder).field == "b"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("integer", 2**31 - 1, 2**31), ("long", -(2**63), -(2**63) - 1), ("float", 3.4e38, 3.5e38)],
)
def test_numbers_stay_within_their_type(kind, good, bad):
    decoder = FrameDecoder([Column("n", kind)])
    for form in (lambda v: split([v], columns=["n"]), lambda v: {"dataframe_records": [{"n": v}]}):
        assert table(decode(form(good), decoder), decoder).columns[0][0] == np.dtype(
            {"integer": "i4", "long": "i8", "float": "f4"}[kind]
        ).type(good)
        assert refusal(form(bad), decoder).field == "n"
    assert refusal(split([10**400], columns=["n"]), FrameDecoder([Column("n", "double")])).field == "n"


def test_csv_is_read_by_its_header():
    frame = pd.DataFrame([ROW, {**ROW, "a": 2.5, "c": 'qu"o,te\nline', "e:f": 4.0}])
    body = frame[NAMES[::-1]].to_csv(index=False).encode()
    request = decode(body, kind=CSV)
    assert request.data.records == [(1.5, 2, "x", True, None), (2.5, 2, 'qu"o,te\nline', True, 4.0)]
    assert decode(body.replace(b"\n", b"\r\n").replace(b"te\r\nline", b"te\nline"), kind=CSV).data == request.data


@pytest.mark.parametrize(
    ("text", "status", "field"),
    [
        ("", 400, "body"),
        ("a,b,c,d,e:f\n", 422, "body"),
        ("a,b,c,d,e:f\n1,2,x,true", 422, "row 0"),
        ("a,b,c,d,e:f\n,2,x,true,1", 422, "a"),
        ("a,b,c,d,e:f\nx,2,x,true,1", 422, "a"),
        ("a,b,c,d,e:f\n1,2.5,x,true,1", 422, "b"),
        ("a,b,c,d,e:f\n1,2,x,maybe,1", 422, "d"),
        ("a,b,c,d,e:f\ninf,2,x,true,1", 422, "a"),
        (",a,b,c,d,e:f\n0,1,2,x,true,1", 200, None),
        ("a,b,c,d,d\n1,2,x,true,true", 422, "d"),
        ('a,b,c,d,e:f\n1,2,"x,true,1', 400, "body"),
        ("a,b,c,d,e:f\n1,2,x\0,true,1", 200, None),
    ],
)
def test_bad_csv_is_named(text, status, field):
    if status == 200:
        assert decode(text.encode(), kind=CSV)
        return
    error = refusal(text.encode(), kind=CSV)
    assert (error.status, error.field) == (status, field)


def test_csv_must_be_utf8():
    assert refusal("a\né".encode("latin-1"), kind=CSV).status == 400


VALUES = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
}


@st.composite
def tables(draw):
    """Columns of a signature, and rows that fit it."""
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5, unique=True)
    )
    columns = [Column(name, draw(st.sampled_from(sorted(VALUES))), nullable=draw(st.booleans())) for name in names]
    rows = draw(st.integers(1, 5))
    values = {
        column.name: draw(
            st.lists(
                VALUES[column.type] | st.none() if column.nullable else VALUES[column.type],
                min_size=rows,
                max_size=rows,
            )
        )
        for column in columns
    }
    return columns, values


@given(tables())
def test_both_routes_and_all_formats_agree(drawn):
    columns, values = drawn
    decoder = FrameDecoder(columns)
    rows = [list(row) for row in zip(*values.values(), strict=True)]
    records = [dict(zip(values, row, strict=True)) for row in rows]
    expected = None
    for document in (
        {"dataframe_split": {"columns": list(values), "data": rows}},
        {"dataframe_records": records},
        {"instances": records},
        {"inputs": values},
        {"dataframe_split": {"columns": list(values)[::-1], "data": [row[::-1] for row in rows]}},
    ):
        body = json.dumps(document).encode()
        slow = list(map(tuple, decoder.decode_slow(body).data.records))
        fast = decoder.decode_fast(body)
        assert fast is None or fast.data.records == slow
        expected = expected or slow
        assert slow == expected
    assert expected == [tuple(row) for row in rows]


@given(tables())
def test_arrays_equal_what_pandas_makes_of_the_same_values(drawn):
    columns, values = drawn
    decoder = FrameDecoder(columns)
    request = decode({"inputs": values}, decoder)
    for column, array in zip(columns, table(request, decoder).columns, strict=True):
        expected = pd.Series(values[column.name], dtype=None if None in values[column.name] else array.dtype)
        for left, right in zip(array.tolist(), expected.tolist(), strict=True):
            if right is None or right != right:
                assert left is None or left != left
            elif column.type == "float" or (column.type in ("integer", "long") and None in values[column.name]):
                assert np.float32(left) == np.float32(right)
            else:
                assert left == right


FINITE = pd.DataFrame({"a": [1.0, -2.5e10], "b": [1, -5], "s": ["x", 'é,"q"'], "f": [True, False]})


@given(
    st.lists(
        st.tuples(
            VALUES["double"], VALUES["long"], st.text("abcXYZ é,\"'", min_size=1).filter(str.strip), st.booleans()
        ),
        min_size=1,
        max_size=4,
    )
)
def test_csv_written_by_pandas_comes_back(rows):
    frame = pd.DataFrame(rows, columns=list("absf"))
    decoder = FrameDecoder([Column("a", "double"), Column("b", "long"), Column("s", "string"), Column("f", "boolean")])
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False)
    assert decode(buffer.getvalue().encode(), decoder, CSV).data.records == rows


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*NAMES, "data", "columns"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
decoders = [
    DECODER,
    GenericDecoder(),
    FrameDecoder([Column("x", kind, nullable=True) for kind in ("datetime",)]),
    *(FrameDecoder([Column("a", kind)]) for kind in TYPES),
    make_decoder(parse_signature({"inputs": {"tensor": {"dtype": "float64", "shape": [-1, 2]}}})),
    make_decoder(parse_signature({"inputs": {"tensor": {"dtype": "int8", "shape": [-1]}}})),
    make_decoder(parse_signature({"inputs": {"tensor": {"dtype": "str", "shape": [-1, 1]}}})),
    make_decoder(parse_signature({"inputs": {"tensor": {"dtype": "bool", "shape": [-1, -1]}}})),
]  # fmt: skip


@pytest.mark.parametrize("decoder", decoders)
@settings(max_examples=50)
@given(
    body=st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "params"]),
        json_values,
        max_size=2,
    ).map(lambda document: json.dumps(document).encode()),
    kind=st.sampled_from([JSON, CSV]),
)
def test_any_body_is_decoded_or_refused(decoder, body, kind):
    try:
        request = decoder.decode(body, kind)
    except RequestError as error:
        assert error.status in (400, 422)  # noqa: PT017 - both outcomes are right
        json.dumps(error.body())
    else:
        assert len(request.data) > 0
        if isinstance(decoder, FrameDecoder):
            assert len(table(request, decoder)) == len(request.data)


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=50)
@given(value=json_values)
def test_a_checked_value_fits_its_array(kind, value):
    codec = ColumnCodec(Column("x", kind, nullable=True))
    try:
        checked = codec.check(value, 0)
    except RequestError:
        return
    assert len(codec.array([checked])) == 1


@pytest.mark.parametrize(
    ("kind", "known", "other"),
    [("string", ["AA", "UA"], "ZZ"), ("long", [5, 6], 7), ("integer", [5, 6], 7)],
)
@pytest.mark.parametrize("nullable", [False, True])
def test_a_column_whose_model_refuses_other_values_refuses_them_first(kind, known, other, nullable):
    column = {"name": "c", "type": kind, "categories": known, "nullable": nullable}
    decoder = make_decoder(parse_signature({"inputs": [column]}))
    rows = decode(split(*[[value] for value in known], columns=["c"]), decoder)
    assert table(rows, decoder).columns[0].tolist() == known
    for document in (split([known[0]], [other], columns=["c"]), {"instances": [{"c": known[0]}, {"c": other}]}):
        error = refusal(document, decoder)
        assert (error.status, error.field) == (422, "c")
        assert "unknown category in row 1" in str(error)
        assert str(other) not in str(error)
