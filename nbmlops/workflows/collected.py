"""See what an endpoint was sent and what it answered."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nbmlops.core.errors import InvalidInput
from nbmlops.workflows.parameters import EndpointName, Names, Parameter, moment
from nbmlops.workflows.session import current

if TYPE_CHECKING:
    import pandas as pd


def _moment(word: str, names: Names) -> datetime:
    return moment(word)


Since = Annotated[
    str | datetime,
    Parameter("From this moment on: 2026-11-23T10:00, 10:00 (today), '10 min ago'.", "TIME", read=_moment),
]
Until = Annotated[str | datetime, Parameter("Before this moment, written alike.", "TIME", read=_moment)]
Version = Annotated[str, Parameter("Only what this version answered.", "VERSION")]
WithShadows = Annotated[bool, Parameter("Also what shadows answered, which no caller saw.")]
Out = Annotated[
    str | Path,
    Parameter(
        "Also write the rows to this .csv or .parquet file.",
        "PATH",
        completes="path",
        read=lambda word, names: Path(word).expanduser(),
    ),
]


def collected(
    endpoint: EndpointName,
    *,
    since: Since | None = None,
    until: Until | None = None,
    version: Version | None = None,
    shadows: WithShadows = False,
    out: Out | None = None,
) -> pd.DataFrame:
    """Return the rows that an endpoint was sent, with its answers.

    Parameters
    ----------
    endpoint : str
        Its data stays when the endpoint is taken down.
    since : datetime.datetime or str, optional
    until : datetime.datetime or str, optional
        From the first up to, and without, the second.
    version : str, optional
    shadows : bool, default False
        Also the answers of shadows, which no caller saw.
    out : str or pathlib.Path, optional
        A ``.csv`` or ``.parquet`` file to write the rows to as well.

    Returns
    -------
    DataFrame
        One row for each row that was scored: ``prediction_id``, ``time``, ``version``, ``arm``, ``latency_ms``,
        ``status``, the input columns, ``prediction`` and what else was answered.
    """
    from nbmlops.deployment import endpoint as found
    from nbmlops.monitoring import CollectedData

    path = None if out is None else Path(out)
    if path is not None and path.suffix not in (".csv", ".parquet"):
        raise InvalidInput(f"rows can't be written as {path.name!r}", expected="a .csv or .parquet file")
    session = current()
    data = CollectedData.of(session.workspace, endpoint)
    if not data.exists:
        found(session.workspace, session.journal, endpoint)  # or it says which there are
    frame = data.frame(
        since=None if since is None else moment(since),
        until=None if until is None else moment(until),
        version=version,
        shadows=shadows,
    )
    if path is not None:
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return frame
