"""Full, read-only, locked, damaged and killed databases: a clear error, and nothing half-written."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from nbmlops.core import optional
from nbmlops.core.errors import Corrupt, MissingExtra, StorageError
from nbmlops.journal import Journal, database, head

Run = Callable[..., "CompletedProcess[str]"]
PRELUDE = """
import subprocess, sys
from pathlib import Path
from nbmlops.core.errors import StorageError
from nbmlops.journal import Journal
folder = Path(sys.argv[1])
journal = Journal(f"sqlite:///{folder}/journal.db", folder / "journal.head")
def refused():
    try:
        journal.append("run.tracked", "run/x", {"padding": "x" * 200_000})
    except StorageError as error:
        print(error)
        return True
    return False
"""


def test_a_full_disk_is_named_and_loses_nothing(run_on_mount: Run) -> None:
    done = run_on_mount(
        PRELUDE
        + """
count = 0
while not refused():
    count += 1
assert count > 2, count
events = journal.events()
assert [event.sequence for event in events] == list(range(1, count + 1)), (len(events), count)
assert journal.verify().ok, journal.verify().problems
subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
assert journal.append("run.tracked", "run/after").sequence == count + 1
""",
        size="3m",
    )
    assert done.returncode == 0, done.stderr
    assert "disk is full: free some space" in done.stdout


def test_a_read_only_file_system_is_named(run_on_mount: Run) -> None:
    done = run_on_mount(
        PRELUDE
        + """
journal.append("run.tracked", "run/1")
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
assert refused()
subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
assert journal.append("run.tracked", "run/2").sequence == 2
"""
    )
    assert done.returncode == 0, done.stderr
    assert "file system is read-only: set NBMLOPS_WORKSPACE" in done.stdout


def test_a_read_only_file_system_without_a_journal_is_named(run_on_mount: Run) -> None:
    done = run_on_mount(
        PRELUDE + 'subprocess.run(["mount", "-o", "remount,ro", folder], check=True)\nassert refused()\n'
    )
    assert done.returncode == 0, done.stderr
    assert "read-only" in done.stdout


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_event_stands_although_its_head_could_not_be_written(
    sqlite_journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sqlite_journal.append("run.tracked", "run/1")

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="was recorded, but not the journal's head"):
        event = sqlite_journal.append("run.tracked", "run/2")
    assert sqlite_journal.events()[-1] == event
    assert sqlite_journal.head.read().sequence == 1
    assert [path.name for path in sqlite_journal.head.path.parent.glob("journal.head.*")] == ["journal.head.lock"]
    assert sqlite_journal.verify().ok


def test_a_lock_that_is_never_given_back_is_named(sqlite_journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_journal.append("run.tracked", "run/1")
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    waiting = Journal(str(sqlite_journal.database.url), sqlite_journal.head.path)
    with closing(sqlite3.connect(str(sqlite_journal.database.url.database))) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        assert len(waiting.events()) == 1  # readers go on
        with pytest.raises(StorageError, match=r"was locked for 0\.1 s.*Nothing was written"):
            waiting.append("run.tracked", "run/2")
        other.execute("ROLLBACK")
    assert waiting.append("run.tracked", "run/2").sequence == 2


def test_a_head_that_is_never_given_back_is_named(sqlite_journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOCK_SECONDS", 0.1)
    with sqlite_journal.head.locked(), pytest.raises(StorageError, match=r"journal.head was locked for 0\.1 s"):
        Journal(str(sqlite_journal.database.url), sqlite_journal.head.path).append("run.tracked", "run/1")
    assert sqlite_journal.append("run.tracked", "run/1").sequence == 1


@pytest.mark.parametrize("content", [b"this is no database at all, but long enough to be read as one" * 20, b"short"])
def test_a_file_that_is_no_database_is_named(sqlite_journal: Journal, content: bytes) -> None:
    path = Path(str(sqlite_journal.database.url.database))
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="is damaged"):
        sqlite_journal.append("run.tracked", "run/1")
    assert path.read_bytes() == content


def test_a_database_with_other_tables_is_named(sqlite_journal: Journal) -> None:
    with closing(sqlite3.connect(str(sqlite_journal.database.url.database))) as connection, connection:
        connection.execute("CREATE TABLE events (title TEXT)")
    with pytest.raises(Corrupt, match="does not hold the journal's tables"):
        sqlite_journal.append("run.tracked", "run/1")


def test_an_event_that_cannot_be_read_is_named(sqlite_journal: Journal) -> None:
    sqlite_journal.append("run.tracked", "run/1")
    with closing(sqlite3.connect(str(sqlite_journal.database.url.database))) as connection, connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET text = 'x'")
    with pytest.raises(Corrupt, match="event 1 of the journal can't be read"):
        sqlite_journal.events()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    journal = Journal(f"sqlite:///{tmp_path}/gone/journal.db", tmp_path / "head")
    with pytest.raises(StorageError, match=r"gone does not exist"):
        journal.append("run.tracked", "run/1")


def test_postgres_without_its_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"nbmlops\[postgres\]"):
        Journal("postgresql://ann@localhost/journal", tmp_path / "head").append("run.tracked", "run/1")


@pytest.mark.integration
def test_a_killed_server_is_named_and_nothing_acknowledged_is_lost(own_postgres: Any, tmp_path: Path) -> None:
    journal = Journal(own_postgres.url(own_postgres.new_database()), tmp_path / "head")
    events = [journal.append("run.tracked", f"run/{number}") for number in range(3)]
    own_postgres.crash()
    with pytest.raises(StorageError, match=r"can't be reached.*Check that the server runs"):
        journal.append("run.tracked", "run/lost")
    own_postgres.start()
    assert list(journal.events()) == events
    assert journal.append("run.tracked", "run/after").sequence == 4
    assert journal.verify().ok


@pytest.mark.integration
def test_a_postgres_appender_that_hangs_is_named(
    postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres.new_database()
    journal = Journal(postgres.url(name), tmp_path / "head")
    journal.append("run.tracked", "run/1")
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with postgres.connect(name) as other:
        other.execute(f"SELECT pg_advisory_lock({database.ADVISORY_LOCK})")
        with pytest.raises(StorageError, match="Another process held the journal"):
            journal.append("run.tracked", "run/2")
    assert journal.append("run.tracked", "run/2").sequence == 2


@pytest.mark.integration
def test_a_postgres_user_without_rights_is_named(postgres: Any, tmp_path: Path) -> None:
    name = postgres.new_database()
    with postgres.connect(name) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
    journal = Journal(postgres.url(name).replace(f"{postgres.user}@", "reader@"), tmp_path / "head")
    with pytest.raises(StorageError, match="grant it the right"):
        journal.append("run.tracked", "run/1")
    with pytest.raises(StorageError, match="can't be reached"):
        Journal(postgres.url("no_such_database"), tmp_path / "head").append("run.tracked", "run/1")
