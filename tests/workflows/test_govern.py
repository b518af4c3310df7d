from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sklearn.pipeline import Pipeline

from nbmlops.core.errors import InvalidInput, NotFound, Refused
from nbmlops.workflows.govern import at, environment, events, history, verify
from nbmlops.workflows.models import delete_model, promote
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session


def test_history_tells_who_did_what_and_why_refusals_too(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights", reason="first")
    promote("flights/1", "champion", reason="it won")
    with pytest.raises(Refused, match="champion"):
        delete_model("flights/1", reason="tidy up")

    told = history("flights")

    assert [(change.why, change.who) for change in told] == [
        ("first", "tester"),
        ("it won", "tester"),
        ("tidy up", "tester"),
    ]


def test_history_of_an_unknown_model_names_the_nearest(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights")

    with pytest.raises(NotFound, match="Did you mean flights"):
        history("flihgts")


def test_time_travel_shows_what_was_true_then(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights")
    promote("flights/1", "champion")
    before = events()[-1].time
    register_model(converting, name="flights")
    promote("flights/2", "champion")

    then, now = at(before), at(datetime.now(UTC))

    assert then.aliases["flights"]["champion"] == 1
    assert now.aliases["flights"]["champion"] == 2


def test_the_chain_verifies(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights")

    checked = verify()

    assert checked.ok
    assert checked.length == 2


def test_events_are_bounded(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights")

    assert [event.kind for event in events("model.*")] == ["model.registered"]
    assert len(events(limit=1)) == 1
    with pytest.raises(InvalidInput, match="10,000"):
        events(limit=0)


def test_a_version_remembers_its_environment(session: Session, converting: Pipeline) -> None:
    version = register_model(converting, name="flights")

    recorded = environment(version.reference)

    assert recorded.id == version.environment_id
    assert "scikit-learn==" in recorded.requirements()
    assert len(environment(version.reference, diff=version.reference)) == 0


def test_only_a_version_can_be_deleted_never_the_newest(session: Session, converting: Pipeline) -> None:
    register_model(converting, name="flights")

    with pytest.raises(InvalidInput, match="name/3"):
        delete_model("flights")
    delete_model("flights/1", reason="unused")

    assert register_model(converting, name="flights").version == 2
