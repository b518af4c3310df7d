"""The error store's file: written by scorers, read by notebooks, erased by whoever owns it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from .configuration import MemberConfig
from .errors import ServingError
from .failures import Failure

FORMAT = 1
NAME = "errors.db"
PATIENCE = 5.0  # seconds that another scorer may hold the file
KEPT_HEADERS = (b"content-type", b"inference-header-content-length", b"x-nbmlops-version")
_OVERHEAD = 2000  # bytes of a fault beside its bodies, about


class Keeping(msgspec.Struct, frozen=True):
    """How much the store keeps, and for how long.

    Attributes
    ----------
    entries : int
    total_bytes : int, bytes
        Of all entries together; the oldest go first.
    days : float, days
        After which an entry goes.
    body_bytes : int, bytes
        A larger request is kept without its body.
    per_second : int
        Faults of one place that are kept each second; of all places together, ten times as many.
    pending_bytes : int, bytes
        That may wait to be written.
    """

    entries: int = 1000
    total_bytes: int = 64 * 2**20
    days: float = 7.0
    body_bytes: int = 4 * 2**20
    per_second: int = 5
    pending_bytes: int = 32 * 2**20


class Fault(msgspec.Struct):
    """A request that failed.

    Attributes
    ----------
    prediction : str
        The prediction id.
    arm, model, version, bundle : str
        What answered; `bundle` is the digest of its bundle.
    wire : str
        The protocol, ``mlflow`` or ``oip``.
    path, headers
        Of the request; of its headers only those that say how to read the body.
    body : bytes or None
        None where it was left out.
    answer : bytes
        What the caller was told.
    status, code
        Of the answer.
    failure : Failure, optional
        None where nothing was raised, as in a time-out.
    columns : list of str, optional
        Of the model's signature.
    missing : list of str
        What was left out, and why.
    alike : int
        Faults of the same place, since the one before, that were not kept.
    members, combine
        Of an ensemble: its models, each with the digest of its bundle, and how their answers became one.
    at : float, seconds since the epoch
    """

    prediction: str
    arm: str
    model: str
    version: str
    bundle: str
    wire: str = "mlflow"
    path: str = "/invocations"
    headers: dict[str, str] = {}
    body: bytes | None = None
    answer: bytes = b""
    status: int = 500
    code: str = "internal_error"
    failure: Failure | None = None
    columns: list[str] | None = None
    missing: list[str] = []
    alike: int = 0
    members: list[MemberConfig] = []
    combine: str = "mean"
    at: float = msgspec.field(default_factory=time.time)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.body or b"") + len(self.answer) + _OVERHEAD

    @property
    def place(self) -> tuple[object, ...]:
        """What two faults of one cause share."""
        where = self.failure.where if self.failure else None
        kind = self.failure.kind if self.failure else ""
        return (self.arm, self.code, kind, where.file if where else "", where.line if where else 0)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Fault)


class FaultFile:
    """The store below one folder.

    Parameters
    ----------
    folder : str or pathlib.Path
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / NAME

    def write(self, faults: Sequence[Fault], keeping: Keeping) -> None:
        """Add faults, and drop what is too old or too much."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its side files the mode of the database, so this must be there first.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        rows = [(one.prediction, one.at, content := _ENCODER.encode(one), len(content)) for one in faults]
        with self._open() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO faults VALUES (?, ?, ?, ?)", rows)
            connection.execute("DELETE FROM faults WHERE at < ?", (time.time() - keeping.days * 86400,))
            connection.execute(
                "DELETE FROM faults WHERE rowid IN (SELECT rowid FROM (SELECT rowid,"
                " row_number() OVER newest AS place, sum(size) OVER newest AS total FROM faults"
                " WINDOW newest AS (ORDER BY at DESC, rowid DESC)) WHERE place > ? OR total > ?)",
                (keeping.entries, keeping.total_bytes),
            )

    def newest(self, limit: int) -> list[Fault]:
        """Return the newest faults, newest first."""
        return self._read("SELECT content FROM faults ORDER BY at DESC, rowid DESC LIMIT ?", limit)

    def find(self, prediction: str) -> Fault | None:
        """Return the fault of one prediction id."""
        found = self._read("SELECT content FROM faults WHERE prediction = ?", prediction)
        return found[0] if found else None

    def erase(self, prediction: str | None = None) -> int:
        """Delete one fault, or all of them, beyond recovery from the file; return how many there were."""
        if not self.path.exists():
            return 0
        with self._open() as connection, connection:
            if prediction is None:
                return connection.execute("DELETE FROM faults").rowcount
            return connection.execute("DELETE FROM faults WHERE prediction = ?", (prediction,)).rowcount

    def _read(self, query: str, value: object) -> list[Fault]:
        if not self.path.exists():
            return []
        with self._open() as connection:
            return [_DECODER.decode(content) for (content,) in connection.execute(query, (value,))]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=PATIENCE)
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                _prepare(connection)
            connection.execute("PRAGMA secure_delete = ON")  # what was deleted is overwritten
            yield connection
        finally:
            connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, once; two scorers may try at the same time."""
    connection.execute("PRAGMA auto_vacuum = FULL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            raise ServingError("invalid_errors", f"the error store has format {found}; this server reads {FORMAT}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS faults"
            " (prediction TEXT PRIMARY KEY, at REAL NOT NULL, content BLOB NOT NULL, size INTEGER NOT NULL)"
        )
        connection.execute("CREATE INDEX IF NOT EXISTS faults_at ON faults (at)")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
