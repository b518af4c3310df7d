"""Acts that span systems: the intent is appended first, the outcome last, and what lies between may be interrupted."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy import select

from nbmlops.core.errors import InvalidInput, NbmlopsError
from nbmlops.core.identifiers import new_id
from nbmlops.journal import schema
from nbmlops.journal.events import Event, draft, full_type

if TYPE_CHECKING:
    from nbmlops.journal.journal import Journal

STARTED = "operation.started"
FAILED = "operation.failed"
INTERRUPTED = "operation.interrupted"
RESERVED = frozenset({"operation", "verb", "process", "error"})
ABANDONED = timedelta(days=1)
CLOCK_TOLERANCE = 2.0  # seconds; the boot time, from which the start is computed, moves when the clock is set


@dataclass(frozen=True)
class Intent:
    """What an operation is about to do."""

    type: str
    subject: str
    data: Mapping[str, Any]
    reason: str | None


@dataclass
class Operation:
    """An act under way.

    Attributes
    ----------
    id : str
        UUIDv7 that ties its events together.
    outcome : Event or None
        What :meth:`done` appended.
    """

    journal: Journal
    intent: Intent
    id: str = field(default_factory=new_id)
    outcome: Event | None = None

    def done(self, subject: str | None = None, /, **data: Any) -> Event:
        """Append the outcome: the operation's own type with `data`.

        Parameters
        ----------
        subject : str, optional
            Where it is known only now, such as the number of a new version.
        **data
            The outcome's data.
        """
        if self.outcome is not None:
            raise RuntimeError(f"the operation {self.intent.type} has its outcome already")
        self.outcome = self.journal.append(
            self.intent.type, subject or self.intent.subject, {**data, "operation": self.id}, reason=self.intent.reason
        )
        return self.outcome

    def record(self, type: str, **data: Any) -> Event:
        """Append one of the operation's own events: how it began or ended."""
        content = {**data, "operation": self.id, "verb": self.intent.type}
        return self.journal.append(type, self.intent.subject, content, reason=self.intent.reason)


@contextmanager
def begin(journal: Journal, intent: Intent) -> Iterator[Operation]:
    """Append ``operation.started``, yield the operation, and append ``operation.failed`` where an error leaves it.

    Raises
    ------
    RuntimeError
        When it is left without :meth:`Operation.done`.
    """
    if reserved := RESERVED & set(intent.data):
        raise InvalidInput(f"an operation writes {', '.join(sorted(reserved))} by itself", expected="other keys")
    operation = Operation(journal, intent)
    operation.record(STARTED, **intent.data, process=this_process())
    try:
        yield operation
        if operation.outcome is None:
            raise RuntimeError(f"the operation {intent.type} on {intent.subject} was left without done()")
    except BaseException as error:
        if operation.outcome is None:
            _record_failure(operation, error)
        raise


def _record_failure(operation: Operation, error: BaseException) -> None:
    try:
        operation.record(FAILED, error=type(error).__name__)  # never its text, which may quote data
    except NbmlopsError as second:
        error.add_note(f"The journal could not record that it failed: {second}")


def this_process() -> dict[str, Any]:
    """Return who we are: host, pid, and start, since a pid is used again."""
    return {"host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid())}


@cache
def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether the process of :func:`this_process` still lives; None where that can't be told from this host."""
    if process.get("host") != platform.node():
        return None
    try:
        started = psutil.Process(int(process["pid"])).create_time()
    except psutil.NoSuchProcess:
        return False
    return abs(started - float(process["started"])) < CLOCK_TOLERANCE


def operation_of(event: Event) -> str | None:
    """Return the id of the operation that the event belongs to."""
    value = event.data.get("operation")
    return value if isinstance(value, str) else None


def unfinished(journal: Journal) -> list[Event]:
    """Return the starts without an outcome whose process died, or is on another host and older than a day."""
    columns, outcomes = schema.events.c, schema.events.alias().c
    ended = select(outcomes.operation).where(
        outcomes.operation.is_not(None), outcomes.type != full_type(STARTED), outcomes.operation == columns.operation
    )
    starts = journal.select(
        select(columns.sequence, columns.text)
        .where(columns.type == full_type(STARTED), ~ended.exists())
        .order_by(columns.sequence)
    )
    return [event for event in starts if _is_abandoned(event)]


def _is_abandoned(event: Event) -> bool:
    alive = is_alive(event.data["process"])
    return datetime.now(UTC) - event.time > ABANDONED if alive is None else not alive


def interrupted(journal: Journal, event: Event, data: Mapping[str, Any]) -> Event | None:
    """Append ``operation.interrupted`` for a start, unless its outcome has been recorded meanwhile."""
    columns = schema.events.c
    operation = operation_of(event)
    if operation is None:
        raise InvalidInput(f"event {event.sequence} belongs to no operation", expected="one of unfinished()")
    content = {**data, "operation": operation, "verb": event.data.get("verb", "")}
    has_outcome = (columns.operation == operation) & (columns.type != full_type(STARTED))
    return journal.commit(draft(INTERRUPTED, event.subject, content), unless=has_outcome)
