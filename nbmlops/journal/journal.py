"""The journal: one append-only, hash-chained log of every change of state."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select

from nbmlops.core.errors import Corrupt
from nbmlops.core.identifiers import new_id
from nbmlops.core.workspace import Workspace
from nbmlops.journal import operations, schema, verification
from nbmlops.journal.database import Database
from nbmlops.journal.events import Draft, Event, digest, draft, full_type, stamp
from nbmlops.journal.head import Head, HeadFile
from nbmlops.journal.projections import Snapshot, snapshot
from nbmlops.journal.views import Events

COLUMNS = schema.events.c


class Journal:
    """One append-only log; safe to use from several threads, processes and machines at once.

    Parameters
    ----------
    url : str
        ``sqlite:///…`` or ``postgresql://…``.
    head : pathlib.Path
        The file that remembers the chain's head outside the database.
    source : str
        Which project the events come from.
    """

    def __init__(self, url: str, head: Path, *, source: str = "/nbmlops") -> None:
        self.database = Database(url)
        self.head = HeadFile(head)
        self.source = source
        self._ready = False
        self._preparing = threading.Lock()

    def __repr__(self) -> str:
        return f"Journal({self.database.url.render_as_string(hide_password=True)!r})"

    @classmethod
    def open(cls, workspace: Workspace) -> Journal:
        """Return the workspace's journal.

        The head of the workspace's own database lies beside it as ``journal.head``; one elsewhere
        (``NBMLOPS_JOURNAL_URI``) gets a head named after its address, so that moving back and forth mixes nothing up.
        """
        url = workspace.journal_uri
        name = "journal.head"
        if url != f"sqlite:///{workspace.journal_db}":
            place = Database(url).url.set(password=None).render_as_string()
            name = f"journal-{hashlib.sha256(place.encode()).hexdigest()[:12]}.head"
        if not workspace.run.is_dir():
            workspace.open()
        return cls(url, workspace.home / name, source=f"/nbmlops/{quote(workspace.root.name)}")

    def append(
        self,
        type: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
        *,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Event:
        """Append one event; when this returns, the event is on disk and is never lost.

        Parameters
        ----------
        type : str
            What happened, such as ``model.registered``.
        subject : str
            To what, such as ``model/flights/3``.
        data : mapping, optional
            Plain JSON of at most 256 KiB. Never rows of data, tracebacks or secrets.
        actor : str, optional
            Who; by default the setting ``actor``.
        reason : str, optional
            Why.

        Raises
        ------
        InvalidInput
            When the type, the subject or the data can't be stored.
        StorageError
            When the database is full, read-only, locked or can't be reached; nothing was written.
        Corrupt
            When the database is damaged or has lost its end.
        """
        event = self.commit(draft(type, subject, data, actor=actor, reason=reason))
        assert event is not None
        return event

    def commit(self, draft: Draft, unless: ColumnElement[bool] | None = None) -> Event | None:
        """Append a draft, unless there is an event that meets a condition; None where there is one."""
        self.prepare()
        with self.database.append() as connection:
            if unless is not None and connection.execute(select(COLUMNS.sequence).where(unless).limit(1)).first():
                return None
            event, head = self._insert(connection, draft)
        self._remember(head)
        return event

    def _insert(self, connection: Connection, draft: Draft) -> tuple[Event, Head]:
        last = self._last(connection)
        event = Event(
            id=new_id(),
            source=self.source,
            time=datetime.fromisoformat(self.database.now(connection)),
            sequence=last.sequence + 1,
            previous=last.hash,
            type=draft.type,
            subject=draft.subject,
            data=draft.data,
        )
        text = event.text
        head = Head(event.sequence, digest(text))
        row = {"sequence": head.sequence, "hash": head.hash, "text": text, "id": event.id, "time": stamp(event.time)}
        row |= {"type": event.type, "subject": event.subject, "operation": operations.operation_of(event)}
        connection.execute(insert(schema.events).values(row))
        return Event.from_text(text), head

    def _last(self, connection: Connection) -> Head:
        newest = select(COLUMNS.sequence, COLUMNS.hash).order_by(COLUMNS.sequence.desc()).limit(1)
        row = connection.execute(newest).first()
        last = Head(int(row[0]), str(row[1])) if row else Head()
        self._check_end(last)
        return last

    def _check_end(self, last: Head) -> None:
        """Refuse to go on from an end before the head: whoever wrote that had committed, so the tail was lost."""
        known = self.head.read()
        if known.sequence > last.sequence:
            raise Corrupt(
                f"the journal ends at event {last.sequence}, but event {known.sequence} was acknowledged: "
                "its end was cut off",
                hint=f"Restore the newest copy of the database, or remove {self.head.path} to accept the loss.",
            )

    def _remember(self, head: Head) -> None:
        try:
            self.head.advance(head)
        except (OSError, Corrupt) as error:  # the event itself is committed: the caller must not repeat it
            warnings.warn(f"The event was recorded, but not the journal's head: {error}", stacklevel=4)

    def events(
        self,
        type: str | None = None,
        subject: str | None = None,
        *,
        after: int = 0,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Events:
        """Return events in order of sequence.

        Parameters
        ----------
        type, subject : str, optional
            Exact, or the beginning of it followed by ``*``: ``model.*``, ``endpoint/*``.
        after : int
            Only events past this sequence number.
        until : datetime.datetime, optional
            Only events up to this time (local where it has no zone).
        limit : int, optional
            At most this many: the newest, or, with `after`, the ones that follow it.
        """
        query = select(COLUMNS.sequence, COLUMNS.text).where(COLUMNS.sequence > after)
        for column, wanted in ((COLUMNS.type, full_type(type) if type else None), (COLUMNS.subject, subject)):
            if wanted:
                query = query.where(_matches(column, wanted))
        if until is not None:
            query = query.where(COLUMNS.time <= stamp(until))
        newest = limit is not None and not after
        query = query.order_by(COLUMNS.sequence.desc() if newest else COLUMNS.sequence).limit(limit)
        found = self.select(query)
        return Events(reversed(found) if newest else found)

    def select(self, query: Select[Any]) -> list[Event]:
        """Return the events of a query that selects sequence and text."""
        self.prepare()
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        return [_parse(int(row[0]), str(row[1])) for row in rows]

    def at(self, time: datetime) -> Snapshot:
        """Return versions, aliases and endpoints as they were at `time` (local where it has no zone)."""
        return snapshot(self.events(until=time), time.astimezone())

    def operation(
        self, type: str, subject: str, data: Mapping[str, Any] | None = None, *, reason: str | None = None
    ) -> AbstractContextManager[operations.Operation]:
        """Return a context that appends the intent, and later the outcome, of an act that spans systems.

        See :class:`nbmlops.journal.operations.Operation`.
        """
        return operations.begin(self, operations.Intent(type, subject, dict(data or {}), reason))

    def unfinished(self) -> Events:
        """Return the ``operation.started`` events without an outcome whose process no longer lives."""
        return Events(operations.unfinished(self))

    def interrupted(self, event: Event, **data: Any) -> Event | None:
        """Record that an unfinished operation was interrupted; None where somebody else recorded its outcome."""
        return operations.interrupted(self, event, data)

    def verify(self) -> verification.Verification:
        """Check every event, the chain and its head; what is wrong is named by sequence number."""
        return verification.verify(self)

    def prepare(self) -> None:
        """Bring the database to the newest format, once for each object."""
        with self._preparing:
            if self._ready:
                return
            found = self._format()
            if found == 0:
                self._check_end(Head())
            if found != len(schema.STEPS):
                with self.head.locked():  # eight processes that start at once must not all create the tables
                    self.database.use_write_ahead_log()
                    with self.database.append() as connection:
                        schema.migrate(connection)
            self._ready = True

    def _format(self) -> int:
        if not self.database.exists():
            return 0
        with self.database.read() as connection:
            found = schema.version(connection)
        schema.check_version(found)
        return found


def _matches(column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    if not wanted.endswith("*"):
        return column == wanted
    start = wanted[:-1]  # not LIKE, which ignores case on SQLite
    return func.substr(column, 1, len(start)) == start


def _parse(sequence: int, text: str) -> Event:
    try:
        return Event.from_text(text)
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(
            f"event {sequence} of the journal can't be read",
            hint="Run nbmlops verify to see the damage, then restore the journal from a backup.",
        ) from error
