"""Data in any of its forms as labelled columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from nbmlops.capture.data import MOST_COLUMNS
from nbmlops.core.errors import InvalidInput


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes
    ----------
    labels : sequence
        Names of the columns, of any type.
    columns : sequence
        Each as `nbmlops.capture.columns.content` takes it.
    rows : int
    index : tuple of (name, level)
        Levels of an index that counts; empty for the default one.
    """

    labels: Sequence[Any]
    columns: Sequence[Any]
    rows: int
    index: tuple[tuple[Any, Any], ...] = ()


def read(data: Any) -> Table:
    """Return `data` as labelled columns, without copying what need not be.

    Raises
    ------
    InvalidInput
        When `data` is no table and no array.
    """
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if isinstance(data, pd.DataFrame):
        return _frame(data)
    if isinstance(data, np.ndarray):
        return _array(data)
    if isinstance(data, (dict, list)):
        return _plain(data)
    if type(data).__module__.partition(".")[0] == "polars":
        return _polars(data)
    if isinstance(data, (pa.Table, pa.RecordBatch)) or hasattr(data, "__arrow_c_stream__"):
        return _arrow(data if isinstance(data, pa.Table) else pa.table(data))
    if hasattr(data, "tocsr"):
        return _sparse(data)
    if hasattr(data, "__array__"):
        return _array(np.asarray(data))
    raise InvalidInput(
        f"data is a {type(data).__module__}.{type(data).__qualname__}",
        expected="a pandas or Polars DataFrame, an Arrow table, a NumPy array, a dict of columns or a list of dicts",
    )


def _frame(data: pd.DataFrame) -> Table:
    columns = [data.iloc[:, place] for place in range(data.shape[1])]
    return Table(list(data.columns), columns, len(data), _levels(data.index))


def _levels(index: pd.Index) -> tuple[tuple[Any, Any], ...]:
    """Return the levels of an index that counts: one other than 0, 1, 2, … without a name."""
    if isinstance(index, pd.MultiIndex):
        return tuple((name, index.get_level_values(place)) for place, name in enumerate(index.names))
    default = index.name is None and index.dtype == np.int64 and np.array_equal(index, np.arange(len(index)))
    return () if default or not len(index) else ((index.name, index),)


def _array(data: np.ndarray[Any, Any]) -> Table:
    if data.dtype.names:
        return Table(data.dtype.names, [data[name] for name in data.dtype.names], len(data))
    if data.ndim == 0:
        raise InvalidInput("data is an array without dimensions", expected="at least one row: shape (n_samples, …)")
    rows = len(data)
    if data.ndim == 1:
        return Table([0], [data], rows)
    if data.ndim == 2 and data.shape[1] <= MOST_COLUMNS:
        return Table(range(data.shape[1]), [data[:, place] for place in range(data.shape[1])], rows)
    # A tensor is one column: its shape stands in the label, its cells are hashed in C order
    shape = ",".join(map(str, data.shape[1:]))
    return Table([f"tensor[{shape}]"], [data.reshape(-1)], rows)


def _sparse(data: Any) -> Table:
    matrix = data.tocsr(copy=True)
    matrix.sum_duplicates()
    shape = ",".join(map(str, matrix.shape))
    parts = {"data": matrix.data, "indices": matrix.indices.astype("<i8"), "indptr": matrix.indptr.astype("<i8")}
    return Table([f"sparse[{shape}].{name}" for name in parts], list(parts.values()), matrix.shape[0])


def _plain(data: dict[Any, Any] | list[Any]) -> Table:
    try:
        return _frame(pd.DataFrame(data))
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"a {type(data).__name__} could not be read as a table: {error}",
            expected="columns of equal length, or a list of dicts",
        ) from error


def _polars(data: Any) -> Table:
    if hasattr(data, "collect"):
        raise InvalidInput("data is a lazy Polars query", expected="its rows", hint="Pass data.collect().")
    return _arrow(data.to_frame().to_arrow() if hasattr(data, "to_frame") else data.to_arrow())


def _arrow(data: pa.Table) -> Table:
    return Table(data.column_names, data.columns, data.num_rows)
