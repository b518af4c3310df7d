"""Requests of the Open Inference Protocol: every datatype, both forms, and whatever is wrong with them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving.errors import RequestError
from nbmlops.serving.inputs import Generic, Rows, Table
from nbmlops.serving.oip.datatypes import DTYPES, datatype_of, read_binary, write_binary
from nbmlops.serving.oip.mapping import make_mapping
from nbmlops.serving.oip.requests import read_request
from nbmlops.serving.signature import parse_signature

from .tensors_v2 import KINDS, binary, packed, tensor

COLUMNS = [
    {"name": "distance", "type": "double"},
    {"name": "hour", "type": "long"},
    {"name": "carrier", "type": "string"},
]
ROW = [tensor("distance", "FP64", [5.5]), tensor("hour", "INT64", [7]), tensor("carrier", "BYTES", ["AA"])]


def decode(inputs, columns=COLUMNS, *, body=None, header=None, content_type=None):
    """Return the data of a request; `columns` may be a whole signature."""
    signature = parse_signature(columns if isinstance(columns, dict) else {"inputs": columns})
    if body is None:
        body = json.dumps({"inputs": inputs}).encode()
    _, tensors = read_request(body, header)
    return make_mapping(signature)(tensors, content_type)


def decode_binary(inputs, columns=COLUMNS, **more):
    body, headers = binary(*inputs)
    return decode(None, columns, body=body, header=headers["inference-header-content-length"].encode(), **more)


def column(data, index=0):
    """Return a column's values, whether rows or a table were made."""
    if isinstance(data, Rows):
        return [record[index] for record in data.records]
    return data.columns[index].tolist()


def tensor_signature(dtype, shape, **more):
    return {"inputs": {"tensor": {"dtype": dtype, "shape": shape, **more}}}


BOUNDS = {
    name: (np.iinfo(kind).min, np.iinfo(kind).max) if np.dtype(kind).kind in "iu" else (False, True)
    for name, kind in KINDS.items()
    if not name.startswith("FP")
}


@st.composite
def tensors(draw):
    datatype = draw(st.sampled_from([*KINDS, "BYTES"]))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    if datatype == "BYTES":
        leaf = st.text(st.characters(codec="utf-8"), max_size=8)
    elif datatype.startswith("FP"):
        leaf = st.floats(width=int(datatype[2:]), allow_nan=False, allow_infinity=False)
    elif datatype == "BOOL":
        leaf = st.booleans()
    else:
        leaf = st.integers(*map(int, BOUNDS[datatype]))
    count = math.prod(shape)
    return tensor("x", datatype, draw(st.lists(leaf, min_size=count, max_size=count)), shape)


def model_of(datatype, shape):
    return tensor_signature("str" if datatype == "BYTES" else np.dtype(KINDS[datatype]).name, [-1] * len(shape))


@given(tensors())
def test_every_datatype_comes_through_in_json_flat_and_nested_and_in_binary(document):
    shape, values = document["shape"], document["data"]
    nested = {**document, "data": np.array(values, dtype=object).reshape(shape).tolist()}
    signature = model_of(document["datatype"], shape)
    arrays = [decode([form], signature).array for form in (document, nested)]
    arrays.append(decode_binary([document], signature).array)
    for array in arrays:
        assert array.dtype == DTYPES[document["datatype"]]
        assert list(array.shape) == shape
        assert array.ravel().tolist() == values


@given(tensors())
def test_what_is_written_in_binary_is_read_back(document):
    array = np.array(document["data"], DTYPES[document["datatype"]])
    assert datatype_of(array.dtype) == document["datatype"]
    raw = write_binary(array)
    assert raw == packed(document["datatype"], document["data"])
    found = read_binary("x", document["datatype"], raw, count=len(array)).tolist()
    assert [value.decode() if isinstance(value, bytes) else value for value in found] == document["data"]


def test_big_endian_numbers_are_written_little_endian():
    assert write_binary(np.array([1], ">i4")) == b"\x01\x00\x00\x00"


def test_bytes_that_are_no_text_come_through_in_binary():
    raw = [b"\xff\x00", b"", b"text"]
    data = decode_binary([tensor("x", "BYTES", raw)], tensor_signature("bytes", [-1]))
    assert data.array.tolist() == raw
    with pytest.raises(RequestError, match="no text"):
        decode_binary([tensor("x", "BYTES", raw)], tensor_signature("str", [-1]))


