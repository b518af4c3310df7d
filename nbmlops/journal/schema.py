"""The journal's tables, and how a database is brought from one format version to the next.

A new database walks all steps from nothing, so creating and migrating are one path. Step N brings format N - 1 to
format N. A step may add tables, columns and indexes but never rewrites an event's text, which the chain hashes.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, MetaData, Table, Text, inspect, select, text

from nbmlops.core.errors import StorageError

metadata = MetaData()

format_table = Table("journal_format", metadata, Column("version", Integer, primary_key=True))

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("operation", Text),
    Column("hash", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index("events_type", events.c.type)
Index("events_subject", events.c.subject)
Index("events_operation", events.c.operation)


def create_events(connection: Connection) -> None:
    """Format 1: the events."""
    events.create(connection)


SQLITE_GUARDS = (
    """CREATE TRIGGER events_no_update BEFORE UPDATE ON events
       BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER events_no_delete BEFORE DELETE ON events
       BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    # REPLACE deletes without firing the trigger above, so an insert may only ever go to the end.
    """CREATE TRIGGER events_only_append BEFORE INSERT ON events
       WHEN NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM events)
       BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
)
POSTGRES_GUARDS = (
    """CREATE FUNCTION journal_append_only() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$""",
    """CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
       FOR EACH ROW EXECUTE FUNCTION journal_append_only()""",
    """CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
       FOR EACH STATEMENT EXECUTE FUNCTION journal_append_only()""",
)


def forbid_changes(connection: Connection) -> None:
    """Format 2: triggers refuse every change and removal of an event."""
    guards = SQLITE_GUARDS if connection.dialect.name == "sqlite" else POSTGRES_GUARDS
    for statement in guards:
        connection.execute(text(statement))


STEPS: tuple[Callable[[Connection], None], ...] = (create_events, forbid_changes)


def version(connection: Connection) -> int:
    """Return the database's format version; 0 where there is no journal yet."""
    if not inspect(connection).has_table(format_table.name):
        return 0
    return int(connection.execute(select(format_table.c.version)).scalar_one_or_none() or 0)


def migrate(connection: Connection, steps: tuple[Callable[[Connection], None], ...] = STEPS) -> None:
    """Bring the database to the newest format, inside the caller's transaction.

    Raises
    ------
    StorageError
        When a newer nbmlops wrote it.
    """
    found = version(connection)
    check_version(found, len(steps))
    if found == len(steps):
        return
    if found == 0:
        format_table.create(connection, checkfirst=True)
    for step in steps[found:]:
        step(connection)
    connection.execute(format_table.delete())
    connection.execute(format_table.insert().values(version=len(steps)))


def check_version(found: int, newest: int = len(STEPS)) -> None:
    """Raise where the database has a format that this nbmlops does not know."""
    if found > newest:
        raise StorageError(
            f"the journal has format {found}",
            expected=f"format {newest} or older",
            hint="A newer nbmlops wrote it: pip install --upgrade nbmlops",
        )
