"""Send requests over HTTP as fast as a server answers, from a process of its own, and time each answer.

A client has to cost less than the server that it measures. ``wrk`` would do, but no package index has it, and the
Python clients (locust, httpx, aiohttp) take several times as long for a request as the server. So this is a small
one: requests made once, one ``asyncio`` protocol for each connection, ``httptools`` to find the end of an answer.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools
import msgspec

from nbmlops.core.errors import EndpointError, InvalidInput
from nbmlops.core.records import Record

PATIENCE = 30.0
"""Seconds that an answer may take once the time is over."""
RETRY = 0.05  # seconds between two attempts to connect
DISCONNECTED = "disconnected"
TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Measured(Record):
    """What came of driving a server.

    Attributes
    ----------
    connections : int
        Requests in flight at once: each connection sends its next request when the last one is answered.
    seconds : float
        From the first counted request to the last answer.
    requests : int
        Requests answered with a status below 400.
    errors : mapping of str to int
        All others, by HTTP status, ``disconnected`` or ``timed out``.
    p50_ms, p95_ms, p99_ms, max_ms : float, milliseconds
        Latency of `requests`, from the first byte sent to the last received; 0 where there are none.
    """

    connections: int
    seconds: float
    requests: int
    errors: Mapping[str, int]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rps(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def drive(
    url: str, headers: Mapping[str, str], bodies: Sequence[bytes], *, connections: int = 1, seconds: float = 2.0
) -> Measured:
    """Send `bodies` in turn to `url` by POST over HTTP/1.1 connections that stay open, for a bounded time.

    The first answer on each connection is not counted. The call takes `seconds` and, where a server stops answering,
    at most `PATIENCE` more.

    Parameters
    ----------
    url : str
        ``http://host:port/path``.
    headers : mapping of str to str
        Sent with every request, ``content-type`` included.
    bodies : sequence of bytes
        At least one; they rotate over all connections.
    connections : int
    seconds : float, seconds

    Raises
    ------
    EndpointError
        Nothing listens at `url`, or it stopped listening meanwhile.
    InvalidInput
        No bodies, or an address that is not ``http``.
    """
    if not bodies:
        raise InvalidInput("there are no requests to send", expected="at least one body")
    plan = _Plan(url, dict(headers), tuple(bodies), connections, seconds, PATIENCE)
    _address(url)
    command = [sys.executable, "-m", __package__]
    done = subprocess.run(command, input=msgspec.msgpack.encode(plan), capture_output=True, check=False)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise EndpointError(f"the load generator failed: {last}", hint="Run it again.")
    tally = msgspec.msgpack.decode(done.stdout, type=_Tally)
    if tally.lost:
        raise EndpointError(
            f"the server at {url} stopped answering after {tally.answered:,} requests",
            hint="Its log says why: %logs.",
        )
    return _measured(plan, tally)


class _Plan(msgspec.Struct, frozen=True):
    url: str
    headers: dict[str, str]
    bodies: tuple[bytes, ...]
    connections: int
    seconds: float
    patience: float


class _Tally(msgspec.Struct):
    answered: int
    lost: bool
    elapsed: float
    errors: dict[str, int]
    latencies: bytes  # doubles, in seconds, sorted


def _measured(plan: _Plan, tally: _Tally) -> Measured:
    latencies = array("d", tally.latencies)

    def quantile(share: float) -> float:
        return latencies[min(int(share * len(latencies)), len(latencies) - 1)] * 1000 if latencies else 0.0

    return Measured(
        connections=plan.connections,
        seconds=tally.elapsed,
        requests=len(latencies),
        errors=tally.errors,
        p50_ms=quantile(0.5),
        p95_ms=quantile(0.95),
        p99_ms=quantile(0.99),
        max_ms=quantile(1.0),
    )


def _address(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInput(f"{url!r} can't be driven", expected="http://host:port/path")
    return parts.hostname, parts.port or 80, parts.path or "/"


def _requests(plan: _Plan) -> list[bytes]:
    """Return the requests as they go over the wire, made once."""
    host, port, path = _address(plan.url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
    return [
        f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        for body in plan.bodies
    ]


@dataclass
class _Drive:
    """What the connections share."""

    requests: list[bytes]
    until: float
    patience: float
    sent: int = 0
    answered: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)

    def next(self) -> bytes:
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]


class _Connection(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, sends again."""

    def __init__(self, drive: _Drive) -> None:
        self._drive = drive
        self._parser = httptools.HttpResponseParser(self)
        self._start = 0.0
        self._warm = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has its methods, not its class
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count one answer (called by the parser)."""
        now = time.perf_counter()
        drive, status = self._drive, self._parser.get_status_code()
        drive.answered += 1
        if self._warm:
            if status < 400:
                drive.latencies.append(now - self._start)
            else:
                drive.errors[str(status)] += 1
        self._warm = True
        if now >= drive.until:
            self._finish(True)
        elif self._parser.should_keep_alive():
            self._send()
        else:
            self._finish(False)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._drive.errors[DISCONNECTED] += 1
            self.done.set_result(False)

    def _send(self) -> None:
        self._start = time.perf_counter()
        self._transport.write(self._drive.next())

    def _finish(self, over: bool) -> None:
        if not self.done.done():
            self.done.set_result(over)
        self._transport.close()


async def _connect(drive: _Drive, host: str, port: int) -> _Connection | None:
    """Return an open connection, or None where nothing listens for as long as the drive lasts."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            _, connection = await loop.create_connection(lambda: _Connection(drive), host, port)
        except OSError:
            if time.perf_counter() >= drive.until:
                return None
            await asyncio.sleep(RETRY)
        else:
            return connection


async def _keep_busy(drive: _Drive, host: str, port: int) -> bool:
    """Keep one connection busy; return whether the server still listened at the end."""
    while True:
        connection = await _connect(drive, host, port)
        if connection is None:
            return False
        limit = max(drive.until - time.perf_counter(), 0.0) + drive.patience
        try:
            over = await asyncio.wait_for(connection.done, limit)
        except TimeoutError:
            drive.errors[TIMED_OUT] += 1
            return True
        if over or time.perf_counter() >= drive.until:
            return True


async def _run(plan: _Plan) -> _Tally:
    host, port, _ = _address(plan.url)
    start = time.perf_counter()
    drive = _Drive(_requests(plan), until=start + plan.seconds, patience=plan.patience)
    listening = await asyncio.gather(*(_keep_busy(drive, host, port) for _ in range(plan.connections)))
    elapsed = time.perf_counter() - start
    latencies = array("d", sorted(drive.latencies))
    return _Tally(drive.answered, not any(listening), elapsed, dict(drive.errors), latencies.tobytes())


def main() -> None:
    """Read a plan from stdin, carry it out, and write the tally to stdout."""
    import uvloop

    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Plan)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(_run(plan))))