@pytest.mark.parametrize("decoded", [decode, decode_binary])
def test_columns_by_name_in_any_order_and_shape(decoded):
    data = decoded(
        [
            tensor("carrier", "BYTES", ["AA", "UA"], [2, 1]),
            tensor("hour", "INT8", [7, 8]),
            tensor("distance", "FP32", [1, 2]),
        ]
    )
    assert [column(data, index) for index in range(3)] == [[1.0, 2.0], [7, 8], ["AA", "UA"]]


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("decoded", [decode, decode_binary])
def test_columns_side_by_side(decoded, rows):
    columns = [{"name": "a", "type": "double"}, {"name": "b", "type": "long"}, {"name": "c", "type": "double"}]
    values = np.arange(rows * 3).reshape(rows, 3)
    data = decoded([tensor("input-0", "FP32", values.ravel().tolist(), [rows, 3])], columns)
    assert [column(data, index) for index in range(3)] == values.T.tolist()
    table = data if isinstance(data, Table) else None
    if table is not None:
        assert [array.dtype.name for array in table.columns] == ["float64", "int64", "float64"]


def test_numbers_of_one_kind_stay_one_block():
    columns = [{"name": name, "type": "double"} for name in "abc"]
    data = decode_binary([tensor("x", "FP64", list(range(6)), [2, 3])], columns)
    assert len(data.blocks) == 1
    assert data.kin == decode_binary([tensor("x", "FP32", list(range(9)), [3, 3])], columns).kin


@pytest.mark.parametrize("decoded", [decode, decode_binary])
@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        ("double", tensor("x", "INT64", [3]), 3.0),
        ("double", tensor("x", "UINT8", [3]), 3.0),
        ("double", tensor("x", "FP16", [0.5]), 0.5),
        ("long", tensor("x", "FP64", [3.0]), 3),
        ("integer", tensor("x", "INT64", [3]), 3),
        ("boolean", tensor("x", "BOOL", [True]), True),
        ("string", tensor("x", "BYTES", ["é"]), "é"),
        ("datetime", tensor("x", "BYTES", ["2013-01-01T05:00:00Z"]), np.datetime64("2013-01-01T05:00", "ns")),
        ("binary", tensor("x", "BYTES", ["raw"]), b"raw"),
        ("binary", tensor("x", "BYTES", ["cmF3"], content_type="base64"), b"raw"),
        ("string", tensor("x", "BYTES", ['"AA"'], content_type="pd_json"), "AA"),
        ("long", tensor("x", "BYTES", ["12"], content_type="pd_json"), 12),
    ],
)
def test_a_column_takes_the_datatypes_that_hold_its_values(decoded, kind, document, expected):
    found = decoded([document], [{"name": "x", "type": kind}])
    value = found.records[0][0] if isinstance(found, Rows) else found.columns[0][0]
    assert value == expected


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("decoded", [decode, decode_binary])
@pytest.mark.parametrize(
    ("kind", "document", "message"),
    [
        ("double", tensor("x", "BYTES", ["3"]), "was sent as BYTES"),
        ("double", tensor("x", "BOOL", [True]), "was sent as BOOL"),
        ("boolean", tensor("x", "UINT8", [1]), "was sent as UINT8"),
        ("datetime", tensor("x", "INT64", [1]), "was sent as INT64"),
        ("string", tensor("x", "INT64", [1]), "was sent as INT64"),
        ("integer", tensor("x", "INT64", [2**31]), "holds a number in row 0"),
        ("integer", tensor("x", "UINT32", [2**31]), "holds a number in row 0"),
        ("long", tensor("x", "UINT64", [2**63]), "holds a number in row 0"),
        ("long", tensor("x", "FP64", [2.5]), "holds a number in row 0"),
        ("long", tensor("x", "FP64", [2.0**63]), "holds a number in row 0"),
        ("float", tensor("x", "FP64", [1e300]), "holds a number in row 0"),
        ("datetime", tensor("x", "BYTES", ["yesterday"]), "holds a string in row 0"),
        ("binary", tensor("x", "BYTES", ["?"], content_type="base64"), "no base64"),
        ("long", tensor("x", "BYTES", ["{"], content_type="pd_json"), "no JSON"),
        ("long", tensor("x", "BYTES", ["1.5"], content_type="pd_json"), "in row 0"),
    ],
)
def test_a_value_that_the_column_does_not_take_is_refused_by_name(decoded, rows, kind, document, message):
    many = {**document, "data": document["data"] * rows, "shape": [rows]}
    with pytest.raises(RequestError, match=message) as refused:
        decoded([many], [{"name": "x", "type": kind}])
    assert refused.value.status == 422
    assert refused.value.field == "x"


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize(("kind", "datatype"), [("double", "FP32"), ("float", "FP64"), ("long", "FP64")])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_and_nan_is_a_null_where_the_column_takes_one(rows, kind, datatype, value):
    document = tensor("x", datatype, [1.0] * (rows - 1) + [value])
    with pytest.raises(RequestError, match=f"in row {rows - 1}"):
        decode_binary([document], [{"name": "x", "type": kind}])
    nullable = [{"name": "x", "type": kind, "nullable": True}]
    if math.isinf(value):
        with pytest.raises(RequestError, match=f"in row {rows - 1}"):
            decode_binary([document], nullable)
    else:
        assert np.isnan(decode_binary([document], nullable).columns[0][-1])
    in_json = decode([{**document, "data": [1.0] * (rows - 1) + [None]}], nullable)
    assert column(in_json)[-1] is None or np.isnan(column(in_json)[-1])


