"""The protocol over real sockets: what a client may do to a connection, and what it gets for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from nbmlops.serving.application import Application
from nbmlops.serving.control import Control
from nbmlops.serving.server import make_server

from . import bundles

PATIENCE = 20.0
BODY = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}).encode()
LIMITS = {"body_bytes": 200_000, "read_s": 0.4, "idle_s": 3.0, "connections": 12, "buffered_bytes": 400_000}


def head(*lines: str, method: str = "POST", path: str = "/invocations", length: int | None = len(BODY)) -> bytes:
    first = [f"{method} {path} HTTP/1.1", "host: localhost", "content-type: application/json"]
    declared = [] if length is None else [f"content-length: {length}"]
    return "\r\n".join([*first, *declared, *lines, "", ""]).encode()


class Live:
    """A server on a thread of its own."""

    def __init__(self, arms: list[dict[str, Any]], **limits: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = self.listener.getsockname()
        self.application = Application()
        self.server = make_server(self.application)
        self._ready: Future[None] = Future()
        self._arms, self._limits = arms, limits
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._ready.result(PATIENCE)

    async def _run(self) -> None:
        control = Control(self.application)
        document = {"endpoint": "e", "token": None, "arms": self._arms, "limits": {**LIMITS, **self._limits}}
        await control.configure(document)
        self._ready.set_result(None)
        await self.server.serve(sockets=[self.listener])
        await control.close()

    def stop(self) -> None:
        self.server.should_exit = True

    def join(self) -> None:
        self.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(self.address, PATIENCE) as client:
            yield client

    def exchange(self, *sent: bytes, close: bool = False) -> bytes:
        """Send bytes; return all that comes until the server closes."""
        with self.connected() as client:
            for part in sent:
                client.sendall(part)
            if close:
                client.shutdown(socket.SHUT_WR)
            return rest(client)


def rest(client: socket.socket) -> bytes:
    found = b""
    while block := client.recv(65536):
        found += block
    return found


def answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer from a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found:
        block = client.recv(65536)
        assert block, found
        found += block
    top, _, body = found.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += client.recv(65536)
    return int(status.split()[1]), headers, body


def statuses(found: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", found)]


def entry(path: Path, name: str = "1") -> dict[str, Any]:
    return {"name": name, "model": "m", "version": name, "bundle": str(path)}


@pytest.fixture(scope="module")
def live(made: Callable[[str], Path]) -> Iterator[Live]:
    server = Live([entry(made("ten"))])
    yield server
    server.join()


def test_a_connection_serves_many_requests(live):
    with live.connected() as client:
        for _ in range(3):
            client.sendall(head() + BODY)
            status, headers, body = answer(client)
            assert (status, body) == (200, b'{"predictions":[11.0]}')
            assert headers["date"].endswith("GMT")


def test_a_request_in_pieces_of_one_byte_is_whole(live):
    with live.connected() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head() + BODY:
            client.sendall(bytes([byte]))
        assert answer(client)[0] == 200


def test_pipelined_requests_are_answered_in_order(live):
    bodies = [BODY.replace(b"1.0", b"%d.0" % number) for number in range(150)]
    sent = b"".join(head(length=len(body)) + body for body in bodies)
    found = live.exchange(sent + head("connection: close", method="GET", path="/ping", length=None))
    answers = [f'{{"predictions":[{number + 10}.0]}}'.encode() for number in range(150)]
    places = [found.find(text) for text in answers]
    assert -1 not in places
    assert places == sorted(places)


def test_errors_keep_their_place_among_pipelined_answers(live):
    wrong = head(length=2) + b"{}"
    nowhere = head(method="GET", path="/nowhere", length=None)
    found = live.exchange(head() + BODY + wrong + nowhere + head("connection: close") + BODY)
    assert statuses(found) == [200, 400, 404, 200]


def test_a_half_closed_connection_is_answered(live):
    assert statuses(live.exchange(head() + BODY, close=True)) == [200]


def test_a_request_that_is_cut_off_is_told(live):
    found = live.exchange(head() + BODY[:10], close=True)
    assert statuses(found) == [400]
    assert b"ended before it was complete" in found


def test_what_is_no_http_is_told(live):
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", head("content-length: 5") + BODY, b"\x00" * 100):
        found = live.exchange(rubbish, close=True)
        assert statuses(found) == [400], rubbish
        assert b"malformed_request" in found


def test_a_body_of_two_lengths_is_refused(live):
    assert statuses(live.exchange(head("transfer-encoding: chunked") + BODY, close=True)) == [400]


def test_a_request_to_two_hosts_is_refused(live):
    found = live.exchange(head("host: elsewhere") + BODY, head("host: localhost") + BODY, close=True)
    assert statuses(found) == [400, 400]


def test_headers_without_end_are_refused(live):
    found = live.exchange(head(*(f"x-{number}: {'y' * 1000}" for number in range(80)))[:-2], close=True)
    assert statuses(found) == [431]


@pytest.mark.parametrize("sent", [b"POST /invocations HT", head()[:-2], head() + BODY[:5]])
def test_a_slow_request_is_given_up(live, sent):
    with live.connected() as client:
        client.sendall(sent)
        found = rest(client)
    assert statuses(found) == [408]
    assert b"slow_request" in found


def test_a_connection_that_nobody_uses_is_closed(made):
    server = Live([entry(made("ten"))], idle_s=0.2)
    with server.connected() as client:
        client.sendall(head() + BODY)
        assert answer(client)[0] == 200
        assert client.recv(1) == b""
    server.join()


def test_a_body_over_the_limit_is_refused_before_it_is_read(live):
    """60 MB are sent all the same: the answer must not be torn away by the bytes that nobody reads."""
    size = 60_000_000
    with live.connected() as client:
        client.sendall(head(length=size))
        block = b"x" * 1_000_000
        with contextlib.suppress(ConnectionError):
            for _ in range(size // len(block)):
                client.sendall(block)
        status, headers, body = answer(client)
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(body)["error"]["expected"] == "at most 200000 bytes"


def test_who_still_sends_after_a_refusal_is_not_cut_off(live):
    with live.connected() as client:
        client.sendall(head(length=60_000_000))
        assert answer(client)[0] == 413
        for _ in range(20):
            client.sendall(b"x" * 1_000_000)


def test_a_chunked_body_over_the_limit_is_refused_on_the_way(live):
    chunk = b"%x\r\n" % 50_000 + b"x" * 50_000 + b"\r\n"
    found = live.exchange(head("transfer-encoding: chunked", length=None), *[chunk] * 5, close=True)
    assert statuses(found) == [413]


def test_a_chunked_body_is_put_together(live):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    sent = head("transfer-encoding: chunked", "connection: close", length=None) + chunks
    assert b'{"predictions":[11.0]}' in live.exchange(sent)


def test_a_short_refused_body_leaves_the_connection_open(live):
    with live.connected() as client:
        client.sendall(head(path="/nowhere") + BODY)
        assert answer(client)[0] == 404
        client.sendall(head() + BODY)
        assert answer(client)[0] == 200


def test_who_asks_first_is_told_to_go_on_or_not(live):
    with live.connected() as client:
        client.sendall(head("expect: 100-continue"))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(BODY)
        assert answer(client)[0] == 200
    with live.connected() as client:
        client.sendall(head("expect: 100-continue", path="/nowhere"))
        assert statuses(rest(client)) == [404]


def test_too_many_connections_are_turned_away(live):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(live.connected()) for _ in range(LIMITS["connections"])]
        held[-1].sendall(head() + BODY)
        assert answer(held[-1])[0] == 200
        with live.connected() as one_more:
            assert statuses(rest(one_more)) == [503]


def test_bodies_share_a_bounded_memory(live):
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(live.connected()).sendall(head(length=190_000) + b"x")
        with live.connected() as one_more:
            one_more.sendall(head(length=190_000) + b"x")
            assert answer(one_more)[0] == 429
    with live.connected() as client:
        client.sendall(head() + BODY)
        assert answer(client)[0] == 200


def test_another_protocol_is_not_taken_up(live):
    found = live.exchange(head("connection: upgrade", "upgrade: h2c", method="GET", path="/ping", length=None))
    assert statuses(found) == [200]


def test_the_answer_to_head_has_no_body(live):
    with live.connected() as client:
        client.sendall(head(method="HEAD", path="/ping", length=None))
        top = client.recv(65536)
        assert b"content-length: 15" in top
        assert top.endswith(b"\r\n\r\n")


def test_http_1_0_ends_after_its_answer(live):
    found = live.exchange(b"GET /ping HTTP/1.0\r\n\r\n")
    assert statuses(found) == [200]


def test_a_client_that_reads_nothing_is_not_read_from(made):
    """Its requests pile up in the sockets' buffers, not in the server's memory."""
    server = Live([entry(made("ten"))], read_s=60)
    one = head(method="GET", path="/openapi.json", length=None)
    with server.connected() as client:
        client.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 60_000_000:
                sent += client.send(one * 1000)
                threading.Event().wait(0.001)
        assert sent < 60_000_000
    server.join()


def test_what_is_in_flight_is_finished_before_the_end(made, tmp_path):
    slow = bundles.sklearn_bundle(tmp_path / "b", bundles.Sleeps(0.5), serialization="cloudpickle")
    server = Live([entry(slow)])
    body = json.dumps(
        {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[1.0, 2, "UA"]]}}
    ).encode()
    with server.connected() as client, server.connected() as idle:
        client.sendall(head(length=len(body)) + body)
        while not server.application.in_flight:
            threading.Event().wait(0.005)
        server.stop()
        status, headers, _ = answer(client)
        assert (status, headers["connection"]) == (200, "close")
        assert idle.recv(1) == b""
    server.join()
