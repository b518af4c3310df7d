"""pandas DataFrames with the columns and dtypes that a model was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from ..inputs import Generic, Table
from ..signature import Column

INSERTED = 16  # columns beside the largest block up to which inserting them is quicker than making all anew
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
    frame = _assembled(table, columns)
    for column in columns:
        if column.dtype == "category":
            frame[column.name] = pd.Categorical(frame[column.name], categories=column.categories)
        elif column.dtype and str(frame[column.name].dtype) != column.dtype:
            frame[column.name] = frame[column.name].astype(column.dtype)
    return frame


def _assembled(table: Table, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the table with its largest block of numbers as one block, which makes a frame quicker to build and use."""
    numeric = [block for block in table.blocks if block.array.dtype != object]
    largest = max(numeric, key=lambda block: len(block.indices), default=None)
    if largest is None or len(table.names) - len(largest.indices) > INSERTED:
        values = (_filled(array, column) for array, column in zip(table.columns, columns, strict=True))
        return pd.DataFrame(dict(zip(table.names, values, strict=True)), copy=False)
    # Numbers for names until all are there: pandas looks through names of text at every step.
    places = sorted(largest.indices)
    order = [largest.indices.index(place) for place in places]
    frame = pd.DataFrame(largest.array[order].T, columns=pd.Index(places), copy=False)
    for index in sorted(set(range(len(table.names))) - set(places)):
        frame.insert(index, index, _filled(table.columns[index], columns[index]))
    frame.columns = _index(table.names)
    return frame


@lru_cache(maxsize=16)
def _index(names: tuple[str, ...]) -> pd.Index:
    return pd.Index(names)


def _filled(array: Any, column: Column) -> Any:
    """Return a column with NaN for the nulls among its objects, which is what pandas reads from files."""
    if array.dtype != object:
        return array
    if None in array:
        array = np.array([np.nan if value is None else value for value in array], dtype=object)
    return pd.array(array, dtype=_TEXT) if column.type == "string" and _TEXT is not None else array


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
