"""The door to the journal's database: SQLite or PostgreSQL, one appender at a time, errors that say what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from nbmlops.core.errors import Corrupt, InvalidInput, NbmlopsError, StorageError
from nbmlops.core.optional import require

BUSY_SECONDS = 30
ADVISORY_LOCK = 0x6E626D6C6F7073  # "nbmlops": appenders of one PostgreSQL database queue on it
SPACE_LEFT = 64 * 1024
SQLITE_NOW = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
POSTGRES_NOW = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


class Database:
    """Transactions on the journal's database.

    Parameters
    ----------
    url : str
        ``sqlite:///…`` or ``postgresql://…``.
    """

    def __init__(self, url: str) -> None:
        self.url = _url(url)

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @cached_property
    def engine(self) -> Engine:
        """Connections last for one transaction: nothing to share between threads or to inherit by a fork."""
        if not self.is_sqlite:
            require("psycopg", "postgres", "a journal on PostgreSQL")
            return create_engine(self.url, poolclass=NullPool)
        engine = create_engine(self.url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads."""
        with self._errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def append(self) -> Iterator[Connection]:
        """A transaction that writes, after every other one: committed on leaving, or nothing of it."""
        with self._errors(), self.engine.connect() as connection:
            connection = connection.execution_options(nbmlops_append=True)
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(text(f"SET LOCAL lock_timeout = {int(BUSY_SECONDS * 1000)}"))
                    connection.execute(text("SET LOCAL synchronous_commit = on"))
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
                yield connection

    def exists(self) -> bool:
        """Whether there is a database to look into (a server's always counts)."""
        return not self.is_sqlite or Path(self.url.database or "").exists()

    def use_write_ahead_log(self) -> None:
        """Let readers and the appender work side by side (SQLite; it can't be set within a transaction)."""
        if self.is_sqlite:
            with self._errors():
                connection = self.engine.raw_connection()
                try:
                    connection.cursor().execute("PRAGMA journal_mode = WAL")
                finally:
                    connection.close()

    def now(self, connection: Connection) -> str:
        """Return the database's own time, UTC to the millisecond."""
        return str(connection.execute(text(SQLITE_NOW if self.is_sqlite else POSTGRES_NOW)).scalar_one())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            translated = self._translate(error.orig if isinstance(error, DBAPIError) else error)
            if translated is None:
                raise
            raise translated from error
        except UnicodeDecodeError as error:  # SQLite quotes a damaged schema in its message, and Python can't read it
            raise _damaged(Path(self.url.database or ""), "its schema holds bytes that are no text") from error

    def _translate(self, error: BaseException | None) -> NbmlopsError | None:
        if self.is_sqlite:
            return _sqlite_error(error, Path(self.url.database or ""))
        return _postgres_error(error, self.url.render_as_string(hide_password=True))


def _url(text_: str) -> URL:
    try:
        url = make_url(text_)
    except ArgumentError as error:
        raise InvalidInput("NBMLOPS_JOURNAL_URI is no database URL", expected=EXPECTED_URL) from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not url.database or url.database == ":memory:":
        shown = url.render_as_string(hide_password=True)
        raise InvalidInput(f"the journal can't be kept in {shown}", expected=EXPECTED_URL)
    return url


EXPECTED_URL = "sqlite:///path/to/journal.db or postgresql://user@host/database"


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not begin transactions by itself: it would begin deferred ones, and two of those that both
    # read before they write can only fail.
    connection.isolation_level = None
    # A text with a damaged byte must still be read, or it could not be named by its sequence number.
    connection.text_factory = lambda content: content.decode(errors="surrogateescape")
    # FULL syncs the log at every commit: an event that was acknowledged survives a power cut, not only a kill.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    append = connection.get_execution_options().get("nbmlops_append", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if append else "BEGIN")


def _sqlite_error(error: BaseException | None, path: Path) -> NbmlopsError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest the detail
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(path, error)
    if code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}:  # our own SQL is fixed, so the tables must differ
        return _damaged(path, f"it does not hold the journal's tables ({error})")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        hint = "Another process holds it: end that process or wait, then run it again. Nothing was written."
        return StorageError(f"{path} was locked for {BUSY_SECONDS} s", hint=hint)
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
        return StorageError(f"{path} can't be written or opened ({error})", hint=_remedy(code, path.parent))
    return None


def _damaged(path: Path, why: object) -> Corrupt:
    return Corrupt(f"{path} is damaged: {why}", hint="Restore it from a backup, together with its -wal file.")


def _remedy(code: int, folder: Path) -> str:
    if not folder.is_dir():
        return f"The folder {folder} does not exist."
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "The file system is read-only: set NBMLOPS_WORKSPACE to a folder that can be written."
    if code == sqlite3.SQLITE_FULL or shutil.disk_usage(folder).free < SPACE_LEFT:
        return "The disk is full: free some space, then run it again. Nothing was written."
    return f"Check that you may write in {folder} and that its disk is healthy."


def _postgres_error(error: BaseException | None, shown: str) -> NbmlopsError | None:
    state = getattr(error, "sqlstate", None)
    remedies = {
        "53100": "The server's disk is full: free some space, then run it again.",
        "55P03": f"Another process held the journal for {BUSY_SECONDS} s: end it or wait, then run it again.",
        "25006": "The server is read-only: point NBMLOPS_JOURNAL_URI at the primary.",
        "42501": "The user may not write there: grant it the right to create tables in the schema.",
    }
    if state in remedies:
        return StorageError(f"the journal at {shown} can't be written", hint=remedies[state])
    if state is None or state[:2] in {"08", "28", "3D", "57"}:  # no connection, no login, no database, shut down
        hint = f"Check that the server runs and NBMLOPS_JOURNAL_URI is right ({type(error).__name__})."
        return StorageError(f"the journal at {shown} can't be reached", hint=hint)
    return None
