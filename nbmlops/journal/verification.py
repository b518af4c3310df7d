"""Checking the journal: each event against its digest, its neighbour and its columns, the end against the head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select

from nbmlops.core.display import Card, Shown, badge, code, table
from nbmlops.core.errors import Corrupt
from nbmlops.core.records import Record
from nbmlops.journal import schema
from nbmlops.journal.events import GENESIS, Event, digest, stamp
from nbmlops.journal.head import Head
from nbmlops.journal.operations import operation_of

if TYPE_CHECKING:
    from nbmlops.journal.journal import Journal

BATCH = 1000


@dataclass(frozen=True)
class Verification(Record, Shown):
    """What a check of the journal found.

    Attributes
    ----------
    ok : bool
        Nothing is wrong.
    length : int
        How many events there are.
    head : str
        Digest of the last one: write it down elsewhere to pin everything up to it.
    problems : tuple of str
        What is wrong, each with its sequence number.
    """

    ok: bool
    length: int
    head: str
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.ok

    def _show_(self) -> Card:
        state = badge("whole", "ok") if self.ok else badge("NOT whole", "bad")
        found = tuple([table(("Problem",), [(problem,) for problem in self.problems])] if self.problems else ())
        return Card("The journal", {"State": state, "Events": self.length, "Head": code(self.head)}, found)


def verify(journal: Journal) -> Verification:
    """Check every event, the chain and its head."""
    problems: list[str] = []
    length, last = 0, Head()
    try:
        known = journal.head.read()
    except Corrupt as error:
        problems.append(str(error))
        known = Head()
    try:
        for row in _rows(journal):
            problems += _row_problems(row, last)
            last = Head(int(row.sequence), str(row.hash))
            length += 1
            if last.sequence == known.sequence and last.hash != known.hash:
                problems.append(f"event {last.sequence}: is not the one that was acknowledged (the head differs)")
    except Corrupt as error:
        problems.append(f"after event {last.sequence}: {error}")
    if last.sequence < known.sequence:
        problems.append(f"event {last.sequence + 1} to {known.sequence}: missing, the end was cut off")
    return Verification(not problems, length, last.hash, tuple(problems))


def _rows(journal: Journal) -> Iterator[Row[Any]]:
    journal.prepare()
    with journal.database.read() as connection:
        _check_pages(journal, connection)
        query = select(schema.events).order_by(schema.events.c.sequence).execution_options(yield_per=BATCH)
        yield from connection.execute(query)


def _check_pages(journal: Journal, connection: Connection) -> None:
    if journal.database.is_sqlite:
        found = str(connection.exec_driver_sql("PRAGMA quick_check").scalar_one())
        if found != "ok":
            raise Corrupt(f"the database file is damaged ({found.splitlines()[-1]})")


def _row_problems(row: Row[Any], last: Head) -> list[str]:
    sequence, expected = int(row.sequence), last.sequence + 1
    problems = []
    if sequence != expected:
        missing = f"event {expected}" if sequence == expected + 1 else f"event {expected} to {sequence - 1}"
        problems.append(f"{missing}: missing")
    try:
        event = Event.from_text(row.text)
        changed = event.text != row.text
    except (ValueError, KeyError, TypeError, AttributeError):
        return [*problems, f"event {sequence}: its text is no event"]
    if changed or digest(row.text) != row.hash:
        problems.append(f"event {sequence}: its text was changed (its digest differs)")
    if event.sequence != sequence:
        problems.append(f"event {sequence}: holds the event that was appended as {event.sequence}")
    elif sequence == expected and event.previous != last.hash:
        before = f"event {last.sequence}" if last.hash != GENESIS else "the beginning"
        problems.append(f"event {sequence}: does not follow {before} (its link to the previous digest differs)")
    columns = {"id": event.id, "type": event.type, "subject": event.subject, "time": stamp(event.time)}
    columns["operation"] = operation_of(event)  # type: ignore[assignment]
    differing = [name for name, value in columns.items() if getattr(row, name) != value]
    if differing:
        problems.append(f"event {sequence}: its column {', '.join(differing)} does not agree with its text")
    return problems
