"""HTTP/1.1 for scoring: one `asyncio` protocol on httptools that hands whole requests to the application.

uvicorn runs it (sockets, signals, shutdown) in the place of its own protocol. That one makes a task, a scope and five
dictionaries for every request, which costs more than a model in ONNX Runtime. Requests that arrive pipelined are
scored together and answered in their order.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import httptools

from .errors import RequestError, malformed
from .exchange import Answer, Head
from .ticker import Ticker
from .writing import CONTINUE, to_bytes

if TYPE_CHECKING:
    from .application import Application, Route

HEAD_BYTES = 65_536  # of request line and headers
PIPELINED = 64  # requests of one connection that may wait for their answers
SWALLOWED = 65_536  # bytes of a refused body that are read first, so that the connection can go on
METHODS = {b"GET": "GET", b"POST": "POST", b"HEAD": "HEAD"}
LINGER_S = 5.0  # seconds that a client may go on sending what was refused


class Turn:
    """A request's place among the answers of its connection."""

    __slots__ = ("answer", "connection", "head", "held", "keep_alive")

    def __init__(self, connection: Connection, head: Head, keep_alive: bool) -> None:
        self.connection = connection
        self.head = head
        self.keep_alive = keep_alive
        self.answer: Answer | None = None
        self.held = 0  # bytes that its body may take

    def reply(self, answer: Answer) -> None:
        """Send the answer, once all before it are sent."""
        if self.answer is None:
            self.answer = answer
            turns = self.connection.turns
            if turns and turns[0] is self:
                self.connection.send()


