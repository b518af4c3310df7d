from __future__ import annotations

import pytest

from nbmlops.core.errors import EndpointError, InvalidInput
from nbmlops.profiling import drive, load
from tests.profiling.conftest import BUSY, OK

HEADERS = {"content-type": "application/json"}
BODIES = [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("connections", [1, 8])
def test_every_answer_is_counted_and_timed(serve, connections):
    seen = drive(serve(), HEADERS, BODIES, connections=connections, seconds=0.2)
    assert seen.connections == connections
    assert seen.requests > connections
    assert seen.errors == {}
    assert 0 < seen.p50_ms <= seen.p95_ms <= seen.p99_ms <= seen.max_ms
    assert seen.rps == pytest.approx(seen.requests / seen.seconds)
    assert seen.seconds >= 0.2


def test_a_request_that_is_turned_down_is_an_error_and_no_crash(serve):
    seen = drive(serve((OK, BUSY, BUSY)), HEADERS, BODIES, connections=1, seconds=0.2)
    assert set(seen.errors) == {"429"}
    assert 0 < seen.requests < seen.errors["429"] * 1.1


def test_only_errors_leave_no_latency(serve):
    seen = drive(serve((BUSY,)), HEADERS, BODIES, connections=2, seconds=0.1)
    assert (seen.requests, seen.p99_ms, seen.rps) == (0, 0.0, 0.0)


def test_a_dropped_connection_is_counted_and_opened_again(serve):
    seen = drive(serve(drop_after=5), HEADERS, BODIES, connections=1, seconds=0.3)
    assert seen.errors == {"disconnected": 1}
    assert seen.requests > 5


def test_a_server_that_ends_under_way_is_an_error(serve):
    with pytest.raises(EndpointError, match="stopped answering after"):
        drive(serve(end_after=5), HEADERS, BODIES, connections=2, seconds=0.3)


def test_a_place_where_nothing_listens_is_an_error(serve):
    with pytest.raises(EndpointError, match="stopped answering after 0 requests"):
        drive("http://127.0.0.1:1/invocations", HEADERS, BODIES, connections=1, seconds=0.1)


def test_a_server_that_is_silent_does_not_hold_us(serve, monkeypatch):
    monkeypatch.setattr(load, "PATIENCE", 0.1)
    seen = load.drive(serve((b"",)), HEADERS, BODIES, connections=2, seconds=0.1)
    assert seen.errors == {"timed out": 2}


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "flights", "http:///x"])
def test_only_plain_http_is_driven(url):
    with pytest.raises(InvalidInput, match="can't be driven"):
        drive(url, HEADERS, BODIES)


def test_there_must_be_something_to_send():
    with pytest.raises(InvalidInput, match="no requests"):
        drive("http://127.0.0.1:1/", HEADERS, [])
