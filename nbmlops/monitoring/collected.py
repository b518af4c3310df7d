"""Read what an endpoint was sent and what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from nbmlops.core.errors import InvalidInput
from nbmlops.core.references import nearest
from nbmlops.core.workspace import Workspace
from nbmlops.monitoring.answers import is_answer
from nbmlops.monitoring.bundles import Decoders
from nbmlops.monitoring.frames import FACTS, frames_of, joined
from nbmlops.monitoring.store import HOUR_NS, Partition, Store
from nbmlops.serving.segments import Record

EARLIEST, LATEST = -(2**63), 2**63 - 1  # nanoseconds


@dataclass(frozen=True)
class Selection:
    """Which rows are wanted.

    Attributes
    ----------
    since, until : int, nanoseconds
        From the first up to, and without, the second.
    version : str, optional
    shadows : bool
        Whether answers that no caller saw are wanted too.
    """

    since: int
    until: int
    version: str | None
    shadows: bool

    def takes(self, record: Record) -> bool:
        """Whether a record is wanted."""
        return (
            self.since <= record.time_ns < self.until
            and self.version in (None, record.version)
            and (self.shadows or not record.shadow)
        )

    def touches(self, partition: Partition) -> bool:
        """Whether a partition may hold wanted rows."""
        start = partition.hour * HOUR_NS
        return self.version in (None, partition.version) and start < self.until and start + HOUR_NS > self.since

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the wanted rows of a frame."""
        time = frame["time"].to_numpy("datetime64[ns]").astype(np.int64)
        wanted = (time >= self.since) & (time < self.until)
        return frame[wanted if self.shadows else wanted & ~frame["shadow"].to_numpy(bool)]


class CollectedData:
    """The collected data of one endpoint.

    Parameters
    ----------
    folder : pathlib.Path
        The endpoint's folder of collected data.
    bundles : pathlib.Path
        The folder of the workspace's bundles, which hold the signatures.
    """

    def __init__(self, folder: Path, bundles: Path) -> None:
        self._store = Store(folder)
        self._decoders = Decoders(bundles)

    @classmethod
    def of(cls, workspace: Workspace, endpoint: str) -> CollectedData:
        """Return what was collected at an endpoint, which may be gone, or have got no request yet."""
        return cls(workspace.collected / endpoint, workspace.bundles)

    @property
    def exists(self) -> bool:
        """Whether anything was ever collected."""
        return self._store.folder.is_dir()

    def frame(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        version: str | int | None = None,
        columns: Sequence[str] | None = None,
        shadows: bool = False,
    ) -> pd.DataFrame:
        """Return what was sent and what was answered.

        Parameters
        ----------
        since, until : datetime, optional
            From the first up to, and without, the second; local time where no zone is given.
        version : str or int, optional
            Only what this version answered.
        columns : sequence of str, optional
            These input columns alone, beside id, time and answer.
        shadows : bool, default False
            Also the answers of shadows, which no caller saw.

        Returns
        -------
        DataFrame of shape (n_rows, n_columns)
            In the order of time: ``prediction_id`` (``ID:0``, ``ID:1``, … for the rows of request ``ID``), ``time``
            (UTC), ``version``, ``arm``, ``latency_ms`` and ``status`` of the request, ``key`` (digest of the sticky
            key), ``shadow``; the input columns, where one with a name of the others' has ``input_`` before it;
            ``prediction``, or ``output_<name>`` for each of several named outputs, and ``probability_<class>`` where
            they were answered. ``attrs["undecoded"]`` counts
            requests that are kept but can't be read: too large, not of the model's signature, or answered by a
            version whose bundle is gone.

        Raises
        ------
        InvalidInput
            A column is not there.
        """
        wanted = Selection(
            since=EARLIEST if since is None else _ns(since),
            until=LATEST if until is None else _ns(until),
            version=None if version is None else str(version),
            shadows=shadows,
        )
        records, parquets = self._store.read()
        fresh, undecoded = frames_of(filter(wanted.takes, records), self._decoders)
        frames = [fresh]
        for path in parquets:
            partition = Partition.at(path)
            if partition is not None and wanted.touches(partition):
                frames += _compacted(path, partition)
        frame = joined([wanted.of(one) for one in frames])
        # A disk that fails between writing and saying so may leave a commit that is then made again.
        frame = frame.drop_duplicates(["prediction_id", "arm"], ignore_index=True)
        frame = frame if columns is None else _chosen(frame, columns)
        frame.attrs["undecoded"] = len({(record.prediction, record.arm) for record in undecoded})
        return frame


def _compacted(path: Path, partition: Partition) -> list[pd.DataFrame]:
    try:
        frame = pq.ParquetFile(path).read().to_pandas()
    except FileNotFoundError:  # past its retention
        return []
    for name in frame.select_dtypes(object):
        if any(isinstance(value, np.ndarray) for value in frame[name].head(1)):
            frame[name] = pd.Series([value.tolist() for value in frame[name]], dtype=object)
    frame.insert(FACTS.index("version"), "version", pd.Series([partition.version] * len(frame), dtype="str"))
    return [frame]


def _chosen(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    facts = [name for name in FACTS if name in columns or name in ("prediction_id", "time")]
    others = [name for name in columns if name not in FACTS]
    for name in others:
        if name not in frame:
            known = [one for one in frame if one not in FACTS]
            raise InvalidInput(
                f"no collected column is named {name!r}", expected=f"one of {', '.join(known)}" if known else None,
                hint=nearest(name, known))  # fmt: skip
    answers = [name for name in frame if is_answer(name) and name not in others]
    return frame[[*facts, *others, *answers]]


def _ns(moment: datetime) -> int:
    since_epoch = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000_000 + since_epoch.microseconds * 1000
