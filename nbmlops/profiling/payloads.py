"""The user's rows as scoring requests of one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import InvalidInput
from nbmlops.core.references import nearest

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 1000


def payloads(rows: Any, signature: Mapping[str, Any]) -> list[bytes]:
    """Return at most 1,000 requests, drawn evenly over `rows`, as JSON for ``/invocations``.

    Parameters
    ----------
    rows : pandas.DataFrame, Series or array, shape (n_rows, n_features)
        More columns than the model takes are left out.
    signature : mapping
        The bundle's signature.

    Raises
    ------
    InvalidInput
        No rows, or a column that the model takes is missing.
    """
    import pandas as pd

    from nbmlops.deployment.encoding import requests_of

    given = rows.to_frame() if isinstance(rows, pd.Series) else rows
    if len(given) == 0:
        raise InvalidInput("there are no rows to send", expected="at least one row, as the model takes it")
    inputs = signature.get("inputs")
    if isinstance(inputs, list) and isinstance(given, pd.DataFrame):
        given = _wanted(given, [column["name"] for column in inputs])
    given = given[:: -(-len(given) // MOST_ROWS)]
    return [next(requests_of(given[place : place + 1])) for place in range(len(given))]


def _wanted(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    missing = [name for name in names if name not in frame]
    if missing and len(names) == len(frame.columns) == 1:
        return frame.set_axis(names, axis=1)  # a Series of another name
    if missing:
        raise InvalidInput(
            f"the rows lack the column {missing[0]!r}",
            expected=f"the columns {', '.join(names)}",
            hint=nearest(missing[0], list(frame.columns)),
        )
    return frame[names]
