"""Appending, reading, time, migration: what a user of the journal sees on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nbmlops.core.errors import Corrupt, InvalidInput, StorageError
from nbmlops.core.workspace import Workspace
from nbmlops.journal import Event, Events, Journal, schema


def _append(journal: Journal, count: int) -> list[Event]:
    return [journal.append("run.tracked", f"run/{number}", {"number": number}) for number in range(count)]


def test_an_event_is_read_back_as_it_was_appended(journal: Journal) -> None:
    appended = journal.append("model.registered", "model/flights/1", {"version": 1, "share": 0.5}, reason="first")
    assert journal.events() == Events([appended])
    assert appended.type == "nbmlops.model.registered"
    assert appended.kind == "model.registered"
    assert (appended.actor, appended.reason) == ("tester", "first")
    assert appended.data["share"] == 0.5
    assert appended.source == "/nbmlops/test"
    assert abs(appended.time - datetime.now(UTC)) < timedelta(minutes=5)


def test_sequence_and_links_are_without_a_gap(journal: Journal) -> None:
    events = _append(journal, 5)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert len({event.previous for event in events}) == 5
    verification = journal.verify()
    assert (verification.ok, verification.length) == (True, 5)


def test_events_are_chosen_by_type_subject_place_and_number(journal: Journal) -> None:
    _append(journal, 4)
    journal.append("model.registered", "model/a/1")
    journal.append("model.tagged", "model/A/1")

    def found(**choice: object) -> list[int]:
        return [event.sequence for event in journal.events(**choice)]  # type: ignore[arg-type]

    assert found(type="model.*") == [5, 6]
    assert found(type="model.registered") == [5]
    assert found(type="nbmlops.model.registered") == [5]
    assert found(subject="model/a*") == [5]
    assert found(subject="run/2") == [3]
    assert found(limit=2) == [5, 6]
    assert found(after=2, limit=2) == [3, 4]
    assert found(after=6) == []
    assert found(type="model._egistered") == []


def test_until_takes_events_up_to_a_time_in_any_zone(journal: Journal) -> None:
    first, second = _append(journal, 2)
    assert journal.events(until=first.time - timedelta(milliseconds=1)) == ()
    assert second in journal.events(until=second.time)
    assert len(journal.events(until=datetime.now() + timedelta(minutes=5))) == 2


def test_two_objects_and_many_threads_append_to_one_chain(journal: Journal, journal_url: str) -> None:
    other = Journal(journal_url, journal.head.path)
    threads = [threading.Thread(target=_append, args=(one, 10)) for one in (journal, other, journal, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verification = journal.verify()
    assert (verification.ok, verification.length) == (True, 40), verification.problems


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET subject = 'x' WHERE sequence = 1",
        "DELETE FROM events WHERE sequence = 2",
        "DELETE FROM events",
    ],
)
def test_the_database_itself_refuses_to_change_an_event(journal: Journal, statement: str) -> None:
    _append(journal, 2)
    with pytest.raises(DBAPIError, match="append-only"), journal.database.append() as connection:
        connection.execute(text(statement))
    assert journal.verify().length == 2


def test_sqlite_refuses_to_replace_an_event(sqlite_journal: Journal) -> None:
    _append(sqlite_journal, 2)
    with pytest.raises(DBAPIError, match="append-only"), sqlite_journal.database.append() as connection:
        connection.execute(text("INSERT OR REPLACE INTO events SELECT * FROM events WHERE sequence = 1"))


@pytest.mark.integration
def test_postgres_refuses_to_truncate_the_journal(postgres: Any, tmp_path: Path) -> None:
    journal = Journal(postgres.url(postgres.new_database()), tmp_path / "head")
    _append(journal, 2)
    with pytest.raises(DBAPIError, match="append-only"), journal.database.append() as connection:
        connection.execute(text("TRUNCATE events"))


def test_a_journal_of_an_older_format_is_migrated_with_its_events(journal: Journal, journal_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "STEPS", schema.STEPS[:1])
        patch.setattr(schema.migrate, "__defaults__", (schema.STEPS[:1],))
        events = _append(Journal(journal_url, journal.head.path, source=journal.source), 3)
    with journal.database.read() as connection:
        assert schema.version(connection) == 1
    assert list(journal.events()) == events
    assert journal.append("run.tracked", "run/9").sequence == 4
    with journal.database.read() as connection:
        assert schema.version(connection) == len(schema.STEPS) == 2
    assert journal.verify().ok
    with pytest.raises(DBAPIError, match="append-only"), journal.database.append() as connection:
        connection.execute(text("DELETE FROM events"))


def test_a_journal_of_a_newer_format_is_left_alone(journal: Journal, journal_url: str) -> None:
    _append(journal, 1)
    with journal.database.append() as connection:
        connection.execute(schema.format_table.update().values(version=99))
    with pytest.raises(StorageError, match=r"format 99.*upgrade nbmlops"):
        Journal(journal_url, journal.head.path).append("run.tracked", "run/1")


def test_a_cut_tail_stops_the_next_append(sqlite_journal: Journal) -> None:
    _append(sqlite_journal, 3)
    with sqlite_journal.database.append() as connection:
        connection.execute(text("DROP TRIGGER events_no_delete"))
        connection.execute(text("DELETE FROM events WHERE sequence = 3"))
    with pytest.raises(Corrupt, match=r"ends at event 2, but event 3 was acknowledged"):
        _append(sqlite_journal, 1)
    assert len(sqlite_journal.events()) == 2


def test_a_removed_database_is_not_silently_begun_anew(sqlite_journal: Journal, tmp_path: Path) -> None:
    _append(sqlite_journal, 3)
    (tmp_path / "journal.db").unlink()
    again = Journal(f"sqlite:///{tmp_path}/journal.db", sqlite_journal.head.path)
    with pytest.raises(Corrupt, match="event 3 was acknowledged"):
        again.events()
    assert not (tmp_path / "journal.db").exists()
    assert not again.verify().ok


def test_a_lost_head_is_written_again(sqlite_journal: Journal) -> None:
    _append(sqlite_journal, 3)
    sqlite_journal.head.path.unlink()
    _append(sqlite_journal, 1)
    assert sqlite_journal.head.read().sequence == 4


def test_the_workspace_says_where_the_journal_and_its_head_are(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Journal.open(workspace)
    own.append("run.tracked", "run/1")
    assert (workspace.journal_db.exists(), own.head.path) == (True, workspace.home / "journal.head")
    assert own.source == "/nbmlops/project"
    monkeypatch.setenv("NBMLOPS_JOURNAL_URI", f"sqlite:///{workspace.home}/other.db")
    assert Journal.open(workspace).head.path != own.head.path


def test_opening_creates_the_workspace_where_there_is_none(tmp_path: Path) -> None:
    Journal.open(Workspace(tmp_path)).append("run.tracked", "run/1")
    assert (tmp_path / ".nbmlops/journal.db").is_file()


def test_a_workspace_that_was_moved_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    _append(Journal.open(workspace), 2)
    moved = workspace.root.rename(tmp_path / "elsewhere")
    journal = Journal.open(Workspace(moved))
    _append(journal, 1)
    assert (journal.verify().ok, journal.verify().length) == (True, 3)


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_holds_no_journal_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="sqlite:///path"):
        Journal(url, tmp_path / "head")


def test_no_message_shows_the_password(tmp_path: Path) -> None:
    journal = Journal("postgresql://ann:s3cret@127.0.0.1:1/journal", tmp_path / "head")
    with pytest.raises(StorageError, match=r"can't be reached") as caught:
        journal.append("run.tracked", "run/1")
    assert "s3cret" not in str(caught.value) + repr(journal) + repr(journal.database)
