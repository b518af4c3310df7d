from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from nbmlops.core.errors import InvalidInput
from nbmlops.profiling.payloads import payloads

SIGNATURE = {"inputs": [{"name": "wind", "type": "double"}, {"name": "carrier", "type": "string"}]}


def test_each_row_is_a_request_in_the_order_of_the_signature():
    frame = pd.DataFrame({"carrier": ["A", None], "late": [True, False], "wind": [1.5, np.nan]})
    assert [json.loads(body) for body in payloads(frame, SIGNATURE)] == [
        {"dataframe_split": {"columns": ["wind", "carrier"], "data": [[1.5, "A"]]}},
        {"dataframe_split": {"columns": ["wind", "carrier"], "data": [[None, None]]}},
    ]


def test_many_rows_are_drawn_evenly():
    frame = pd.DataFrame({"wind": np.arange(5000.0), "carrier": "A"})
    sent = [json.loads(body)["dataframe_split"]["data"][0][0] for body in payloads(frame, SIGNATURE)]
    assert len(sent) == 1000
    assert sent[:2] == [0.0, 5.0]


def test_an_array_is_sent_as_a_tensor():
    [body] = payloads(np.array([[1.0, 2.0]]), {"inputs": {"tensor": {"dtype": "float64", "shape": [-1, 2]}}})
    assert json.loads(body) == {"inputs": [[1.0, 2.0]]}


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(InvalidInput, match=r"'wind'.*Did you mean winds"):
        payloads(pd.DataFrame({"winds": [1.0], "carrier": ["A"]}), SIGNATURE)


def test_there_must_be_a_row():
    with pytest.raises(InvalidInput, match="no rows"):
        payloads(pd.DataFrame({"wind": [], "carrier": []}), SIGNATURE)
