"""pandas DataFrames with the columns and dtypes that a model was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..inputs import Generic, Table
from ..signature import Column

# From version 3 on, pandas gives text a dtype of its own; a column of nulls alone would not be taken for text.
_TEXT = None if pd.Series(["a"]).dtype == object else pd.Series(["a"]).dtype


def data_frame(table: Table, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the table as a DataFrame, made once and in one go.

    Parameters
    ----------
    table : Table
        One array for each of `columns`, in their order.
    columns : sequence of Column
        The signature; a column's `dtype` is applied where it is more than its type says.
    """
    dtypes = {array.dtype for array in table.columns}
    if len(dtypes) == 1 and object not in dtypes and not any(column.dtype for column in columns):
        return pd.DataFrame(np.column_stack(table.columns), columns=list(table.names), copy=False)
    values = (_filled(array, column) for array, column in zip(table.columns, columns, strict=True))
    frame = pd.DataFrame(dict(zip(table.names, values, strict=True)), copy=False)
    for column in columns:
        if column.dtype == "category":
            frame[column.name] = pd.Categorical(frame[column.name], categories=column.categories)
        elif column.dtype and str(frame[column.name].dtype) != column.dtype:
            frame[column.name] = frame[column.name].astype(column.dtype)
    return frame


def _filled(array: Any, column: Column) -> Any:
    """Return an object column with NaN for its nulls, which is what pandas reads from files."""
    if array.dtype != object or None not in array:
        return array
    values = [np.nan if value is None else value for value in array]
    if column.type == "string" and _TEXT is not None:
        return pd.array(values, dtype=_TEXT)
    return np.array(values, dtype=object)


def generic_frame(generic: Generic) -> Any:
    """Return what MLflow's scoring server makes of data for a model without a signature."""
    data = generic.data
    if generic.format == "dataframe_split":
        return pd.DataFrame(data["data"], columns=data.get("columns"), index=data.get("index"))
    if generic.format == "csv":
        frame = pd.DataFrame(data["data"], columns=data["columns"])
        return frame.apply(_numbers)
    if generic.format == "dataframe_records":
        return pd.DataFrame(data)
    if isinstance(data, dict):
        return {name: _array(values) for name, values in data.items()}
    if not any(isinstance(row, dict) for row in data):
        return _array(data)
    alike = all(isinstance(row, dict) and row.keys() == data[0].keys() for row in data)
    if generic.format == "instances" and alike:
        return {name: _array([row[name] for row in data]) for name in data[0]}
    return data


def _array(values: Any) -> Any:
    """Return values as an array; lists of different lengths are none, and the model gets them as they came."""
    try:
        return np.array(values)
    except ValueError:
        return values


def _numbers(column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column)
    except ValueError:
        return column
