"""Find a request that an endpoint got: in its error store, or in its collected data."""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.serving.configuration import MemberConfig
    from nbmlops.serving.segments import Record
    from nbmlops.workflows.session import Session

CONTENT_TYPE, SPLIT = "content-type", "inference-header-content-length"
JSON = "application/json"
SLACK = timedelta(hours=1)  # between the time in an id and the time of its record; no request takes so long
ROWS_PER_REQUEST = 1000
COMMITTED = 2.0  # seconds after a request within which it can be read
PAUSE = 0.05
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Kept:
    """A request as it was kept.

    Attributes
    ----------
    prediction, model, version : str
    bundle : pathlib.Path
        What answered it.
    wire : str
        Its protocol.
    path, headers, body
        Of the request.
    answer, status
        What the caller got; an empty answer where it was not kept.
    members, combine
        The models of an ensemble.
    """

    prediction: str
    model: str
    version: str
    bundle: Path
    wire: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: bytes
    status: int
    members: tuple[MemberConfig, ...] = ()
    combine: str = "mean"

    @property
    def references(self) -> list[str]:
        """The model versions that answered, each ``name/3``."""
        return [f"{one.model}/{one.version}" for one in self.members or (self,)]


def find(session: Session, prediction: str) -> Kept:
    """Return a request that an endpoint of the workspace kept.

    What was answered a moment ago is waited for: it is committed after the answer.

    Raises
    ------
    NotFound
        None of that id was kept.
    InvalidInput
        A part of it was left out.
    """
    while (kept := _found(session, prediction)) is None:
        if _age(prediction) > COMMITTED:
            raise NotFound(
                f"no request {prediction!r} was kept",
                expected="the id of a request that was captured, or that failed within the last week",
                hint="endpoint.errors() lists those that failed.",
            )
        time.sleep(PAUSE)
    return kept


def _age(prediction: str) -> float:
    """Return for how many seconds a request has been there, as its id says; infinity where it is no such id."""
    if not ID.fullmatch(prediction):
        return math.inf
    age = time.time() - (uuid.UUID(prediction).int >> 80) / 1000
    return age if age >= 0 else math.inf


def _found(session: Session, prediction: str) -> Kept | None:
    from nbmlops.serving.faultfile import NAME, FaultFile

    workspace = session.workspace
    for path in sorted(workspace.run.glob(f"*/errors/{NAME}")):
        fault = FaultFile(path.parent).find(prediction)
        if fault is not None:
            return _of_fault(workspace, fault)
    for endpoint, record in _captured(workspace, prediction):
        return _of_record(session, endpoint, record)
    for folder in sorted(workspace.collected.glob("*")) if ID.fullmatch(prediction) else ():
        rows = _rows(workspace, folder.name, prediction)
        if len(rows):
            return _of_rows(session, folder.name, rows)
    return None


def _of_fault(workspace: Workspace, fault: Any) -> Kept:
    from msgspec.structs import replace

    if fault.body is None or fault.missing:
        raise _incomplete(fault.prediction, " and ".join(fault.missing))
    return Kept(
        prediction=fault.prediction,
        model=fault.model,
        version=fault.version,
        bundle=_bundle(workspace, fault.bundle),
        wire=fault.wire,
        path=fault.path,
        headers=fault.headers,
        body=fault.body,
        answer=fault.answer,
        status=fault.status,
        members=tuple(replace(one, bundle=str(_bundle(workspace, one.bundle))) for one in fault.members),
        combine=fault.combine,
    )


def _captured(workspace: Workspace, prediction: str) -> Iterator[tuple[str, Record]]:
    """Yield the endpoint and the record of a request in its spool files, as it came in."""
    from nbmlops.serving.segments import SUFFIX, read_segment

    for path in sorted(workspace.collected.glob(f"*/**/*{SUFFIX}")):
        try:
            found = [one for batch in read_segment(path) for one in batch if one.prediction == prediction]
        except FileNotFoundError:  # compacted meanwhile
            continue
        for record in found:
            if not record.shadow:
                yield path.relative_to(workspace.collected).parts[0], record


