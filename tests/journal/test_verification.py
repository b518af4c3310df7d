"""Whatever is done to the stored journal, the check finds it and names the event."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from nbmlops.journal import Event, Journal, Verification
from nbmlops.journal.events import GENESIS, digest
from nbmlops.journal.head import Head

LENGTH = 6
COLUMNS = ("id", "type", "subject", "time", "operation", "hash", "text")
Tamper = Callable[[sqlite3.Connection], None]
PLACES = st.integers(1, LENGTH)
TRIGGERS = ("events_no_update", "events_no_delete", "events_only_append")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole journal of six events."""
    folder = tmp_path_factory.mktemp("original")
    journal = _journal(folder)
    for number in range(LENGTH):
        journal.append("run.tracked", f"run/{number}", {"operation": f"operation {number}", "note": "é€"})
    assert journal.verify() == Verification(True, LENGTH, journal.head.read().hash, ())
    return folder


def _journal(folder: Path) -> Journal:
    return Journal(f"sqlite:///{folder}/journal.db", folder / "journal.head")


@pytest.fixture(scope="module")
def tampered(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Tamper], Verification]:
    """Return what the check says of a copy after something was done to it behind the triggers' back."""
    copy = tmp_path_factory.mktemp("copy")

    def verify(tamper: Tamper) -> Verification:
        for name in ("journal.db", "journal.head"):
            shutil.copy(original / name, copy / name)
        with closing(sqlite3.connect(copy / "journal.db")) as connection, connection:
            for trigger in TRIGGERS:
                connection.execute(f"DROP TRIGGER {trigger}")
            tamper(connection)
        return _journal(copy).verify()

    return verify


@given(st.data())
def test_a_changed_byte_is_found_and_named(tampered: Callable[[Tamper], Verification], data: st.DataObject) -> None:
    place, column = data.draw(PLACES), data.draw(st.sampled_from(COLUMNS))
    mask = data.draw(st.integers(1, 255))

    def flip(connection: sqlite3.Connection) -> None:
        query = f"SELECT CAST({column} AS BLOB) FROM events WHERE sequence = ?"
        content = bytearray(connection.execute(query, [place]).fetchone()[0])
        content[data.draw(st.integers(0, len(content) - 1))] ^= mask
        update = f"UPDATE events SET {column} = CAST(? AS TEXT) WHERE sequence = ?"
        connection.execute(update, [bytes(content), place])

    found = tampered(flip)
    assert not found.ok
    assert any(problem.startswith(f"event {place}:") for problem in found.problems), found.problems


@given(PLACES)
def test_a_removed_event_is_found_and_named(tampered: Callable[[Tamper], Verification], place: int) -> None:
    found = tampered(lambda connection: _execute(connection, "DELETE FROM events WHERE sequence = ?", place))
    missing = f"event {place}: missing" if place < LENGTH else f"event {LENGTH} to {LENGTH}: missing"
    assert any(problem.startswith(missing) for problem in found.problems), found.problems


@given(st.integers(0, LENGTH - 1))
def test_a_cut_tail_is_found_and_named(tampered: Callable[[Tamper], Verification], kept: int) -> None:
    found = tampered(lambda connection: _execute(connection, "DELETE FROM events WHERE sequence > ?", kept))
    assert found.problems == (f"event {kept + 1} to {LENGTH}: missing, the end was cut off",)


@given(PLACES, PLACES)
def test_events_that_changed_places_are_found_and_named(
    tampered: Callable[[Tamper], Verification], one: int, other: int
) -> None:
    def swap(connection: sqlite3.Connection) -> None:
        for old, new in ((one, 100), (other, one), (100, other)):
            _execute(connection, "UPDATE events SET sequence = ? WHERE sequence = ?", new, old)

    found = tampered(swap)
    assert found.ok == (one == other)
    for place, holds in ((one, other), (other, one)) if one != other else ():
        assert f"event {place}: holds the event that was appended as {holds}" in found.problems