@pytest.mark.parametrize("datatype", ["INT64", "BOOL", "BYTES"])
def test_a_null_goes_into_nullable_columns_of_every_type(datatype):
    kind = {"INT64": "long", "BOOL": "boolean", "BYTES": "string"}[datatype]
    value = {"INT64": 1, "BOOL": True, "BYTES": "a"}[datatype]
    for rows in (1, 40):
        document = tensor("x", datatype, [value] * rows + [None])
        data = decode([document], [{"name": "x", "type": kind, "nullable": True}])
        assert column(data)[-1] is None or column(data)[-1] != column(data)[-1]
        with pytest.raises(RequestError, match="holds null"):
            decode([document], [{"name": "x", "type": kind}])


@pytest.mark.parametrize("decoded", [decode, decode_binary])
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (ROW[:2], "column 'carrier' is missing"),
        ([*ROW, tensor("distance", "FP64", [1.0])], "column 'distance' was sent twice"),
        ([*ROW, tensor("distancee", "FP64", [1.0])], "no column 'distancee'; did you mean 'distance'"),
        ([tensor("distance", "FP64", [1.0, 2.0]), *ROW[1:]], r"column 'hour' has shape \[1\]"),
        ([tensor("distance", "FP64", [1.0], [1, 1, 1]), *ROW[1:]], r"column 'distance' has shape \[1, 1, 1\]"),
        ([tensor(entry["name"], entry["datatype"], []) for entry in ROW], r"has shape \[0\]"),
        ([tensor("x", "FP64", [1.0, 2.0], [1, 2])], r"input 'x' has shape \[1, 2\]"),
        ([tensor("x", "FP64", [1.0, 2.0, 3.0], [1, 3])], "column 'carrier' was sent as FP64"),
        ([tensor("x", "FP64", [], [0, 3])], r"input 'x' has shape \[0, 3\]"),
    ],
)
def test_columns_that_do_not_fit_the_signature_are_named(decoded, inputs, message):
    with pytest.raises(RequestError, match=message) as refused:
        decoded(inputs)
    assert refused.value.status == 422


def test_an_optional_column_may_be_left_out_and_an_unknown_category_is_refused():
    columns = [*COLUMNS, {"name": "note", "type": "double", "required": False, "nullable": True}]
    assert decode(ROW, columns).absent == {3}
    assert np.isnan(decode_binary(ROW, columns).columns[3][0])
    categories = [{"name": "x", "type": "long", "dtype": "category", "categories": [1, 2]}]
    assert column(decode_binary([tensor("x", "INT64", [2, 1])], categories)) == [2, 1]
    with pytest.raises(RequestError, match="unknown category in row 1"):
        decode_binary([tensor("x", "INT64", [2, 3])], categories)


