"""Bodies that are almost right: either they are refused, or both routes read the same out of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmlops.serving.decoding import FrameDecoder, make_decoder
from nbmlops.serving.documents import CSV, JSON
from nbmlops.serving.errors import RequestError
from nbmlops.serving.inputs import Rows, Tensor
from nbmlops.serving.signature import parse_signature

COLUMNS = [
    {"name": "a", "type": "double"},
    {"name": "b:c", "type": "long", "nullable": True},
    {"name": "s", "type": "string", "nullable": True},
    {"name": "when", "type": "datetime"},
    {"name": "raw", "type": "binary"},
    {"name": "kind", "type": "string", "dtype": "category", "categories": ["x", "y: z"]},
    {"name": "grade", "type": "double", "dtype": "category", "categories": [1.0, 2.5]},
]
PARAMS = [
    {"name": "top", "type": "long", "default": 1},
    {"name": "words", "type": "string", "default": [], "shape": [-1]},
]
ROW = [1.5, 2, "t", "2013-01-01T07:30:00", "YWI=", "y: z", 2.5]
NAMES = [column["name"] for column in COLUMNS]
RECORD = dict(zip(NAMES, ROW, strict=True))
NESTED = [[1.5, 2.0], [3.0, 4.0]]

ODD = {"instances": [RECORD, RECORD], "params": {"top": 3, "words": ["a: b"]}}  # a colon in a parameter: the slow way
FRAMES = [
    {"dataframe_split": {"columns": NAMES, "data": [ROW, ROW]}},
    {"dataframe_split": {"index": [0, 1], "columns": NAMES, "data": [ROW, ROW]}, "params": {"output": "both"}},
    {"dataframe_records": [RECORD]},
    ODD,
    {"inputs": {name: [value, value] for name, value in RECORD.items()}},
]
DECODERS = {
    "frame": ({"inputs": COLUMNS, "params": PARAMS}, FRAMES),
    "plain": (
        {"inputs": COLUMNS[:3]},
        [
            {"dataframe_split": {"columns": NAMES[:3], "data": [ROW[:3]]}},
            {"inputs": [{name: RECORD[name] for name in NAMES[:3]}]},
        ],
    ),
    "tensor": (
        {"inputs": {"tensor": {"dtype": "float32", "shape": [-1, 2]}}},
        [{"inputs": NESTED}, {"instances": NESTED}],
    ),
    "texts": ({"inputs": {"tensor": {"dtype": "str", "shape": [-1]}}}, [{"inputs": ["a", "b: c"]}]),
    "moments": ({"inputs": {"tensor": {"dtype": "datetime64[s]", "shape": [-1]}}}, [{"inputs": ["2013-01-01"]}]),
    "tensors": (
        {
            "inputs": {
                "tensors": [
                    {"name": "x", "dtype": "float64", "shape": [-1, 2]},
                    {"name": "k", "dtype": "int8", "shape": [-1]},
                ]
            }
        },
        [
            {"inputs": {"x": NESTED, "k": [1, 2]}},
            {"instances": [{"x": [1.5, 2], "k": 1}]},
            {"dataframe_records": [{"x": [1.5, 2], "k": 1}]},
        ],
    ),
    "generic": ({"params": PARAMS}, [{"inputs": NESTED}, {"dataframe_records": [RECORD]}]),
}
TOKENS = [
    b'"a":1,',
    b'"a":1',
    b"null",
    b"NaN",
    b"1e400",
    b"-1",
    b"true",
    b'"x"',
    b'"\\u0061"',
    b"\\",
    b":",
    b",",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b" ",
    b"\xff",
    b'"params":{"output":"both"}',
    b'"params":{"top":1,"top":2}',
    b'"index":[0]',
    b"\\u003a",
    b"[]",
    b"\xef\xbb\xbf",
    b"0" * 30,
]


@st.composite
def almost(draw, documents):
    """A right body with a few pieces cut out, put in, doubled or put elsewhere."""
    body = json.dumps(draw(st.sampled_from(documents))).encode()
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        stop = draw(st.integers(start, min(len(body), start + 40)))
        piece = body[start:stop]
        body = draw(
            st.sampled_from(
                [
                    body[:start] + body[stop:],
                    body[:start] + piece * 2 + body[stop:],
                    body[:start] + draw(st.sampled_from(TOKENS)) + body[start:],
                    body[:start] + draw(st.sampled_from(TOKENS)) + body[stop:],
                ]
            )
        )
    return body


def content(data):
    if isinstance(data, Rows):
        return [tuple(record) for record in data.records], data.absent
    if isinstance(data, Tensor):
        return data.array.dtype, data.array.tolist()
    return data


def check(decoder, body: bytes) -> None:
    try:
        slow = decoder.decode_slow(body) if hasattr(decoder, "decode_slow") else decoder.decode(body, JSON)
    except RequestError as error:
        assert error.status in (400, 422)  # noqa: PT017 - a refusal is right as well
        json.dumps(error.body())
        slow = None
    if hasattr(decoder, "decode_fast"):
        try:
            fast = decoder.decode_fast(body)
        except RequestError:
            fast = None
        if fast is not None:
            assert slow is not None
            assert content(fast.data) == content(slow.data)
            assert (fast.output, fast.params) == (slow.output, slow.params)
    if slow is not None and isinstance(decoder, FrameDecoder):
        assert len(decoder.tabulate([slow.data])) == len(slow.data)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=150)
@given(data=st.data())
def test_an_almost_right_body_is_refused_or_read_alike(name, data):
    signature, documents = DECODERS[name]
    check(make_decoder(parse_signature(signature)), data.draw(almost(documents)))


@pytest.mark.parametrize("name", DECODERS)
def test_right_bodies_are_read_alike_by_both_routes(name):
    signature, documents = DECODERS[name]
    decoder = make_decoder(parse_signature(signature))
    for document in documents:
        body = json.dumps(document).encode()
        check(decoder, body)
        if name in ("frame", "plain", "tensor") and document is not ODD:
            assert decoder.decode_fast(body) is not None, document


SPLIT = b'"dataframe_split":{"columns":["a","s"],"data":[[1,"x"]]}'


@pytest.mark.parametrize(
    ("text", "within"),
    [
        (b'{"dataframe_split":{"columns":["a","s"],"data":[[1,"x"]],"data":[[2,"y"]]}}', "twice"),
        (b"{" + SPLIT + b"," + SPLIT + b"}", "twice"),
        (b"{" + SPLIT + b',"inputs":null}', "2 of the four"),
        (b'{"dataframe_records":[{"a":1,"a":2,"s":"\\u003a"}]}', "twice"),
        (b'{"dataframe_records":[{"a" :1,"a":2,"s":"x"}]}', "twice"),
        (b"{" + SPLIT + b',"params":{"output":"label","output":"both"}}', "twice"),
    ],
)
def test_a_repeated_key_is_never_passed_over(text, within):
    columns = [{"name": "a", "type": "double"}, {"name": "s", "type": "string"}]
    with pytest.raises(RequestError, match=within):
        make_decoder(parse_signature({"inputs": columns})).decode(text, JSON)


def test_a_colon_in_a_name_hides_no_repeated_key():
    decoder = make_decoder(
        parse_signature({"inputs": [{"name": "a", "type": "double"}, {"name": "b:", "type": "double"}]})
    )
    with pytest.raises(RequestError, match="twice"):
        decoder.decode(b'{"dataframe_records":[{"a":1,"a":2,"b\\u003a":3}]}', JSON)


def test_colons_in_text_stay_on_the_fast_route():
    decoder = make_decoder(
        parse_signature({"inputs": [{"name": "s", "type": "string"}, {"name": "t", "type": "datetime"}]})
    )
    row = {"s": "a: b::", "t": "2013-01-01T07:30:00"}
    for document in ({"dataframe_records": [row, row]}, {"inputs": {name: [value] for name, value in row.items()}}):
        request = decoder.decode_fast(json.dumps(document).encode())
        assert request.data.records[0] == ("a: b::", np.datetime64("2013-01-01T07:30:00", "ns"))


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ({"type": "string", "categories": ["x", "y"]}, "x", "secret"),
        ({"type": "long", "categories": [1, 2]}, 2, 3),
        ({"type": "double", "categories": [1.0, 2.5]}, 1, 1.5),
        ({"type": "boolean", "categories": [False]}, False, True),
    ],
)
@pytest.mark.parametrize("form", ["dataframe_records", "inputs", "csv"])
def test_an_unknown_category_is_refused_unless_nulls_are_taken(column, good, bad, form):
    described = {"name": "c", "dtype": "category", **column}

    def decode(value, *, nullable=False):
        decoder = make_decoder(parse_signature({"inputs": [{**described, "nullable": nullable}]}))
        if form == "csv":
            return decoder.decode(f"c\n{value}".encode(), CSV)
        data = [{"c": value}] if form == "dataframe_records" else {"c": [value]}
        return decoder.decode(json.dumps({form: data}).encode(), JSON)

    assert decode(good).data.records == [(good,)]
    assert decode(bad, nullable=True).data.records == [(bad,)]
    with pytest.raises(RequestError, match="column 'c' holds an unknown category in row 0") as caught:
        decode(bad)
    assert (caught.value.status, caught.value.field) == (422, "c")
    assert f"one of the {len(column['categories'])} categories" in caught.value.expected
    assert "secret" not in json.dumps(caught.value.body())


@pytest.mark.parametrize("cell", ["1_000", "１２", "0x10", "1 2"])
def test_a_csv_cell_that_only_python_reads_as_a_number_is_none(cell):
    for kind in ("double", "long"):
        decoder = make_decoder(parse_signature({"inputs": [{"name": "x", "type": kind}]}))
        with pytest.raises(RequestError, match="a string"):
            decoder.decode(f"x\n{cell}\n".encode(), CSV)


def test_csv_from_pandas_and_spreadsheets():
    decoder = make_decoder(
        parse_signature(
            {"inputs": [{"name": "x", "type": "double", "nullable": True}, {"name": "s", "type": "string"}]}
        )
    )
    for text in ("x,s\n1.5,NA\nNA,b\n", "\ufeffx,s\r\n1.5,NA\r\nnan,b\r\n", ",x,s\n0,1.5,NA\n1,,b\n"):
        assert decoder.decode(text.encode(), CSV).data.records == [(1.5, "NA"), (None, "b")]


def test_the_columns_of_an_array_may_come_in_another_order():
    decoder = make_decoder(parse_signature({"inputs": {"tensor": {"dtype": "float64", "shape": [-1, 2]}}}))
    for document in (
        {"dataframe_split": {"columns": ["1", "0"], "data": [[2, 1]]}},
        {"dataframe_split": {"columns": [1, 0], "data": [[2, 1]]}},
        {"dataframe_split": {"data": [[1, 2]]}},
        {"dataframe_records": [{"1": 2, "0": 1}]},
        {"dataframe_records": [{"x": 1, "y": 2}]},
    ):
        assert decoder.decode(json.dumps(document).encode(), JSON).data.array.tolist() == [[1, 2]]
    assert decoder.decode(b"1,0\n2,1\n", CSV).data.array.tolist() == [[1, 2]]
    with pytest.raises(RequestError, match="other names"):
        decoder.decode(b'{"dataframe_records":[{"x":1,"y":2},{"y":1,"z":2}]}', JSON)
    rows = decoder.decode(b'{"dataframe_records":[{"x":1,"y":2},{"y":4,"x":3}]}', JSON)
    assert rows.data.array.tolist() == [[1, 2], [3, 4]]
