"""The shape of an event: CloudEvents, canonical text, and what is refused."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import frozen_map
from nbmlops.journal import Event, Events
from nbmlops.journal.events import DATA_LIMIT, GENESIS, check_data, draft

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def _event(data: dict[str, Any]) -> Event:
    return Event(
        id="0190b5a0-0000-7000-8000-000000000000",
        source="/nbmlops/flights",
        type="nbmlops.model.registered",
        subject="model/flights/1",
        time=datetime(2013, 1, 1, 12, 30, 0, 123000, tzinfo=UTC),
        data=frozen_map(data),
        sequence=1,
        previous=GENESIS,
    )


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_text_survives_the_way_there_and_back(data: dict[str, Any]) -> None:
    event = _event(check_data(data))
    again = Event.from_text(event.text)
    assert again == event
    assert again.text == event.text


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_an_event_is_a_cloud_event(data: dict[str, Any]) -> None:
    event = _event(data)
    read = JSONFormat().read(CloudEvent, json.dumps(event.to_dict()))
    assert isinstance(read, CloudEvent)
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, event.type)
    assert (read.get_subject(), read.get_time(), read.get_data()) == (event.subject, event.time, data)
    assert read.get_extension("sequence") == 1
    assert json.loads(JSONFormat().write(read))["time"].startswith("2013-01-01T12:30:00.123")


def test_the_text_is_rfc_8785() -> None:
    event = _event({"b": 100.0, "a": 1e21, "é": "\u20ac"})
    assert '"data":{"a":1e+21,"b":100,"é":"€"}' in event.text
    assert event.text.encode() == digests.canonical(json.loads(event.text))


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"metrics": {"auc": math.nan}}, r"data\.metrics\.auc is nan"),
        ({"a": [0, math.inf]}, r"data\.a\[1\] is inf"),
        ({"a": 2**53}, r"data\.a is 9007199254740992"),
        ({"model": object()}, r"data\.model is a object"),
        ({"when": datetime.now()}, r"data\.when is a datetime"),
        ({"a": {1: 2}}, r"data\.a has the key 1"),
        ({"a": "\ud800"}, r"data\.a holds text that is no Unicode"),
        ({"rows": ["x" * 300_000]}, r"most of them in data\.rows"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_place(data: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidInput, match=where):
        draft("run.tracked", "run/1", data)


def test_data_that_holds_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["a"] = data
    with pytest.raises(InvalidInput, match="nested more than"):
        draft("run.tracked", "run/1", data)


def test_data_at_the_limit_are_taken() -> None:
    room = DATA_LIMIT - len(digests.canonical({"a": ""}))
    assert check_data({"a": "x" * room})
    with pytest.raises(InvalidInput, match="take"):
        check_data({"a": "x" * (room + 1)})


@pytest.mark.parametrize("type", ["", "model", "Model.Registered", "model.", "a b.c", "model.registered\n"])
def test_a_malformed_type_is_refused(type: str) -> None:
    with pytest.raises(InvalidInput, match="no event type"):
        draft(type, "run/1")


@pytest.mark.parametrize("subject", ["", "a\nb", "a\x00b", "\ud800", "x" * 501])
def test_a_malformed_subject_is_refused(subject: str) -> None:
    with pytest.raises(InvalidInput, match="no event subject"):
        draft("run.tracked", subject)


def test_events_show_themselves_escaped() -> None:
    events = Events([_event({"version": 3, "actor": "<b>ann</b>", "reason": "why not"})])
    assert "version 3 registered" in repr(events)
    assert "&lt;b&gt;ann&lt;/b&gt;" in events._repr_html_()
    assert "register" in repr(Events())
    assert events.to_dict()["results"][0]["subject"] == "model/flights/1"