@pytest.mark.parametrize(
    ("dtype", "shape", "document", "message"),
    [
        ("float64", [-1, 2], tensor("x", "FP64", [1.0, 2.0, 3.0], [1, 3]), r"shape \[1, 3\]"),
        ("float64", [-1, 2], tensor("x", "FP64", [1.0, 2.0]), r"shape \[2\]"),
        ("float64", [-1, 2], tensor("x", "FP64", [], [0, 2]), r"shape \[0, 2\]"),
        ("float64", [-1], tensor("x", "BYTES", ["a"]), "sent as BYTES"),
        ("float32", [-1], tensor("x", "FP64", [1e300]), "holds a number"),
        ("int32", [-1], tensor("x", "FP64", [1.5]), "holds a number"),
        ("int8", [-1], tensor("x", "INT64", [300]), "holds a number"),
        ("bool", [-1], tensor("x", "INT64", [1]), "sent as INT64"),
        ("str", [-1], tensor("x", "INT64", [1]), "sent as INT64"),
        ("datetime64[ns]", [-1], tensor("x", "BYTES", ["soon"]), "holds a string"),
    ],
)
@pytest.mark.parametrize("decoded", [decode, decode_binary])
def test_a_tensor_that_does_not_fit_its_declaration_is_refused(decoded, dtype, shape, document, message):
    with pytest.raises(RequestError, match=message) as refused:
        decoded([document], tensor_signature(dtype, shape))
    assert refused.value.status == 422
    assert refused.value.field.startswith("x")


def test_tensors_by_name_and_a_single_one_by_any():
    specs = [{"name": "a", "dtype": "float32", "shape": [-1, 2]}, {"name": "b", "dtype": "int64", "shape": [-1]}]
    signature = {"inputs": {"tensors": specs}}
    both = [tensor("b", "INT64", [7]), tensor("a", "FP32", [1, 2], [1, 2])]
    data = decode_binary(both, signature)
    assert [array.tolist() for array in data.arrays] == [[[1.0, 2.0]], [7]]
    assert data.rows == 1
    with pytest.raises(RequestError, match="input 'b' is missing"):
        decode(both[1:], signature)
    with pytest.raises(RequestError, match="no input 'c'"):
        decode([*both, tensor("c", "INT64", [1])], signature)
    with pytest.raises(RequestError, match="sent twice"):
        decode([*both, both[0]], signature)
    assert decode([tensor("z", "FP32", [1, 2], [1, 2])], {"inputs": {"tensors": specs[:1]}}).arrays[0].shape == (1, 2)
    with pytest.raises(RequestError, match="holds 2 inputs"):
        decode(both, tensor_signature("float32", [-1, 2]))


def test_a_model_without_a_signature_gets_plain_data():
    one = tensor("x", "FP64", [1.0, 2.0], [1, 2])
    assert decode([one], {"inputs": None}) == Generic("inputs", [[1.0, 2.0]])
    text = tensor("y", "BYTES", ["a"])
    assert decode_binary([one, text], {"inputs": None}) == Generic("inputs", {"x": [[1.0, 2.0]], "y": ["a"]})
    frame = decode([tensor("x", "FP64", [1.0], [1, 1]), text], {"inputs": None}, content_type="pd")
    assert frame == Generic("dataframe_split", {"columns": ["x", "y"], "data": [[1.0, "a"]]})


