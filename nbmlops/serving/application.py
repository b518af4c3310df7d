"""The ASGI application: routes, authentication, limits, and the answers to errors."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic, perf_counter
from typing import Any

import msgspec
import uuid_utils

from . import __version__
from .arms import Arm
from .configuration import Limits, ServingConfig
from .docs import page
from .documents import media_type
from .errors import ModelFailed, RequestError, WorkerUnavailable
from .faults import FaultLog
from .metrics import CONTENT_TYPE, ServerMetrics
from .openapi import describe
from .router import Router

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

OPEN = frozenset({"/ping", "/health"})
JSON = b"application/json"
_NO_HEADERS: Headers = []


class Disconnected(Exception):
    """The caller went away before its request was complete."""


class Application:
    """Serves what it was last configured with; a request keeps the arm with which it began.

    Attributes
    ----------
    metrics : ServerMetrics
    in_flight : int
        Scoring requests not yet answered.
    """

    def __init__(self) -> None:
        self.metrics = ServerMetrics()
        self.in_flight = 0
        self.router: Router | None = None
        self.config: ServingConfig | None = None
        self._limits = Limits()
        self._secret: bytes | None = None
        self._faults = FaultLog(None)
        self._pages: dict[str, tuple[str, Callable[[], tuple[int, bytes, bytes]]]] = {
            "/ping": ("GET", self._health),
            "/health": ("GET", self._health),
            "/version": ("GET", self._version),
            "/metrics": ("GET", self._metrics),
            "/openapi.json": ("GET", self._openapi),
            "/docs": ("GET", self._docs),
        }

    def configure(self, config: ServingConfig, router: Router) -> None:
        """Serve `router` from the next request on. Call it on the event loop's thread: then no request sees half."""
        self.config, self.router = config, router
        self._limits = config.limits
        self._secret = None if config.token is None else b"Bearer " + config.token.encode()
        self._faults.open(config.error_log)
        self.metrics.endpoint = config.endpoint
        self.metrics.arms = router.arms
        self.metrics.share(config.counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        path, headers = scope["path"], dict(scope["headers"])
        try:
            if path not in OPEN:
                self._authenticate(headers)
            if path == "/invocations":
                _check_method(scope, "POST")
                await self._invocations(headers, receive, send)
                return
            if path not in self._pages:
                expected = ", ".join(["/invocations", *self._pages])
                raise RequestError(404, "not_found", "there is nothing at this path", field="path", expected=expected)
            method, page = self._pages[path]
            _check_method(scope, method)
            status, kind, body = page()
            await respond(send, status, body, kind=kind, extra=_NO_HEADERS)
        except Disconnected:
            return
        except RequestError as error:
            await self._refuse(send, error)

    def _authenticate(self, headers: dict[bytes, bytes]) -> None:
        secret = self._secret
        if secret is None:
            return
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, secret):
            scheme, _, token = given.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(b"Bearer " + token.strip(), secret):
                message = (
                    "the request carries no bearer token" if not given else "the bearer token is not the endpoint's"
                )
                expected = "the header Authorization: Bearer TOKEN"
                raise RequestError(401, "unauthorized", message, field="authorization", expected=expected)

    async def _invocations(self, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        started = perf_counter()
        self.metrics.last_request = monotonic()
        router = self.router
        if router is None:
            raise RequestError(503, "not_configured", "the server has no model yet", expected="another try in a second")
        if self.in_flight >= self._limits.queue:
            message = f"{self.in_flight} requests are being scored already"
            raise RequestError(429, "queue_full", message, expected="another try in a second")
        arm = router.choose(headers.get(b"x-nbmlops-version"))
        prediction = str(uuid_utils.uuid7()).encode()
        identity: Headers = [(b"x-prediction-id", prediction), (b"x-nbmlops-version", arm.header)]
        self.in_flight += 1
        arm.in_flight += 1
        try:
            kind = media_type(headers.get(b"content-type"))
            body = await self._read(headers, receive)
            answer = await arm.score(body, kind, self._limits.timeout_s)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets an answer and no traceback
            refusal = self._refusal(error, prediction.decode(), arm)
            arm.metrics.observe(refusal.status, refusal.code, perf_counter() - started)
            await respond(send, refusal.status, _encoded(refusal), kind=JSON, extra=[*identity, *_advice(refusal)])
        else:
            arm.metrics.observe(200, None, perf_counter() - started)
            await respond(send, 200, answer, kind=JSON, extra=identity)
        finally:
            self.in_flight -= 1
            arm.in_flight -= 1

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._limits.body_bytes
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and len(declared) < 20 and int(declared) > limit:
            raise _too_large(limit)
        # asyncio.timeout does the same for three times the cost, which is a tenth of a whole request's.
        task, slow = asyncio.current_task(), False

        def give_up() -> None:
            nonlocal slow
            slow = True
            assert task is not None
            task.cancel()

        timer = asyncio.get_running_loop().call_later(self._limits.timeout_s, give_up)
        try:
            return await _body(receive, limit)
        except asyncio.CancelledError:
            if not slow or task is None or task.uncancel() > 0:
                raise
            message = f"the body was not complete within {self._limits.timeout_s:g} s"
            raise RequestError(408, "slow_request", message, expected="a quicker sender") from None
        finally:
            timer.cancel()

    def _refusal(self, error: Exception, prediction: str, arm: Arm) -> RequestError:
        if isinstance(error, RequestError):
            return error
        if isinstance(error, WorkerUnavailable):
            self._faults.write(prediction, arm.config.name, str(error))
            message = "the model's process is being restarted"
            return RequestError(503, "worker_unavailable", message, expected="another try in a second")
        if isinstance(error, ModelFailed):
            self._faults.write(prediction, arm.config.name, error.traceback)
            message = f"the model failed; the local error log holds the traceback under {prediction}"
            return RequestError(500, "model_error", message)
        self._faults.write_exception(prediction, arm.config.name, error)
        return RequestError(
            500, "internal_error", f"the server failed; the local error log says why under {prediction}"
        )

    async def _refuse(self, send: Send, error: RequestError) -> None:
        """Answer a request that reached no arm."""
        self.metrics.unrouted[error.status, error.code] += 1
        prediction = (b"x-prediction-id", str(uuid_utils.uuid7()).encode())
        await respond(send, error.status, _encoded(error), kind=JSON, extra=[prediction, *_advice(error)])

    def _health(self) -> tuple[int, bytes, bytes]:
        arms = self.router.arms.values() if self.router else []
        ready = bool(arms) and all(arm.ready for arm in arms if arm.config.weight > 0)
        return 200 if ready else 503, JSON, b'{"status":"ok"}' if ready else b'{"status":"unavailable"}'

    def _version(self) -> tuple[int, bytes, bytes]:
        arms = [arm.description() for arm in self.router.arms.values()] if self.router else []
        endpoint = self.config.endpoint if self.config else None
        return 200, JSON, msgspec.json.encode({"server": __version__, "endpoint": endpoint, "arms": arms})

    def _document(self) -> dict[str, Any]:
        if self.router is None or self.config is None:
            raise RequestError(503, "not_configured", "the server has no model yet", expected="another try in a second")
        arms = [(arm.config.name, arm.bundle, arm.outputs) for arm in self.router.arms.values()]
        return describe(self.config.endpoint, arms, authenticated=self._secret is not None)

    def _openapi(self) -> tuple[int, bytes, bytes]:
        return 200, JSON, msgspec.json.encode(self._document())

    def _docs(self) -> tuple[int, bytes, bytes]:
        return 200, b"text/html; charset=utf-8", page(self._document()).encode()

    def _metrics(self) -> tuple[int, bytes, bytes]:
        return 200, CONTENT_TYPE.encode(), self.metrics.text()


async def respond(send: Send, status: int, body: bytes, *, kind: bytes, extra: Headers) -> None:
    """Send a complete answer."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        if not message.get("more_body") and not chunks:
            return _bounded(chunk, len(chunk), limit)
        chunks.append(chunk)
        size += len(chunk)
        _bounded(chunk, size, limit)
        if not message.get("more_body"):
            return b"".join(chunks)


def _bounded(chunk: bytes, size: int, limit: int) -> bytes:
    if size > limit:
        raise _too_large(limit)
    return chunk


def _too_large(limit: int) -> RequestError:
    message = "the body is larger than the endpoint takes"
    return RequestError(413, "body_too_large", message, field="body", expected=f"at most {limit} bytes")


def _check_method(scope: Scope, method: str) -> None:
    given = scope["method"]
    if given != method and not (given == "HEAD" and method == "GET"):
        message = "the method is not one of this path's"
        raise RequestError(405, "method_not_allowed", message, field="method", expected=method)


def _advice(error: RequestError) -> Headers:
    """Return the headers that tell a client what to do about an error."""
    if error.status in (429, 503):
        return [(b"retry-after", b"1")]
    if error.status == 401:
        return [(b"www-authenticate", b"Bearer")]
    if error.status == 405:
        return [(b"allow", (error.expected or "").encode())]
    return _NO_HEADERS


def _encoded(error: RequestError) -> bytes:
    return msgspec.json.encode(error.body())
