"""Training data, in whatever form it comes, as the table or array that the fitted object takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import InvalidInput, InvalidObject
from nbmlops.core.references import nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Inputs:
    """Inputs of a model.

    Attributes
    ----------
    frame : DataFrame, shape (n_samples, n_columns)
        Always a table; an array's columns are named ``0``, ``1``, ….
    form : str
        ``frame``, ``array`` or ``series``: how the object itself takes them.
    shape : tuple of int
        Shape of one row of an array.
    warnings : tuple of str
    """

    frame: pd.DataFrame
    form: str = "frame"
    shape: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def native(self, frame: pd.DataFrame | None = None) -> Any:
        """Return the rows of `frame` (default: all) in the form that the object takes."""
        rows = self.frame if frame is None else frame
        return native(rows, self.form, self.shape)


def native(frame: pd.DataFrame, form: str, shape: tuple[int, ...]) -> Any:
    """Return a table's rows as table, array or series."""
    if form == "array":
        return frame.to_numpy().reshape(len(frame), *shape)
    return frame.iloc[:, 0] if form == "series" else frame


def read(data: Any, label: str = "", wanted: list[str] | None = None) -> Inputs | None:
    """Return the inputs in `data`: without the label, and only the columns that the object was fitted on.

    Parameters
    ----------
    data : DataFrame, Series, polars or Arrow table, ndarray, or None
    label : str
        Column to leave out.
    wanted : list of str, optional
        Columns that the object was fitted on, in its order.

    Raises
    ------
    InvalidInput
        Empty data, an unknown label column, a column that the object needs and `data` lacks.
    InvalidObject
        Data of a kind that is not understood.
    """
    if data is None:
        return None
    inputs = _from(data)
    if inputs.frame.empty:
        rows, columns = inputs.frame.shape
        raise InvalidInput(f"the data is empty ({rows} rows, {columns} columns)", expected="at least one row of data")
    if inputs.form != "frame":
        if label:
            raise InvalidInput(
                f"the label column {label!r} can't be found in an array", hint="Pass a DataFrame, or leave label out."
            )
        return inputs
    return _selected(inputs.frame, label, wanted)


def _selected(frame: pd.DataFrame, label: str, wanted: list[str] | None) -> Inputs:
    import pandas as pd

    known = [str(column) for column in frame.columns]
    if len(set(known)) != len(known):
        twice = sorted({column for column in known if known.count(column) > 1})
        raise InvalidInput(f"the data has more than one column named {', '.join(twice)}")
    if label and label not in known:
        raise InvalidInput(
            f"the data has no label column {label!r}",
            expected=f"one of {_listed(known)}",
            hint=nearest(label, known),
        )
    warnings: tuple[str, ...] = ()
    columns = [column for column in known if column != label]
    if wanted is not None:
        missing = [column for column in wanted if column not in columns]
        if missing:
            raise InvalidInput(
                f"the data lacks {_listed(missing)}, which the model was fitted on",
                expected=f"the columns {_listed(wanted)}",
                hint=nearest(missing[0], columns),
            )
        extra = [column for column in columns if column not in wanted]
        if extra:
            warnings = (f"the model does not use {_listed(extra)}: left out of the signature",)
        columns = wanted
    if not columns:
        raise InvalidInput("the data holds nothing but the label column", expected="at least one input column")
    if all(isinstance(column, str) for column in frame.columns):
        return Inputs(pd.DataFrame(frame[columns]), warnings=warnings)
    renamed = frame.set_axis(known, axis=1)[columns]
    if all(dtype.kind in "biuf" for dtype in renamed.dtypes):  # numbered columns: the estimator ignored their names
        return Inputs(renamed, "array", (len(columns),), warnings)
    return Inputs(renamed, warnings=warnings)


def _from(data: Any) -> Inputs:
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return Inputs(data)
    if isinstance(data, pd.Series):
        return Inputs(data.to_frame(str(data.name or "text")), "series")
    if isinstance(data, np.ndarray) and data.ndim >= 2:
        return _from_array(data)
    if hasattr(data, "to_pandas") and hasattr(data, "schema"):  # polars and Arrow
        return _from(data.to_pandas())
    if isinstance(data, (list, tuple)) and data and all(isinstance(item, str) for item in data):
        return Inputs(pd.DataFrame({"text": list(data)}), "series")
    shape = f" of shape {data.shape}" if hasattr(data, "shape") else ""
    raise InvalidObject(
        f"a {type(data).__name__}{shape} can't be read as training data",
        expected="a DataFrame, a polars or Arrow table, or an array of shape (n_samples, n_features)",
    )


def _from_array(data: np.ndarray[Any, Any]) -> Inputs:
    import pandas as pd

    shape = data.shape[1:]
    flat = data.reshape(len(data), math.prod(shape))
    return Inputs(pd.DataFrame(flat, columns=[str(i) for i in range(flat.shape[1])]), "array", tuple(shape))


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