X = tensor("x", "INT64", [1])
WRONG = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "a wrong key": b'{"input": []}',
    "no inputs": b'{"inputs": []}',
    "null inputs": b'{"inputs": null}',
    "bad UTF-8": b'{"inputs": [{"name": "\xff", "datatype": "INT64", "shape": [1], "data": [1]}]}',
    "too deep": b'{"inputs": ' + b"[" * 100_000,
    "data too deep": json.dumps({"inputs": [{**X, "data": 0}]})
    .replace(": 0}", ": " + "[" * 9999 + "]" * 9999 + "}")
    .encode(),
    "no name": json.dumps({"inputs": [{"datatype": "INT64", "shape": [1], "data": [1]}]}).encode(),
    "a key twice": b'{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1], "data": [2]}]}',
    "inputs twice": b'{"inputs": [], "inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [1]}]}',
    "a key too many": json.dumps({"inputs": [{**X, "dtype": "INT64"}]}).encode(),
    "no data": json.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1]}]}).encode(),
    "null data": json.dumps({"inputs": [{**X, "data": None}]}).encode(),
    "no list": json.dumps({"inputs": [{**X, "data": 1}]}).encode(),
    "too few": json.dumps({"inputs": [{**X, "shape": [2]}]}).encode(),
    "too many": json.dumps({"inputs": [{**X, "data": [1, 2]}]}).encode(),
    "ragged": json.dumps({"inputs": [{**X, "shape": [2, 2], "data": [[1, 2], [3]]}]}).encode(),
    "nested otherwise": json.dumps({"inputs": [{**X, "shape": [2, 2], "data": [[1], [2], [3], [4]]}]}).encode(),
    "a negative shape": json.dumps({"inputs": [{**X, "shape": [-1]}]}).encode(),
    "two negative lengths": json.dumps({"inputs": [{**X, "shape": [-1, -1]}]}).encode(),
    "a huge shape": json.dumps({"inputs": [{**X, "shape": [2**62, 2**62]}]}).encode(),
    "a shape that overflows to 1": json.dumps({"inputs": [{**X, "shape": [2**32, 2**32]}]}).encode(),
    "a shape of many axes": json.dumps({"inputs": [{**X, "shape": [1] * 64}]}).encode(),
    "a shape of text": json.dumps({"inputs": [{**X, "shape": ["1"]}]}).encode(),
    "an unknown datatype": json.dumps({"inputs": [{**X, "datatype": "INT65"}]}).encode(),
    "BF16": json.dumps({"inputs": [{**X, "datatype": "BF16"}]}).encode(),
    "text in a number": json.dumps({"inputs": [{**X, "data": ["1"]}]}).encode(),
    "a boolean in a number": json.dumps({"inputs": [{**X, "data": [True]}]}).encode(),
    "an object in a number": json.dumps({"inputs": [{**X, "data": [{}]}]}).encode(),
    "null in a number": json.dumps({"inputs": [{**X, "data": [None]}]}).encode(),
    "a number out of range": json.dumps({"inputs": [tensor("x", "INT8", [128])]}).encode(),
    "1e400": b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1e400]}]}',
    "a lone surrogate": b'{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["\\ud800"]}]}',
    "shared memory": json.dumps({"inputs": [{**X, "parameters": {"shared_memory_region": "r"}}]}).encode(),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_document_is_said_in_4xx(case):
    with pytest.raises(RequestError) as refused:
        decode(None, [{"name": "x", "type": "long"}], body=WRONG[case])
    error = refused.value
    assert error.status in (400, 422)
    assert error.expected
    assert error.field or error.status == 400


def test_the_same_keys_are_counted_in_texts_too():
    document = {"inputs": [tensor("x:y", "BYTES", ["a:b", 'c"d:\\e'])], "id": "i:d", "parameters": {"p:q": "r:s"}}
    request, [found] = read_request(json.dumps(document).encode(), None)
    assert (request.id, request.parameters, found.values) == ("i:d", {"p:q": "r:s"}, ["a:b", 'c"d:\\e'])


def test_a_nan_in_json_is_a_null():
    body = b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.5, NaN]}]}'
    data = decode(None, [{"name": "x", "type": "double", "nullable": True}], body=body)
    assert column(data) == [1.5, None]


GOOD, HEADERS = binary(tensor("x", "INT64", [1, 2]))
LENGTH = HEADERS["inference-header-content-length"].encode()
TEXT, RAW = GOOD[: int(LENGTH)], GOOD[int(LENGTH) :]


def sized(size, datatype="INT64", shape=(2,), raw=RAW):
    parameters = {"binary_data_size": size}
    entry = {"name": "x", "datatype": datatype, "shape": list(shape), "parameters": parameters}
    text = json.dumps({"inputs": [entry]}).encode()
    return text + raw, str(len(text)).encode()


