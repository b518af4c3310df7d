"""The user's rows as scoring requests of one row each."""

from __future__ import annotations

import json
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

    frame = pd.DataFrame(rows)
    if frame.empty:
        raise InvalidInput("there are no rows to send", expected="at least one row, as the model takes it")
    frame = frame.iloc[:: -(-len(frame) // MOST_ROWS)]
    inputs = signature.get("inputs")
    if isinstance(inputs, Mapping):
        shape = inputs["tensor"]["shape"][1:]
        return [_encode({"instances": [row.reshape(shape).tolist()]}) for row in frame.to_numpy()]
    if isinstance(inputs, list):
        frame = _wanted(frame, [column["name"] for column in inputs])
    split = json.loads(frame.to_json(orient="split", date_format="iso", double_precision=15))
    return [_encode({"dataframe_split": {"columns": split["columns"], "data": [row]}}) for row in split["data"]]


def _wanted(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    missing = [name for name in names if name not in frame]
    if missing and len(names) == len(frame.columns) == 1:
        return frame.set_axis(names, axis=1)  # a nameless Series of texts
    if missing:
        raise InvalidInput(
            f"the rows lack the column {missing[0]!r}",
            expected=f"the columns {', '.join(names)}",
            hint=nearest(missing[0], list(frame.columns)),
        )
    return frame[names]


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
