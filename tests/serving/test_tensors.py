from __future__ import annotations

import json

import numpy as np
import pytest

from nbmlops.serving.documents import CSV, JSON
from nbmlops.serving.errors import RequestError, ServingError
from nbmlops.serving.signature import TensorSpec
from nbmlops.serving.tensors import TensorDecoder

PLAIN = TensorSpec("float64", [-1, 2])


def decode(document, spec=PLAIN, kind=JSON):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return TensorDecoder(spec).decode(body, kind).data.array


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": [[1, 2], [3, 4.5]]},
        {"instances": [[1, 2], [3, 4.5]]},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4.5]]}},
        {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4.5}]},
        {"inputs": [[1, 2], [3, 4.5]], "params": {}},
    ],
)
def test_every_format_gives_the_same_array(document):
    array = decode(document)
    assert array.dtype == np.float64
    assert array.tolist() == [[1.0, 2.0], [3.0, 4.5]]


def test_csv_gives_two_axes():
    assert decode(b"a,b\n1,2\n3,4.5\n", kind=CSV).tolist() == [[1.0, 2.0], [3.0, 4.5]]
    with pytest.raises(RequestError, match="can't be read"):
        decode(b"a,b\n1,x\n", kind=CSV)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("int8", [-128, 127]), ("uint8", [0, 255]), ("int64", [-(2**63), 2**63 - 1]), ("uint64", [2**63, 2**64 - 1]),
     ("float32", [1.5, 2]), ("bool", [True, False]), ("str", ["a", ""]), ("object", ["a", "b"])],
)  # fmt: skip
def test_every_dtype_is_kept(dtype, values):
    array = decode({"inputs": values}, TensorSpec(dtype, [-1]))
    assert array.tolist() == values
    assert array.dtype == (object if dtype in ("str", "object") else np.dtype(dtype))


def test_more_axes_are_kept():
    spec = TensorSpec("float64", [-1, 2, 2])
    assert decode({"inputs": [[[1, 2], [3, 4]]]}, spec).shape == (1, 2, 2)


def test_nulls_are_taken_where_the_signature_says_so():
    assert np.isnan(decode({"inputs": [[None, 1]]}, TensorSpec("float64", [-1, 2], nullable=True))[0, 0])
    assert np.isnan(decode(b'{"inputs": [[NaN, 1]]}', TensorSpec("float64", [-1, 2], nullable=True))[0, 0])
    assert np.isnan(decode(b"a,b\n,1\n", TensorSpec("float64", [-1, 2], nullable=True), CSV)[0, 0])


@pytest.mark.parametrize(
    ("document", "spec", "words"),
    [
        ({"inputs": [[1, 2], [3]]}, PLAIN, "different lengths"),
        ({"inputs": [[1, 2, 3]]}, PLAIN, "shape"),
        ({"inputs": [1, 2]}, PLAIN, "where a list belongs"),
        ({"inputs": []}, PLAIN, "no values"),
        ({"inputs": [[]]}, PLAIN, "no values"),
        ({"inputs": {"a": [1]}}, PLAIN, "where a list belongs"),
        ({"inputs": [[1, "2"]]}, PLAIN, "a string"),
        ({"inputs": [[1, None]]}, PLAIN, "null"),
        (b'{"inputs": [[1, NaN]]}', PLAIN, "NaN"),
        (b'{"inputs": [[1, 1e400]]}', PLAIN, "not finite"),
        ({"inputs": [[1, True]]}, PLAIN, "a boolean"),
        ({"inputs": [[1, 10**400]]}, PLAIN, "a number"),
        ({"inputs": [[[1], [2]]]}, PLAIN, "a list"),
        ({"dataframe_split": {}}, PLAIN, "null"),
        ({"inputs": [128]}, TensorSpec("int8", [-1]), "a number"),
        ({"inputs": [1.5]}, TensorSpec("int64", [-1]), "a number"),
        ({"inputs": [1e39]}, TensorSpec("float32", [-1]), "a number"),
        ({"inputs": [1]}, TensorSpec("bool", [-1]), "a number"),
        ({"inputs": [1]}, TensorSpec("str", [-1]), "a number"),
        (b'{"inputs": ["\\ud800"]}', TensorSpec("str", [-1]), "a string"),
    ],
)
def test_what_does_not_fit_is_named(document, spec, words):
    with pytest.raises(RequestError, match=words) as caught:
        decode(document, spec)
    assert caught.value.status == 422
    assert spec.dtype in caught.value.expected


def test_a_dtype_that_json_can_not_carry_is_refused():
    with pytest.raises(ServingError, match="complex64"):
        TensorDecoder(TensorSpec("complex64", [-1]))
