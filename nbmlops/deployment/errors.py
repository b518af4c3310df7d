"""Requests that an endpoint failed on, as a notebook sees them: a table without data, and the traceback of each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbmlops.capture.notebook import current_shell
from nbmlops.core.display import Card, Column, Results, Shown, results
from nbmlops.core.errors import ScoringError
from nbmlops.core.records import Record

PATIENCE = 2.0  # seconds from an answer until its error is written
PAUSE = 0.02
SERVER_FAULT = 500
EMPTY = "No request failed since the endpoint was deployed, or what did was erased."


@dataclass(frozen=True)
class ServedError(Record, Shown):
    """A request that an endpoint failed on.

    Attributes
    ----------
    prediction : str
        The prediction id.
    time : datetime.datetime
    model, version : str
        What answered.
    status, code : int, str
        Of the answer.
    exception : str
        Class of what was raised; empty where nothing was, as in a time-out.
    line : str
        The last line of your own: file, number, function and text.
    alike : int
        Such errors since the one before that were counted and not kept.
    missing : tuple of str
        What was left out of the request, and why.
    traceback : str
        From your own code on. It may quote the data, as `request` and `answer` do: none of them is in `to_dict`.
    full_traceback : str
        The server's own frames included.
    request, answer : bytes
        The bodies; of a request that was left out, nothing.
    """

    prediction: str
    time: datetime
    model: str
    version: str
    status: int
    code: str
    exception: str
    line: str
    alike: int = 0
    missing: tuple[str, ...] = ()
    traceback: str = field(default="", repr=False)
    full_traceback: str = field(default="", repr=False)
    request: bytes = field(default=b"", repr=False)
    answer: bytes = field(default=b"", repr=False)

    def _show_(self) -> Card:
        fields = {
            "when": self.time,
            "version": f"{self.model}/{self.version}",
            "answered": f"{self.status} {self.code}",
            "exception": self.exception,
            "at": self.line,
            "left out": self.missing,
            "more like it": self.alike or "",
        }
        note = f"%replay {self.prediction} runs it here; print(error.traceback) shows the rest."
        return Card(title=f"Error {self.prediction}", fields=fields, note=note)


COLUMNS: dict[str, Column] = {
    "time": "time",
    "version": "version",
    "code": "code",
    "exception": "exception",
    "last line": "line",
    "more like it": lambda error: error.alike or None,
    "prediction": "prediction",
}


class ServerTraceback(Exception):
    """What was raised in the server: the cause of a `ScoringError`, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the server\n\n{self.text}"


def served_errors(folder: Path | None, limit: int = 20) -> Results[ServedError]:
    """Return the newest errors of the store in `folder`, the newest first."""
    from nbmlops.serving.faultfile import FaultFile

    found = [] if folder is None else FaultFile(folder).newest(limit)
    return results(map(_public, found), COLUMNS, empty=EMPTY)


def _public(fault: Any) -> ServedError:
    from nbmlops.serving.failures import text_of

    failure = _with_cell_names(fault.failure) if fault.failure else None
    return ServedError(
        prediction=fault.prediction,
        time=datetime.fromtimestamp(fault.at, UTC),
        model=fault.model,
        version=fault.version,
        status=fault.status,
        code=fault.code,
        exception=failure.kind if failure else "",
        line=_line(failure),
        alike=fault.alike,
        missing=tuple(fault.missing),
        traceback=text_of(failure, trim=True) if failure else "",
        full_traceback=text_of(failure) if failure else "",
        request=fault.body or b"",
        answer=fault.answer,
    )


def _with_cell_names(failure: Any) -> Any:
    """Return a failure in which cells of this notebook are called as it calls them: ``Cell In[3]``."""
    from msgspec.structs import replace

    shell = current_shell()
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda name: None)

    def called(file: str) -> str:
        kind_and_name = named(file)
        return " ".join(kind_and_name) if kind_and_name else file

    chain = [
        replace(one, frames=[replace(frame, file=called(frame.file)) for frame in one.frames]) for one in failure.chain
    ]
    return replace(failure, chain=chain)


def _line(failure: Any) -> str:
    """Return the last line that is no library's, or the last of all."""
    frames = failure.frames if failure else []
    if not frames:
        return ""
    own = [frame for frame in frames if "site-packages/" not in frame.file and "/lib/python3" not in frame.file]
    last = (own or frames)[-1]
    return f"{Path(last.file).name}, line {last.line}, in {last.function}: {last.source}".rstrip(": ")


def explained(error: ScoringError, folder: Path | None) -> ScoringError:
    """Return `error` with what the server raised as its cause, from the error store in `folder`, where that holds it.

    Of its own traceback nothing is left: that it passed through a client says nothing.
    """
    found = _awaited(folder, error)
    if found is not None:
        error.traceback = found.traceback
        error.message = f"the model raised {found.exception}" if found.exception else error.message
        error.hint = f"%replay {found.prediction} runs the request here, with the debugger."
        error.__cause__ = ServerTraceback(found.traceback)
    return error.with_traceback(None)


def _awaited(folder: Path | None, error: ScoringError) -> ServedError | None:
    """Return what the store holds of an error that the server has just answered with; it writes a moment later."""
    from nbmlops.serving.faultfile import FaultFile

    if folder is None or error.status < SERVER_FAULT or not error.prediction_id:
        return None
    store, deadline = FaultFile(folder), time.monotonic() + PATIENCE
    while (fault := store.find(error.prediction_id)) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE)
    return _public(fault)
