"""Rows as the JSON of MLflow's scoring protocol, and answers as arrays again; no value changes on the way."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nbmlops.core.errors import InvalidInput, InvalidObject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Output = Literal["label", "probabilities", "both"]
ROWS_PER_REQUEST = 1000
CELLS_PER_REQUEST = 500_000  # so that wide rows stay well below the limit on a body


def requests_of(
    data: Any, names: Sequence[str] | None = None, output: Output | None = None, *, rows: int = ROWS_PER_REQUEST
) -> Iterator[bytes]:
    """Yield the bodies that carry `data`, by default a thousand rows each.

    Parameters
    ----------
    data : DataFrame, array, list of dicts, list of rows or dict of columns
        Of shape (n_rows, n_columns); an array may have more axes.
    names : sequence of str, optional
        The columns of the model's signature, for data that has none.
    output : str, optional
        ``label``, ``probabilities`` or ``both``; by default what the model's ``predict`` gives.
    rows : int
        The most that one body may carry; fewer where rows are wide.

    Raises
    ------
    InvalidInput
        There is no row, or a value that JSON can't carry; the message names its column.
    InvalidObject
        The data is of another kind.
    """
    params = {} if output is None else {"params": {"output": output}}
    for document in _documents(data, names, rows):
        yield msgspec.json.encode(document | params)


def _documents(data: Any, names: Sequence[str] | None, most: int) -> Iterator[dict[str, Any]]:
    import pandas as pd

    if isinstance(data, (list, tuple)) and data and all(isinstance(row, Mapping) for row in data):
        data = pd.DataFrame(list(data))
    elif isinstance(data, Mapping):
        data = pd.DataFrame({name: column if _is_list(column) else [column] for name, column in data.items()})
    elif hasattr(data, "to_pandas"):  # polars and Arrow
        data = data.to_pandas()
    if isinstance(data, pd.Series):
        alone = names is not None and len(names) == 1 and data.name is None
        data = data.to_frame(names[0] if alone and names else data.name)
    if not isinstance(data, pd.DataFrame):
        data = _array(data)
        if names is not None and data.ndim == 2 and data.shape[1] == len(names):
            data = pd.DataFrame(data, columns=list(names))
    if not len(data):
        raise InvalidInput("there is no row to score", expected="at least one row")
    width = data.shape[1] if data.ndim > 1 else 1
    cells = CELLS_PER_REQUEST * max(1, most // ROWS_PER_REQUEST)
    step = max(1, min(most, cells // max(1, width)))
    for start in range(0, len(data), step):
        rows = data[start : start + step]
        yield {"dataframe_split": _split(rows)} if isinstance(data, pd.DataFrame) else {"inputs": _nested(rows)}


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def _array(data: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        array = np.asarray(data)
    except ValueError as error:
        raise InvalidInput("the rows have different lengths", expected="rows of one length") from error
    if array.ndim == 0:
        raise InvalidObject(
            f"a {type(data).__name__} holds no rows",
            expected="a DataFrame, an array, a list of dicts, or a dict of columns",
        )
    return array


def _nested(rows: np.ndarray[Any, Any]) -> Any:
    import numpy as np

    if rows.dtype.kind == "f":
        if np.isinf(rows).any():
            raise _infinite("the array")
        return rows.tolist()  # msgspec writes NaN as null
    if rows.dtype.kind in "biuU":
        return rows.tolist()
    if rows.dtype.kind != "O":
        raise InvalidInput(f"an array of {rows.dtype} can't be sent as JSON", expected="numbers, booleans or text")
    flat = [_cell(value, "the array") for value in rows.ravel().tolist()]
    return np.array([*flat, None], dtype=object)[:-1].reshape(rows.shape).tolist()


def _split(frame: pd.DataFrame) -> dict[str, Any]:
    names = [str(name) for name in frame.columns]
    columns = [_column(frame.iloc[:, place], name) for place, name in enumerate(names)]
    return {"columns": names, "data": list(zip(*columns, strict=True))}


def _column(series: pd.Series, name: str) -> list[Any]:
    import numpy as np
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)  # the protocol knows moments without a zone
        dtype = series.dtype
    if isinstance(dtype, np.dtype):
        values = series.to_numpy()
        if dtype.kind == "f" and np.isinf(values).any():
            raise _infinite(f"column {name!r}")
        if dtype.kind in "biuf":
            plain: list[Any] = values.tolist()  # msgspec writes NaN as null
            return plain
        if dtype.kind == "M":
            return [None if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]
    return [_cell(value, f"column {name!r}") for value in series.astype(object).tolist()]


def _cell(value: Any, where: str) -> Any:
    """Return the JSON form of one value of an object column."""
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return _cell(value.item(), where)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
        return moment.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise _infinite(where)
    if isinstance(value, (bool, int, float, str)):
        return value
    raise InvalidInput(
        f"{where} holds a {type(value).__name__}, which JSON can't carry",
        expected="numbers, booleans, text, bytes or moments",
    )


def _infinite(where: str) -> InvalidInput:
    return InvalidInput(
        f"{where} holds an infinite number, which JSON can't carry",
        expected="finite numbers, or null where the model takes it",
    )


def answer_of(parts: Sequence[Mapping[str, Any]], output: Output | None = None) -> Any:
    """Return the answers to one or several requests as the model's ``predict`` would give them.

    Returns
    -------
    ndarray or DataFrame
        Labels or values of shape (n_rows,) or (n_rows, n_outputs); probabilities of shape (n_rows, n_classes); for
        ``both`` a DataFrame with ``label`` and a column for each class. Anything else comes back as it was sent.
    """
    import pandas as pd

    predictions = [part["predictions"] for part in parts]
    if len(predictions) == 1 and not isinstance(predictions[0], list):
        named = predictions[0]
        return {name: _to_array(column) for name, column in named.items()} if isinstance(named, dict) else named
    rows = [row for part in predictions for row in part]
    if output == "both" and rows and isinstance(rows[0], Mapping) and "probabilities" in rows[0]:
        probabilities = [row["probabilities"] for row in rows]
        classes = parts[0].get("classes") or range(len(probabilities[0]))
        frame = pd.DataFrame(probabilities, columns=[str(one) for one in classes])
        frame.insert(0, "label", _to_array([row["label"] for row in rows]), allow_duplicates=True)
        return frame
    if rows and all(isinstance(row, Mapping) for row in rows):
        return pd.DataFrame(rows)
    return _to_array(rows)


def _to_array(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return numbers and booleans in their own dtype, and anything with text in it as objects."""
    import numpy as np

    if any(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    if any(value is None for value in values) and all(isinstance(value, (float, int, type(None))) for value in values):
        return np.array(values, dtype=np.float64)  # JSON has no NaN: null stands for it
    return np.array(values)
