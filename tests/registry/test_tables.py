"""Training data in whatever form it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from nbmlops.core.errors import InvalidInput, InvalidObject
from nbmlops.registry import tables

FRAME = pd.DataFrame({"hour": [1, 2], "wind": [0.5, None], "late": [0, 1]})


@pytest.mark.parametrize("data", [FRAME, polars.from_pandas(FRAME), pyarrow.Table.from_pandas(FRAME)])
def test_the_label_is_left_out_of_every_kind_of_table(data: Any) -> None:
    inputs = tables.read(data, "late")
    assert inputs is not None
    pd.testing.assert_frame_equal(inputs.frame, FRAME[["hour", "wind"]])


def test_no_data_is_no_inputs() -> None:
    assert tables.read(None) is None


def test_only_what_the_model_was_fitted_on_in_its_order() -> None:
    inputs = tables.read(FRAME, wanted=["wind", "hour"])
    assert inputs is not None
    assert list(inputs.frame.columns) == ["wind", "hour"]
    assert "'late'" in inputs.warnings[0]


def test_an_array_keeps_its_shape() -> None:
    images = np.arange(24.0).reshape(2, 3, 4)
    inputs = tables.read(images)
    assert inputs is not None
    assert inputs.frame.shape == (2, 12)
    np.testing.assert_array_equal(inputs.native(), images)


def test_numbered_columns_are_an_array() -> None:
    inputs = tables.read(pd.DataFrame(np.ones((3, 2))))
    assert inputs is not None
    assert isinstance(inputs.native(), np.ndarray)


def test_texts_are_a_series() -> None:
    inputs = tables.read(["late", "early"])
    assert inputs is not None
    assert inputs.native().tolist() == ["late", "early"]


@pytest.mark.parametrize(
    ("data", "label", "message"),
    [
        (FRAME.head(0), "", r"empty \(0 rows, 3 columns\)"),
        (np.empty((0, 3)), "", "empty"),
        (FRAME, "lat", "no label column 'lat'.*Did you mean late"),
        (FRAME[["late"]], "late", "nothing but the label"),
        (np.ones((2, 2)), "late", "can't be found in an array"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "", "more than one column named a"),
    ],
)
def test_data_that_cannot_be_taken(data: Any, label: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        tables.read(data, label)


def test_a_column_that_the_model_needs_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"lacks 'rain'.*'hour', 'rain'"):
        tables.read(FRAME, wanted=["hour", "rain"])


@pytest.mark.parametrize("data", [{"a": 1}, 7, np.arange(3), object()])
def test_data_of_no_known_kind(data: Any) -> None:
    with pytest.raises(InvalidObject, match="can't be read as training data"):
        tables.read(data)