@given(PLACES)
def test_a_rewritten_chain_differs_from_the_head(tampered: Callable[[Tamper], Verification], place: int) -> None:
    def rewrite(connection: sqlite3.Connection) -> None:
        changes = {"subject": "run/forged"}
        for sequence in range(place, LENGTH + 1):
            changes = {"previous": _rewrite(connection, sequence, changes)}

    found = tampered(rewrite)
    assert found.problems == (f"event {LENGTH}: is not the one that was acknowledged (the head differs)",)


def test_a_broken_link_is_found_and_named(tampered: Callable[[Tamper], Verification]) -> None:
    def relink(connection: sqlite3.Connection) -> None:
        _rewrite(connection, 3, {"previous": GENESIS})

    assert tampered(relink).problems == (
        "event 3: does not follow event 2 (its link to the previous digest differs)",
        "event 4: does not follow event 3 (its link to the previous digest differs)",
    )


def _rewrite(connection: sqlite3.Connection, sequence: int, changes: dict[str, str]) -> str:
    """Change an event as somebody would who knows the format, and return its new digest."""
    (stored,) = connection.execute("SELECT text FROM events WHERE sequence = ?", [sequence]).fetchone()
    forged = replace(Event.from_text(stored), **changes)  # type: ignore[arg-type]
    update = "UPDATE events SET text = ?, hash = ?, subject = ? WHERE sequence = ?"
    _execute(connection, update, forged.text, digest(forged.text), forged.subject, sequence)
    return digest(forged.text)


def _execute(connection: sqlite3.Connection, statement: str, *values: object) -> None:
    connection.execute(statement, values)


@given(st.data())
@settings(max_examples=300)
def test_a_flipped_byte_of_the_file_is_never_taken_for_the_truth(
    original: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray((original / "journal.db").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    copy = tmp_path_factory.getbasetemp() / "flipped"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    (copy / "journal.db").write_bytes(content)
    shutil.copy(original / "journal.head", copy)
    # Some bytes carry nothing (free space, statistics): then the events must be the ones that were appended.
    verification = _journal(copy).verify()
    assert not verification.ok or _journal(copy).events() == _journal(original).events()


def test_a_head_that_lags_is_no_problem(sqlite_journal: Journal) -> None:
    sqlite_journal.append("run.tracked", "run/1")
    head = sqlite_journal.head.path.read_bytes()
    sqlite_journal.append("run.tracked", "run/2")
    sqlite_journal.head.path.write_bytes(head)
    assert sqlite_journal.verify().ok


def test_an_unreadable_head_is_a_problem(sqlite_journal: Journal) -> None:
    sqlite_journal.append("run.tracked", "run/1")
    sqlite_journal.head.path.write_text("{}")
    problems = sqlite_journal.verify().problems
    assert len(problems) == 1
    assert "does not hold the journal's head" in problems[0]


def test_the_head_never_goes_back(sqlite_journal: Journal) -> None:
    sqlite_journal.head.advance(Head(5, "sha256:five"))
    sqlite_journal.head.advance(Head(4, "sha256:four"))
    assert sqlite_journal.head.read() == Head(5, "sha256:five")
    assert [path.name for path in sqlite_journal.head.path.parent.glob("journal.head.*")] == ["journal.head.lock"]


def test_the_empty_journal_is_whole(journal: Journal) -> None:
    assert (journal.verify().ok, journal.verify().length) == (True, 0)


def test_the_verification_shows_itself(journal: Journal) -> None:
    journal.append("run.tracked", "run/1")
    assert "✓ whole" in journal.verify()._repr_html_()
    with journal.database.append() as connection:
        for trigger in TRIGGERS if journal.database.is_sqlite else ("events_no_change",):
            on = "" if journal.database.is_sqlite else " ON events"
            connection.execute(text(f"DROP TRIGGER {trigger}{on}"))
        connection.execute(text("UPDATE events SET subject = 'run/2'"))
    verification = journal.verify()
    assert not verification
    assert "event 1: its column subject does not agree" in verification._show_().text
    assert "NOT whole" in verification._repr_html_()
