"""Acts that span systems: intent, outcome, failure, and what a killed process leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from nbmlops.core.errors import InvalidInput, Refused, StorageError
from nbmlops.journal import Event, Journal, operations


def _kinds(journal: Journal) -> list[str]:
    return [event.kind for event in journal.events()]


def test_an_operation_appends_its_intent_and_its_outcome(journal: Journal) -> None:
    with journal.operation("model.registered", "model/flights", {"name": "flights"}, reason="first") as operation:
        assert _kinds(journal) == ["operation.started"]
        outcome = operation.done("model/flights/1", version=1)
    started, done = journal.events()
    assert (done, done.subject, done.kind) == (outcome, "model/flights/1", "model.registered")
    assert (started.data["verb"], started.data["name"]) == ("model.registered", "flights")
    assert started.data["operation"] == done.data["operation"] == operation.id
    assert started.data["process"]["pid"] == os.getpid()
    assert started.reason == done.reason == "first"
    assert journal.unfinished() == ()


def test_an_error_is_recorded_by_its_class_alone_and_passes(journal: Journal) -> None:
    with pytest.raises(Refused), journal.operation("endpoint.deployed", "endpoint/flights"):
        raise Refused("the row [1, 2, 3] is secret")
    failed = journal.events()[-1]
    assert (failed.kind, failed.data["error"], failed.data["verb"]) == (
        "operation.failed", "Refused", "endpoint.deployed",
    )  # fmt: skip
    assert "secret" not in failed.text
    assert journal.unfinished() == ()


def test_an_interrupt_is_recorded_too(journal: Journal) -> None:
    with pytest.raises(KeyboardInterrupt), journal.operation("endpoint.deployed", "endpoint/flights"):
        raise KeyboardInterrupt
    assert journal.events()[-1].data["error"] == "KeyboardInterrupt"


def test_leaving_without_an_outcome_is_an_error(journal: Journal) -> None:
    with pytest.raises(RuntimeError, match="left without done"), journal.operation("model.tagged", "model/a/1"):
        pass
    assert _kinds(journal) == ["operation.started", "operation.failed"]


def test_an_operation_has_one_outcome(journal: Journal) -> None:
    with journal.operation("model.tagged", "model/a/1") as operation:
        operation.done()
        with pytest.raises(RuntimeError, match="already"):
            operation.done()
    assert _kinds(journal) == ["operation.started", "model.tagged"]


def test_the_error_passes_where_the_journal_fails_too(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> Event:
        raise StorageError("the disk is full")

    act = journal.operation("model.tagged", "model/a/1")
    act.__enter__()
    monkeypatch.setattr(journal, "append", full)
    error = Refused("no")
    assert not act.__exit__(Refused, error, None)
    assert "disk is full" in error.__notes__[0]


def test_the_keys_of_an_operation_are_its_own(journal: Journal) -> None:
    with pytest.raises(InvalidInput, match="process"), journal.operation("model.tagged", "model/a/1", {"process": 1}):
        pass
    assert journal.events() == ()


KILLED = """
import os, signal, sys
from pathlib import Path
from nbmlops.journal import Journal
with Journal(sys.argv[1], Path(sys.argv[2])).operation("model.registered", "model/flights", {"name": "flights"}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_an_unfinished_operation_which_is_marked_once(
    journal: Journal, journal_url: str
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, journal_url, str(journal.head.path)], check=False)
    (event,) = journal.unfinished()
    assert (event.kind, event.data["name"]) == ("operation.started", "flights")
    marked = journal.interrupted(event, removed="run 1")
    assert marked is not None
    assert (marked.kind, marked.data["removed"], marked.subject) == ("operation.interrupted", "run 1", "model/flights")
    assert journal.interrupted(event) is None
    assert journal.unfinished() == ()
    assert _kinds(journal) == ["operation.started", "operation.interrupted"]


def _started(journal: Journal, **process: object) -> Event:
    content = {"operation": "o1", "verb": "model.tagged", "process": {**operations.this_process(), **process}}
    return journal.append("operation.started", "model/a/1", content)


def test_a_living_operation_is_not_unfinished(sqlite_journal: Journal) -> None:
    _started(sqlite_journal)
    assert sqlite_journal.unfinished() == ()


def test_another_process_with_the_same_number_does_not_count(sqlite_journal: Journal) -> None:
    event = _started(sqlite_journal, started=psutil.Process().create_time() - 60)
    assert sqlite_journal.unfinished() == (event,)


def test_one_on_another_host_is_given_a_day(sqlite_journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    event = _started(sqlite_journal, host="elsewhere", pid=1)
    assert sqlite_journal.unfinished() == ()
    old = replace(event, time=datetime.now(UTC) - timedelta(days=1, seconds=1))
    monkeypatch.setattr(sqlite_journal, "select", lambda query: [old])
    assert sqlite_journal.unfinished() == (old,)


def test_only_an_operation_can_be_interrupted(sqlite_journal: Journal) -> None:
    with pytest.raises(InvalidInput, match="belongs to no operation"):
        sqlite_journal.interrupted(sqlite_journal.append("run.tracked", "run/1"))
