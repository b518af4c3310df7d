"""A workspace that was moved or copied: the absolute paths in its database follow it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from nbmlops.core.errors import Corrupt, StorageError
from nbmlops.core.progress import stage
from nbmlops.core.workspace import FOLDER
from nbmlops.registry.template import DEFAULT_EXPERIMENT

PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
WAIT = 30.0


def follow(database: Path, artifacts: Path) -> bool:
    """Let the database's paths follow the workspace, in one transaction; return whether there was anything to do.

    Where the workspace was before stands in the database itself, so that a kill in between is harmless.

    Raises
    ------
    Corrupt
        When the file is no intact database.
    StorageError
        When it is locked or can't be written.
    """
    try:
        with closing(sqlite3.connect(database, timeout=WAIT, isolation_level=None)) as connection:
            before = _before(connection)
            if before is None or before == str(artifacts):
                return False
            stage("following the workspace to its new folder")
            _rewrite(connection, str(artifacts))
            return True
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"the database {database} can't be used: {error}", hint="Close what else uses it, then run it again."
        ) from error
    except sqlite3.DatabaseError as error:
        raise Corrupt(
            f"{database} is damaged ({error})", expected="an intact SQLite database", hint=f"Restore {database.name}."
        ) from error


def _before(connection: sqlite3.Connection) -> str | None:
    """Return the folder of artifacts that the database was made for; None where nbmlops did not make it."""
    query = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
    row = connection.execute(query, (DEFAULT_EXPERIMENT,)).fetchone()
    ending = f"/{FOLDER}/artifacts/{DEFAULT_EXPERIMENT}"
    if row is None or not str(row[0]).endswith(ending):
        return None
    return str(row[0]).removesuffix(f"/{DEFAULT_EXPERIMENT}")


def _rewrite(connection: sqlite3.Connection, after: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    before = _before(connection)  # again, now that nobody else writes: another process may have been faster
    if before is not None and before != after:
        for table, column in PATHS:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names from PATHS
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (after, len(before) + 1, before, len(before) + 1, f"{before}/"),
            )
    connection.execute("COMMIT")
