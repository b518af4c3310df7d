"""What the events add up to: endpoints, aliases, versions, history and any moment of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.records import frozen_map
from nbmlops.journal import Event, Journal, aliases, describe, endpoints, history, versions
from nbmlops.journal.events import GENESIS

START = datetime(2013, 1, 1, tzinfo=UTC)


def _events(*changes: tuple[str, str, dict[str, Any]]) -> list[Event]:
    return [
        Event(
            id=str(number),
            source="/nbmlops",
            type=f"nbmlops.{type}",
            subject=subject,
            time=START + timedelta(minutes=number),
            data=frozen_map({"actor": "ann", **data}),
            sequence=number,
            previous=GENESIS,
        )
        for number, (type, subject, data) in enumerate(changes, start=1)
    ]


def _registered(version: int, name: str = "flights") -> tuple[str, str, dict[str, Any]]:
    return ("model.registered", f"model/{name}/{version}", {"name": name, "version": version})


def _alias(what: str, alias: str, version: int) -> tuple[str, str, dict[str, Any]]:
    data = {"name": "flights", "alias": alias, "version": version}
    return (what, f"model/flights/{version}", data)


def _deployed(traffic: dict[str, float]) -> tuple[str, str, dict[str, Any]]:
    data = {
        "endpoint": "flights",
        "model": "flights",
        "target": "local",
        "url": "http://127.0.0.1:1",
        "traffic": traffic,
        "arms": [{"version": version, "bundle": "sha256:b", "runtime": "onnx", "why": "agrees"} for version in traffic],
    }
    return ("endpoint.deployed", "endpoint/flights", data)


def _endpoint(what: str, **data: Any) -> tuple[str, str, dict[str, Any]]:
    return (f"endpoint.{what}", "endpoint/flights", {"endpoint": "flights", **data})


def _moved(what: str, traffic: dict[str, float]) -> tuple[str, str, dict[str, Any]]:
    return _endpoint(what, traffic=traffic)


def test_an_endpoint_is_the_fold_of_its_events() -> None:
    state = endpoints(_events(_deployed({"1": 100}), _moved("traffic_moved", {"1": 90, "2": 10})))["flights"]
    assert (state.model, state.target, state.url) == ("flights", "local", "http://127.0.0.1:1")
    assert (state.traffic, state.splits, state.versions) == ({"1": 90.0, "2": 10.0}, ({"1": 100.0},), ("1",))
    assert (state.status, state.deployed_at) == ("deployed", START + timedelta(minutes=1))
    assert state.to_dict()["traffic"] == {"1": 90.0, "2": 10.0}


def test_rollbacks_walk_back_one_split_at_a_time() -> None:
    changes = [_deployed({"1": 100}), _deployed({"1": 50, "2": 50}), _moved("traffic_moved", {"2": 100})]
    assert endpoints(_events(*changes))["flights"].splits == ({"1": 100.0}, {"1": 50.0, "2": 50.0})
    changes.append(_moved("rolled_back", {"1": 50, "2": 50}))
    state = endpoints(_events(*changes))["flights"]
    assert (state.traffic, state.splits) == ({"1": 50.0, "2": 50.0}, ({"1": 100.0},))
    changes.append(_moved("rolled_back", {"1": 100}))
    assert endpoints(_events(*changes))["flights"].splits == ()


def test_steps_of_a_rollout_move_the_traffic_and_are_undone_together() -> None:
    changes = [
        _deployed({"1": 100}),
        _deployed({"1": 95, "2": 5}),
        _moved("rollout_advanced", {"1": 75, "2": 25}),
        _moved("rollout_finished", {"2": 100}),
    ]
    state = endpoints(_events(*changes))["flights"]
    assert (state.traffic, state.splits) == ({"2": 100.0}, ({"1": 100.0},))
    state = endpoints(_events(*changes[:3], _moved("rolled_back", {"1": 100})))["flights"]
    assert (state.traffic, state.splits) == ({"1": 100.0}, ())


def test_a_change_that_was_overtaken_is_not_the_last_word() -> None:
    """Two kernels and a supervisor append in another order than they changed the endpoint."""
    first, second, third = (
        _endpoint("traffic_moved", traffic=traffic, shadows=shadows, revision=revision)
        for traffic, shadows, revision in (
            ({"1": 90, "2": 10}, {"3": 5}, 2),
            ({"1": 50, "2": 50}, {"3": 6}, 3),
            ({"1": 100}, {}, 4),
        )
    )
    state = endpoints(_events(_deployed({"1": 100}), third, second, first))["flights"]
    assert (state.traffic, state.shadows, state.revision) == ({"1": 100.0}, {}, 4)
    assert {"1": 90.0, "2": 10.0} in state.splits
    kind, subject, data = _deployed({"1": 95, "2": 5})
    late = endpoints(_events(_deployed({"1": 100}), third, (kind, subject, data | {"revision": 2})))["flights"]
    assert (late.traffic, late.versions) == ({"1": 100.0}, ("1", "2"))
    again = endpoints(_events(_deployed({"1": 100}), third, _endpoint("deleted"), first, _deployed({"2": 100})))
    assert (again["flights"].traffic, again["flights"].revision) == ({"2": 100.0}, 0)


def test_what_a_rollout_did_is_told_in_words() -> None:
    split = {"traffic": {"1": 100.0}, "previous": {"1": 95.0, "2": 5.0}, "because": "version 2: error rate 9 %"}
    told = [
        describe(event)
        for event in _events(
            _endpoint("guardrail_tripped", rule="error_rate", **split),
            _endpoint("rolled_back", **split),
            _endpoint("rolled_back", **(split | {"because": None})),
            _endpoint("rollout_advanced", **split),
            _endpoint("token_rotated", grace_s=60.0),
            _endpoint("capture_failing", because="the traffic can't be kept (no space left); scoring goes on"),
        )
    ]
    assert told == [
        "flights: guardrail error_rate tripped, version 2: error rate 9 %",
        "flights rolled back from 1 = 95 %, 2 = 5 % to 1 = 100 %: version 2: error rate 9 %",
        "flights rolled back from 1 = 95 %, 2 = 5 % to 1 = 100 %",
        "rollout at flights went on from 1 = 95 %, 2 = 5 % to 1 = 100 %: version 2: error rate 9 %",
        "flights has a new token; the one before is taken for 60.0 s more",
        "flights: the traffic can't be kept (no space left); scoring goes on",
    ]


def test_history_tells_of_a_member_where_its_ensemble_was_deployed() -> None:
    kind, subject, data = _deployed({"a-3x1+b-1x1": 100})
    members = [{"model": "a", "version": "3"}, {"model": "b", "version": "1"}]
    arms = [{"version": "a-3x1+b-1x1", "bundle": "sha256:e", "members": members}]
    events = _events((kind, subject, data | {"arms": arms}))
    assert [len(history(events, model)) for model in ("a/3", "a", "b/1", "a/4", "c")] == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("unhealthy", "unhealthy"),
        ("recovered", "deployed"),
        ("restarted", "deployed"),
        ("stopped", "stopped"),
        ("deleted", "deleted"),
    ],
)
def test_the_status_follows_the_last_event(what: str, status: str) -> None:
    assert endpoints(_events(_deployed({"1": 100}), _endpoint(what)))["flights"].status == status


def test_an_endpoint_that_was_deleted_begins_anew() -> None:
    state = endpoints(_events(_deployed({"1": 100}), _endpoint("deleted"), _deployed({"2": 100})))["flights"]
    assert (state.status, state.splits) == ("deployed", ())


def test_an_event_of_an_unknown_endpoint_makes_none() -> None:
    assert endpoints(_events(_endpoint("unhealthy"), _registered(1))) == {}


def test_aliases_move_and_go_with_their_version() -> None:
    changes = [_registered(1), _registered(2), _alias("alias.set", "champion", 1), _alias("alias.set", "old", 1)]
    assert aliases(_events(*changes)) == {"flights": {"champion": 1, "old": 1}}
    changes += [
        _alias("alias.set", "champion", 2),
        ("model.deleted", "model/flights/1", {"name": "flights", "version": 1}),
    ]
    assert aliases(_events(*changes)) == {"flights": {"champion": 2}}
    assert versions(_events(*changes)) == {"flights": (2,)}
    changes.append(_alias("alias.removed", "champion", 2))
    assert aliases(_events(*changes)) == {}


def test_a_change_that_was_only_observed_counts() -> None:
    what, subject, data = _alias("alias.set", "champion", 1)
    (event,) = _events((f"observed.{what}", subject, data))
    assert aliases([event]) == {"flights": {"champion": 1}}
    assert describe(event) == "alias champion set to version 1 (seen afterwards, done elsewhere)"


@given(st.lists(st.tuples(st.sampled_from(["alias.set", "alias.removed"]), st.sampled_from("abc"), st.integers(1, 3))))
def test_aliases_agree_with_a_plain_dictionary(steps: list[tuple[str, str, int]]) -> None:
    expected: dict[str, int] = {}
    for what, alias, version in steps:
        if what == "alias.set":
            expected[alias] = version
        else:
            expected.pop(alias, None)
    assert aliases(_events(*(_alias(*step) for step in steps))).get("flights", {}) == expected


TRAFFIC = st.sampled_from([{"1": 100.0}, {"2": 100.0}, {"1": 90.0, "2": 10.0}])


@given(st.lists(TRAFFIC, min_size=1, max_size=8), st.data())
def test_each_rollback_undoes_the_last_move_that_still_stands(
    moves: list[dict[str, float]], data: st.DataObject
) -> None:
    """The fold against a stack: a rollback takes the top of `splits`, down to the first deployment."""
    changes, stack = [_deployed(moves[0])], [moves[0]]
    for split in moves[1:]:
        if split not in stack:  # a split that comes twice may be rolled back to either
            changes.append(_moved("traffic_moved", split))
            stack.append(split)
    for _ in range(data.draw(st.integers(0, len(stack) - 1))):
        stack.pop()
        changes.append(_moved("rolled_back", endpoints(_events(*changes))["flights"].splits[-1]))
    state = endpoints(_events(*changes))["flights"]
    assert [*state.splits, state.traffic] == stack


def test_history_tells_when_who_what_why() -> None:
    story = history(
        _events(
            _registered(1),
            _registered(1, "other"),
            _alias("alias.set", "champion", 1),
            _deployed({"1": 100}),
            _registered(2),
            _endpoint("unhealthy", because="out of memory"),
            (
                "model.refused",
                "model/flights/1",
                {"name": "flights", "version": 1, "verb": "delete", "because": ["a", "b"]},
            ),
        ),
        "flights",
    )
    assert [change.what for change in story] == [
        "version 1 registered",
        "alias champion set to version 1",
        "deployed to flights (local), traffic 1 = 100 %",
        "version 2 registered",
        "flights unhealthy: out of memory",
        "delete refused: a; b",
    ]
    assert (story.changes[0].who, story.changes[0].when) == ("ann", START + timedelta(minutes=1))
    assert "out of memory" in story._repr_html_()
    assert story.to_dict()["model"] == "flights"


def test_history_of_a_version_leaves_out_the_others() -> None:
    changes = _events(_registered(1), _registered(2), _deployed({"1": 100}), _endpoint("restarted", because="died"))
    assert [change.sequence for change in history(changes, "flights/1")] == [1, 3, 4]
    assert [change.sequence for change in history(changes, "flights/2")] == [2, 4]
    assert [change.sequence for change in history(changes, "flights@champion")] == [1, 2, 3, 4]
    assert len(history(changes, "other")) == 0


def test_a_name_with_a_number_at_its_end_keeps_it() -> None:
    assert len(history(_events(_registered(1, "flights 2013")), "flights 2013/1")) == 1


def test_the_journal_shows_any_moment_of_the_past(journal: Journal) -> None:
    def append(*change: Any) -> Event:
        event = journal.append(*change)
        while datetime.now(UTC) - event.time < timedelta(
            milliseconds=2
        ):  # two events of one millisecond are one moment
            pass
        return event

    append(*_registered(1))
    append(*_alias("alias.set", "champion", 1))
    before = append(*_deployed({"1": 100}))
    append(*_moved("traffic_moved", {"1": 50, "2": 50}))
    after = append(*_endpoint("deleted"))
    past = journal.at(before.time)
    assert past.endpoints["flights"].traffic == {"1": 100.0}
    assert (past.aliases, past.versions) == ({"flights": {"champion": 1}}, {"flights": (1,)})
    assert "1 = 100 %" in past._repr_html_()
    assert "champion → 1" in past._show_().text
    assert journal.at(after.time).endpoints == {}
    nothing = journal.at(before.time - timedelta(days=1))
    assert (nothing.versions, "Nothing was registered" in nothing._repr_html_()) == ({}, True)
    assert past.to_dict()["versions"] == {"flights": [1]}


def test_an_event_of_an_unknown_type_is_told_by_its_type() -> None:
    (event,) = _events(("model.moon_phase", "model/a/1", {}))
    assert describe(event) == "model moon phase"
    (event,) = _events(("alias.set", "model/a/1", {}))
    assert describe(event) == "alias – set to version –"