class Connection(asyncio.Protocol):
    """One connection of a client.

    Parameters
    ----------
    application : Application
    ticker : Ticker
        Looks once a second at what takes too long.
    connections : set
        Of all that are open; uvicorn shuts them down.
    """

    def __init__(self, application: Application, ticker: Ticker, connections: set[Any]) -> None:
        self.turns: deque[Turn] = deque()
        self._application = application
        self._ticker = ticker
        self._connections = connections
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._parser = httptools.HttpRequestParser(self)
        self._since = ticker.now  # of the request that is being received, or of the last answer
        self._full = False  # as many requests wait as may
        self._last = False  # no further request is taken
        self._unread = False  # the client may still be sending what nobody will read
        self._receiving = False
        self._chunk = 0
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0  # of this request's head, beyond the block that it began in
        self._body: list[bytes] = []
        self._turn: Turn | None = None
        self._route: Route | None = None
        self._refusal: Answer | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._ticker.enter(self)
        self._since = self._ticker.now
        if len(self._connections) > self._application.limits.connections:
            message = "the endpoint has as many connections open as it takes"
            self._give_up(RequestError(503, "too_many_connections", message, expected="another try in a second"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._ticker.leave(self)
        self._ticker.held -= sum(turn.held for turn in self.turns)
        self.turns.clear()
        self._last = True

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        self._chunk = len(data)
        if self._receiving and self._turn is None:
            self._head_bytes += self._chunk
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # answered as if it had not asked for another protocol
            self.shutdown()
        except httptools.HttpParserError:
            if not self._last:
                self._give_up(
                    malformed("the request is not valid HTTP", field="request", expected="an HTTP/1.1 request")
                )
        if self._receiving and self._turn is None and self._too_long():
            self._give_up(_headers_too_large())

    def eof_received(self) -> bool:
        if self._receiving:
            self._give_up(malformed("the request ended before it was complete"))
        self._unread = False
        self.shutdown()
        return True  # the caller may still read its answers

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._full:
            self._transport.resume_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._begin()
        self._receiving = not self._last
        self._since = self._ticker.now

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"host" and name in self._headers:
            value = b""  # of two, nobody knows which is meant: read as none
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        if self._last:
            return
        parser, headers = self._parser, self._headers
        method, url = parser.get_method(), self._url
        path, query = place(url)
        head = Head(METHODS.get(method) or method.decode("ascii"), path, query, headers)
        turn = self._turn = Turn(self, head, parser.should_keep_alive())
        self.turns.append(turn)
        if self._too_long():
            self._give_up(_headers_too_large())
            return
        try:
            self._route = self._application.admit(head)
            if b"content-length" in headers:
                self._hold(turn, int(headers[b"content-length"]))
        except RequestError as error:
            self._refuse(turn, error)
            return
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue" and len(self.turns) == 1:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._last or self._refusal is not None:
            return
        turn = self._turn
        assert turn is not None
        self._body.append(body)
        if b"content-length" not in turn.head.headers:  # a chunked body tells its size only as it comes
            try:
                self._hold(turn, len(body))
            except RequestError as error:
                self._refuse(turn, error)

    def on_message_complete(self) -> None:
        turn = self._turn
        if self._last or turn is None:
            return
        self._receiving, self._turn = False, None
        self._since = self._ticker.now
        if self._refusal is not None:
            turn.reply(self._refusal)
            return
        if len(self.turns) >= PIPELINED:
            self._full = True
            self._transport.pause_reading()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        assert self._route is not None
        self._application.accept(self._route, turn.head, body, reply=turn.reply)

    # Answers

    def send(self) -> None:
        """Write the answers whose turn it is."""
        turns, ticker = self.turns, self._ticker
        while turns and (answer := turns[0].answer) is not None:
            turn = turns.popleft()
            ticker.held -= turn.held
            keep = turn.keep_alive and not (self._last and not turns)
            with_body = turn.head.method != "HEAD"
            self._transport.write(to_bytes(answer, ticker.date, keep_alive=keep, with_body=with_body))
            if not keep:
                self._end()
                return
        self._since = ticker.now
        if self._full and len(turns) <= PIPELINED // 2:
            self._full = False
            self._transport.resume_reading()

    def shutdown(self) -> None:
        """Take no further request and close once what was taken is answered; uvicorn calls it when it stops."""
        self._last = True
        if self._receiving and self._turn is not None:
            self._drop(self._turn)
        self._receiving = False
        if not self.turns:
            self._end()

    def overdue(self) -> None:
        """Give up a request that does not arrive, or a connection that nobody uses."""
        limits, waited = self._application.limits, self._ticker.now - self._since
        if self._receiving and waited > limits.read_s:
            message = f"the request was not complete within {limits.read_s:g} s"
            self._give_up(RequestError(408, "slow_request", message, expected="a quicker sender"))
        elif self._last and not self.turns and waited > LINGER_S:
            self._transport.abort()
        elif not self._receiving and not self.turns and waited > limits.idle_s:
            self._transport.close()

    def _end(self) -> None:
        """Close, or say that nothing more comes and let what the client still sends go by.

        To close with bytes unread would make the system tear the answer away from the client.
        """
        self._last = True
        for turn in list(self.turns):
            self._drop(turn)
        self._since = self._ticker.now
        if self._unread and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _drop(self, turn: Turn) -> None:
        self._ticker.held -= turn.held
        self.turns.remove(turn)

    def _too_long(self) -> bool:
        """Whether request line and headers pass the limit; they are added up only where they may."""
        if self._chunk <= HEAD_BYTES and self._head_bytes <= HEAD_BYTES:
            return False
        known = sum(len(name) + len(value) for name, value in self._headers.items())
        return self._head_bytes > HEAD_BYTES or len(self._url) + known > HEAD_BYTES

    def _hold(self, turn: Turn, size: int) -> None:
        """Set memory aside for a body, or refuse what is too large, or one too many."""
        limits = self._application.limits
        if turn.held + size > limits.body_bytes:
            raise too_large(limits.body_bytes)
        if self._ticker.held + size > max(limits.buffered_bytes, limits.body_bytes):
            message = "the requests under way fill the memory that is set aside for them"
            raise RequestError(429, "queue_full", message, expected="another try in a second")
        self._ticker.held += size
        turn.held += size

    def _refuse(self, turn: Turn, error: RequestError) -> None:
        """Answer with an error: after the body if that is short, else at once, and then the connection ends."""
        headers = turn.head.headers
        self._body.clear()
        short = int(headers.get(b"content-length", b"0")) <= SWALLOWED
        if short and b"transfer-encoding" not in headers and b"expect" not in headers:
            self._refusal = self._application.refuse(turn.head, error)
        else:
            self._give_up(error)

    def _give_up(self, error: RequestError) -> None:
        """Answer what is no whole request, after what came before it, and take no other."""
        turn = self._turn
        if turn is None:
            turn = Turn(self, Head("", "", "", {}), False)
            self.turns.append(turn)
        self._turn, self._receiving = None, False
        self._last = self._unread = True
        turn.keep_alive = False
        turn.reply(self._application.refuse(turn.head, error))


@lru_cache(maxsize=256)
def place(url: bytes) -> tuple[str, str]:
    """Return path, without percent-encoding, and query of a request's target."""
    parsed = httptools.parse_url(url)
    path = (parsed.path or b"/").decode("latin-1")
    return urllib.parse.unquote(path) if "%" in path else path, (parsed.query or b"").decode("latin-1")


def _headers_too_large() -> RequestError:
    message = "the request line and headers are too long"
    return RequestError(431, "headers_too_large", message, expected=f"at most {HEAD_BYTES} bytes")


def too_large(limit: int) -> RequestError:
    """Return the error for a body over the limit."""
    message = "the body is larger than the endpoint takes"
    return RequestError(413, "body_too_large", message, field="body", expected=f"at most {limit} bytes")