def _of_record(session: Session, endpoint: str, record: Record) -> Kept:
    if record.wire == "columns":
        raise _incomplete(record.prediction, "a column (redacted)")
    if not record.body:
        raise _incomplete(record.prediction, "the body (too large)")
    if not record.version.isdecimal():
        raise _incomplete(record.prediction, f"which models the ensemble {record.version} had")
    headers = {CONTENT_TYPE: record.kind} | ({SPLIT: str(record.split)} if record.split else {})
    return Kept(
        prediction=record.prediction,
        model=model_at(session, endpoint, record.version),
        version=record.version,
        bundle=_bundle(session.workspace, record.bundle),
        wire=record.wire,
        path="/invocations",
        headers=headers,
        body=record.body,
        answer=record.answer,
        status=record.status,
    )


def model_at(session: Session, endpoint: str, version: str) -> str:
    """Return the name of the model whose `version` an endpoint served last."""
    events = session.journal.events("endpoint.deployed", f"endpoint/{endpoint}")
    named = [str(event.data["model"]) for event in events if str(event.data.get("version")) == version]
    return named[-1] if named else endpoint


def _bundle(workspace: Workspace, digest: str) -> Path:
    return workspace.bundles / digest.removeprefix(digests.PREFIX)


def _incomplete(prediction: str, missing: str) -> InvalidInput:
    return InvalidInput(
        f"request {prediction} can't run again: {missing} was left out when it was kept",
        expected="a request that was kept whole",
    )


def _rows(workspace: Workspace, endpoint: str, prediction: str) -> pd.DataFrame:
    """Return the rows of a request that was compacted, in their order."""
    from nbmlops.monitoring import CollectedData

    began = _time_of(prediction) - SLACK
    frame = CollectedData.of(workspace, endpoint).frame(since=began, until=began + 2 * SLACK)
    return frame[frame["prediction_id"].str.startswith(f"{prediction}:")].reset_index(drop=True)


def _time_of(prediction: str) -> datetime:
    """Return when an id was made: a UUID of version 7 begins with it."""
    return datetime.fromtimestamp(int(prediction.replace("-", "")[:12], 16) / 1000, UTC)


def _of_rows(session: Session, endpoint: str, rows: pd.DataFrame) -> Kept:
    """Return rows as a request for them; of their answer only labels are known for sure."""
    from nbmlops.deployment.encoding import requests_of

    prediction = str(rows["prediction_id"][0]).rpartition(":")[0]
    version = str(rows["version"][0])
    if not version.isdecimal():
        raise _incomplete(prediction, f"which models the ensemble {version} had")
    bundle = _bundle(session.workspace, _served_digest(session, endpoint, version))
    inputs = _inputs(rows, bundle, prediction)
    [body] = requests_of(inputs) if len(inputs) <= ROWS_PER_REQUEST else [b""]
    if not body:
        raise _incomplete(prediction, f"the form of a request of {len(inputs):,} rows")
    probable = any(name.startswith("probability_") for name in rows)
    labels = json.dumps({"predictions": rows["prediction"].tolist()}).encode()
    model, answer = model_at(session, endpoint, version), b"" if probable else labels
    return Kept(prediction, model, version, bundle, "mlflow", "/invocations", {CONTENT_TYPE: JSON}, body, answer, 200)


def _inputs(rows: pd.DataFrame, bundle: Path, prediction: str) -> pd.DataFrame:
    """Return the columns of the signature; one that has the name of a fact has ``input_`` before it."""
    import pandas as pd

    from nbmlops.deployment.processes import manifest

    inputs = (manifest(bundle).get("signature") or {}).get("inputs")
    names = [column["name"] for column in inputs] if isinstance(inputs, list) else []
    found = {name: f"input_{name}" if f"input_{name}" in rows else name for name in names}
    missing = [name for name, place in found.items() if place not in rows]
    if missing or not found:
        raise _incomplete(prediction, f"columns {', '.join(missing)}" if missing else "the form of an array")
    return pd.DataFrame({name: rows[place] for name, place in found.items()})


def _served_digest(session: Session, endpoint: str, version: str) -> str:
    events = session.journal.events("endpoint.deployed", f"endpoint/{endpoint}")
    arms = [arm for event in events for arm in event.data.get("arms", []) if str(arm["version"]) == version]
    return str(arms[-1]["bundle"]) if arms else ""
