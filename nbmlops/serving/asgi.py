"""The application for ASGI servers: where another server than our own runs it, as in an ejected app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .application import Application
from .errors import RequestError
from .exchange import Answer, Head
from .http import too_large

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Disconnected(Exception):
    """The caller went away before its request was complete."""


class Asgi:
    """An ASGI 3 application.

    Parameters
    ----------
    application : Application
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a connection of another kind is left alone."""
        if scope["type"] != "http":
            return
        head = Head(
            scope["method"], scope["path"], scope.get("query_string", b"").decode("latin-1"), dict(scope["headers"])
        )
        application = self._application
        try:
            route = application.admit(head)
            body = await self._body(receive, head)
            answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            application.accept(route, head, body, reply=answered.set_result)
            answer = await answered
        except Disconnected:
            return
        except RequestError as error:
            answer = application.refuse(head, error)
        headers = [(b"content-type", answer.kind), (b"content-length", b"%d" % len(answer.body)), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head.method == "HEAD" else answer.body})

    async def _body(self, receive: Receive, head: Head) -> bytes:
        limits = self._application.limits
        declared = head.headers.get(b"content-length", b"")
        if declared.isdigit() and len(declared) < 20 and int(declared) > limits.body_bytes:
            raise too_large(limits.body_bytes)
        try:
            async with asyncio.timeout(limits.read_s):
                return await _read(receive, limits.body_bytes)
        except TimeoutError:
            message = f"the request was not complete within {limits.read_s:g} s"
            raise RequestError(408, "slow_request", message, expected="a quicker sender") from None


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise too_large(limit)
        if not message.get("more_body"):
            return b"".join(chunks)
