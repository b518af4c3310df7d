"""Which columns take only the values that a fitted estimator knows: it refuses any other, and so does its endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.core.records import plain
from nbmlops.registry import kinds
from nbmlops.registry.nulls import ASKED, answers
from nbmlops.registry.tables import Inputs

if TYPE_CHECKING:
    import pandas as pd

NEVER_SEEN = "a category never seen"
MOST = 10_000  # values of one column that a signature lists
CALLS = 50  # columns that are asked about one by one; registering stays quick
PARTS = 1_000  # parts of an estimator that are looked into


def known(obj: Any, inputs: Inputs, drawn: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns in which `obj` refuses a value that it never saw, each with the values that it takes.

    The fitted object itself is asked, for a row with a new value in each column of text or whole numbers that an
    encoder inside it may list. Where it refuses, it takes the values of the data, or all of that encoder's.

    Parameters
    ----------
    obj : object
        Only an estimator that holds an encoder's categories is asked.
    inputs : Inputs
    drawn : pandas.DataFrame, shape (n_rows, n_columns)
        Rows that it answers.

    Returns
    -------
    dict of str to list
        Sorted, without nulls.
    """
    if kinds.kind_of(obj) not in ASKED or drawn.empty or inputs.form != "frame":
        return {}
    listed = [set(values) for part in parts(obj) for values in _categories(part)]
    if not listed:
        return {}
    row = drawn.iloc[[int(drawn.notna().all(axis=1).to_numpy().argmax())]].reset_index(drop=True)
    seen = {name: _values(inputs.frame[name]) for name in drawn.columns if _discrete(drawn[name])}
    suspects = {name: values for name, values in seen.items() if any(values & one for one in listed)}
    new = {name: [_never_seen(inputs.frame[name])] for name in suspects}
    if not suspects or _takes(obj, inputs, row, values=new):
        return {}
    found = {}
    for name, values in list(suspects.items())[:CALLS]:
        if _takes(obj, inputs, row, values={name: new[name]}):
            continue
        wider = [one for one in listed if values < one and _takes(obj, inputs, row, values={name: sorted(one)})]
        taken = max(wider, key=len, default=values)
        if len(taken) <= MOST:
            found[str(name)] = sorted(taken)
    return found


def parts(obj: Any) -> Iterator[Any]:
    """Yield an estimator and those inside it, fitted or not, as deep as scikit-learn keeps them."""
    waiting: list[Any] = [obj]
    met: set[int] = set()
    while waiting and len(met) < PARTS:
        part = waiting.pop()
        if id(part) in met:
            continue
        met.add(id(part))
        if isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, Mapping):
            waiting += part.values()
        elif hasattr(part, "get_params") and hasattr(part, "__dict__"):
            yield part
            waiting += vars(part).values()


def _categories(part: Any) -> list[list[Any]]:
    """Return the lists of categories of a fitted encoder, one a column, without nulls."""
    import pandas as pd

    categories = getattr(part, "categories_", None)
    if not isinstance(categories, list):
        return []
    found = [[value for value in plain(values.tolist()) if not pd.isna(value)] for values in categories]
    return [values for values in found if len(set(map(type, values))) == 1]


def _values(column: pd.Series[Any]) -> set[Any]:
    return set(plain(column.dropna().unique().tolist()))


def _discrete(column: pd.Series[Any]) -> bool:
    """Whether a column holds texts or whole numbers; pandas' categories have their own list."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    return column.dtype.kind in "iu" or pd.api.types.infer_dtype(column, skipna=True) == "string"


def _never_seen(column: pd.Series[Any]) -> Any:
    if column.dtype.kind not in "iu":
        return NEVER_SEEN
    lowest, highest = int(column.min()), int(column.max())
    return lowest - 1 if lowest > 0 else highest + 1


def _takes(obj: Any, inputs: Inputs, row: pd.DataFrame, *, values: Mapping[Any, list[Any]]) -> bool:
    """Whether `obj` answers `row` with each of the values in the columns that they are given for."""
    import pandas as pd

    count = max(map(len, values.values()))
    rows = row.iloc[[0] * count].reset_index(drop=True)
    try:
        changed = {name: pd.Series(given, dtype=row[name].dtype) for name, given in values.items()}
    except (OverflowError, TypeError, ValueError):  # a value that the column's dtype can't hold
        return True
    return answers(obj, inputs.native(rows.assign(**changed)))