@pytest.mark.parametrize(
    ("body", "length"),
    [
        pytest.param(GOOD[:-1], LENGTH, id="truncated"),
        pytest.param(GOOD + b"\0", LENGTH, id="bytes too many"),
        pytest.param(TEXT, LENGTH, id="no bytes"),
        pytest.param(GOOD, None, id="no length"),
        pytest.param(GOOD, b"", id="an empty length"),
        pytest.param(GOOD, b"-1", id="a negative length"),
        pytest.param(GOOD, b"9" * 30, id="a huge length"),
        pytest.param(GOOD, b"1e2", id="a length in another spelling"),
        pytest.param(GOOD, str(len(GOOD) + 1).encode(), id="a length past the end"),
        pytest.param(GOOD, b"3", id="a length within the JSON"),
        pytest.param(*sized(-16), id="a negative size"),
        pytest.param(*sized(True), id="a size that is a boolean"),
        pytest.param(*sized("16"), id="a size that is text"),
        pytest.param(*sized(2**70), id="a huge size"),
        pytest.param(*sized(16, shape=[3]), id="a shape of more"),
        pytest.param(*sized(16, shape=[2**62, 2**62]), id="a huge shape"),
        pytest.param(*sized(16, shape=[-2, -1]), id="a negative shape"),
        pytest.param(*sized(16, datatype="INT32"), id="another datatype"),
        pytest.param(*sized(2, datatype="BOOL", raw=b"\x01\x02"), id="a boolean of 2"),
        pytest.param(*sized(8, datatype="BYTES", raw=b"\x04\0\0\0aaaa"), id="too few elements of BYTES"),
        pytest.param(*sized(10, datatype="BYTES", raw=b"\xff\xff\xff\xff\x01\0\0\0aa"), id="an element that lies"),
        pytest.param(*sized(9, datatype="BYTES", raw=b"\0\0\0\0\0\0\0\0a"), id="bytes behind the last element"),
        pytest.param(*sized(6, datatype="BYTES", raw=b"\0\0\0\0\0\0"), id="a length cut short"),
        pytest.param(*sized(8, datatype="BYTES", raw=b"\0" * 8, shape=[2**62]), id="a huge shape of BYTES"),
    ],
)
def test_binary_data_that_can_not_be_right_is_refused(body, length):
    with pytest.raises(RequestError) as refused:
        read_request(body, length)
    assert refused.value.status in (400, 422)
    assert refused.value.field
    assert refused.value.expected


def test_lengths_below_0_are_refused_even_where_their_product_fits():
    with pytest.raises(RequestError, match="a shape that no tensor has") as refused:
        read_request(json.dumps({"inputs": [{**X, "shape": [-1, -1]}]}).encode(), None)
    assert refused.value.field == "inputs.x.shape"


def test_data_and_binary_data_at_once_are_refused():
    body, length = sized(16)
    text = body[: int(length)].replace(b'"shape"', b'"data": [1, 2], "shape"')
    with pytest.raises(RequestError, match="both"):
        read_request(text + RAW, str(len(text)).encode())


MODELS = [COLUMNS, tensor_signature("float64", [-1, 2]), tensor_signature("str", [-1]), {"inputs": None}]


def attempt(body, length):
    for model in MODELS:
        status = 400
        try:
            decode(None, model, body=body, header=length)
        except RequestError as error:
            status = error.status
        assert status in (400, 422)


@given(st.binary(max_size=200), st.none() | st.binary(max_size=3) | st.integers(0, 200).map(lambda n: str(n).encode()))
def test_no_bytes_at_all_raise_anything_but_a_refusal(body, length):
    attempt(body, length)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["distance", "hour", "carrier", "x", ""]) | JSON_VALUES,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON_VALUES,
        "datatype": st.sampled_from([*KINDS, "BYTES", "BF16"]) | JSON_VALUES,
    },
    optional={
        "data": st.lists(st.integers(0, 3) | st.text(max_size=2), max_size=4) | JSON_VALUES,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 20) | JSON_VALUES, "content_type": st.sampled_from(
                ["np", "pd", "str", "base64", "pd_json", 1])}
        ) | JSON_VALUES,
    },
)  # fmt: skip


@given(st.lists(ENTRIES, max_size=4), st.binary(max_size=40), st.booleans())
def test_no_document_at_all_raises_anything_but_a_refusal(entries, raw, is_binary):
    text = json.dumps({"inputs": entries}).encode()
    attempt(text + raw if is_binary else text, str(len(text)).encode() if is_binary else None)


@given(st.sampled_from(sorted(DTYPES)), st.binary(max_size=64), st.integers(0, 20))
def test_binary_data_is_read_whole_or_refused(datatype, raw, count):
    try:
        found = read_binary("x", datatype, raw, count=count)
    except RequestError as error:
        refused, found = error, None
    if found is None:
        assert refused.field == "inputs.x"
    else:
        assert len(found) == count
        assert write_binary(found) == raw
