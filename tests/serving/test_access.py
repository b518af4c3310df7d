from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving import access
from nbmlops.serving.access import Access
from nbmlops.serving.configuration import ArmConfig, ServingConfig
from nbmlops.serving.errors import RequestError

ARM = ArmConfig("1", "m", "1", "bundle")
PAGE = b"https://dash.example.org"


@dataclass
class Asked:
    headers: dict[bytes, bytes]
    path: str = "/invocations"
    method: str = "POST"
    query: str = field(default="")


def made(**more) -> Access:
    return Access(ServingConfig(**{"endpoint": "e", "arms": [ARM], "token": None, **more}))


def ask(host: bytes | None = b"localhost", path: str = "/invocations", method: str = "POST", **headers: bytes) -> Asked:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Asked({**({} if host is None else {b"host": host}), **named}, path, method)


def refused(door: Access, asked: Asked) -> tuple[int, str]:
    for _ in range(2):  # what was refused once is not remembered as let in
        with pytest.raises(RequestError) as caught:
            door.check(asked)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"LOCALHOST:8080", b"127.0.0.1:1", b"127.0.0.1", b"[::1]", b"[::1]:80", b"[0:0:0:0:0:0:0:1]:80"],
)
def test_loopback_names_are_answered_under_any_port(host):
    door = made()
    door.check(ask(host))
    door.check(ask(host))


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:80", b"localhost.evil.example", b"[::2]", b"127.0.0.2", b"xlocalhost"]
)
def test_a_page_that_made_its_name_ours_is_refused(host):
    assert refused(made(), ask(host)) == (403, "foreign_host")


@pytest.mark.parametrize("host", [None, b"", b"a b", b"localhost:x", b"::1", b"[localhost]", b"u@localhost", b"h/x"])
def test_without_a_readable_host_it_is_no_request(host):
    assert refused(made(), ask(host)) == (400, "malformed_request")
    assert refused(made(hosts=("*",)), ask(host)) == (400, "malformed_request")


def test_other_names_are_answered_when_told_so():
    made(hosts=("scores.example.org",)).check(ask(b"Scores.Example.org:443"))
    assert refused(made(hosts=("scores.example.org",)), ask())[1] == "foreign_host"
    made(hosts=("*",)).check(ask(b"whatever.example"))


def test_what_is_remembered_of_hosts_is_bounded():
    door = made()
    for port in range(1000):
        door.check(ask(b"localhost:%d" % port))
    assert len(door._remembered) <= access.REMEMBERED


@pytest.mark.parametrize("origin", [b"null", b"https://evil.example", b"http://localhost:1", b"", b"localhost:8000"])
def test_pages_of_other_origins_are_refused(origin):
    for door in (made(), made(origins=[PAGE.decode()])):
        assert refused(door, ask(b"localhost:8000", origin=origin)) == (403, "foreign_origin")


def test_a_page_of_its_own_may_call():
    made().check(ask(b"localhost:8000", origin=b"http://localhost:8000"))


def test_an_allowed_page_may_call_and_read_the_answer():
    door, asked = made(origins=[PAGE.decode() + "/"], token="t"), ask(origin=PAGE, authorization=b"Bearer t")
    door.check(asked)
    headers = dict(door.answer_headers(asked))
    assert headers[b"access-control-allow-origin"] == PAGE
    assert headers[b"vary"] == b"origin"
    assert b"x-prediction-id" in headers[b"access-control-expose-headers"]
    assert refused(door, ask(origin=PAGE)) == (401, "unauthorized")


def test_nobody_else_is_told_that_he_may_read():
    for asked in (ask(), ask(origin=b"https://evil.example"), ask(b"localhost", origin=b"http://localhost")):
        assert made(origins=[PAGE.decode()]).answer_headers(asked) == []


def test_a_preflight_needs_no_token_and_names_what_may_be_sent():
    door = made(origins=[PAGE.decode()], token="t")
    asked = ask(method="OPTIONS", origin=PAGE, access_control_request_method=b"POST")
    door.check(asked)
    headers = dict(door.preflight(asked))
    assert b"authorization" in headers[b"access-control-allow-headers"]
    assert b"POST" in headers[b"access-control-allow-methods"]


@pytest.mark.parametrize(
    "asked",
    [
        ask(method="POST", origin=PAGE, access_control_request_method=b"POST"),
        ask(method="OPTIONS", origin=PAGE),
        ask(method="OPTIONS", access_control_request_method=b"POST"),
        ask(b"localhost", method="OPTIONS", origin=b"http://localhost", access_control_request_method=b"POST"),
    ],
)
def test_what_only_looks_like_a_preflight_needs_the_token(asked):
    door = made(origins=[PAGE.decode()], token="t")
    assert refused(door, asked) == (401, "unauthorized")
    assert door.preflight(asked) is None


@pytest.mark.parametrize("given", [b"Bearer t", b"bearer t", b"BEARER   t ", b"Bearer old", b"Bearer older"])
def test_the_token_and_those_before_it_are_taken(given):
    made(token="t", earlier_tokens=["old", "older"]).check(ask(authorization=given))


@pytest.mark.parametrize(
    "given", [b"", b"t", b"Bearer", b"Bearer ", b"Bearer x", b"Bearer tt", b"Basic t", b"Bearer t\xff", b"Bearer old t"]
)
def test_anything_else_is_refused(given):
    door = made(token="t", earlier_tokens=["old"])
    assert refused(door, ask(authorization=given)) == (401, "unauthorized")
    assert refused(door, ask()) == (401, "unauthorized")


@given(st.binary(max_size=40))
def test_no_other_bytes_open_the_door(given):
    door = made(token="secret-token")
    scheme, _, rest = given.partition(b" ")
    if scheme.lower() == b"bearer" and rest.strip() == b"secret-token":
        return
    with pytest.raises(RequestError):
        door.check(ask(authorization=given))


def test_every_token_is_compared_whichever_is_right(monkeypatch):
    compared = []

    def watched(one, other):
        compared.append(other)
        return one == other

    monkeypatch.setattr(access, "compare_digest", watched)
    for sent in (b"Bearer a", b"Bearer b", b"Bearer c"):
        compared.clear()
        made(token="a", earlier_tokens=["b", "c"]).check(ask(authorization=sent))
        assert compared == [b"Bearer a", b"Bearer b", b"Bearer c"]


def test_an_endpoint_without_a_token_asks_for_none():
    door = made(earlier_tokens=["old"])
    door.check(ask())
    assert not door.authenticated
    assert made(token="t").authenticated


@pytest.mark.parametrize("path", ["/ping", "/health", "/v2/health/live", "/v2/health/ready"])
def test_a_probe_is_answered_by_address_and_without_a_token(path):
    made(token="t").check(ask(b"10.0.0.7:8000", path=path))
    made(token="t").check(ask(None, path=path))


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/version", "/v2", "/ping/", "//ping", "/PING"])
def test_everything_else_needs_the_token(path):
    assert refused(made(token="t"), ask(path=path)) == (401, "unauthorized")


def test_no_refusal_repeats_the_token_or_the_origin():
    door = made(token="t")
    for asked in (ask(authorization=b"Bearer my-other-secret"), ask(origin=b"https://my-other-secret")):
        with pytest.raises(RequestError) as caught:
            door.check(asked)
        assert "my-other-secret" not in str(caught.value.body())
