"""What the server answers: its routes, who may ask, its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import uuid_utils

from . import __version__
from .access import Access
from .configuration import Limits, ServingConfig
from .docs import page
from .errors import RequestError
from .exchange import JSON, Answer, Head, Reply
from .explain.describe import with_explain
from .explain.wire import EXPLAIN
from .metrics import ServerMetrics
from .noted import Noted
from .noting import Notes
from .oip.describe import with_tensors
from .oip.routes import PREFIX, PROTOCOL, nothing_at, oip_routes
from .openapi import describe
from .router import Router
from .scoring import Scoring
from .wires import MLFLOW, Wire

Page = Callable[[Head], Answer]


@dataclass(slots=True, frozen=True)
class Route:
    """What is at a path.

    Attributes
    ----------
    method : str
    handle : callable
        Takes head, body and reply; calls reply once.
    wire : Wire
        Says how errors look here.
    scoring : bool
        Whether requests wait for a model, so that the bounded queue counts.
    """

    method: str
    handle: Callable[[Head, bytes, Reply], None]
    wire: Wire = MLFLOW
    scoring: bool = False


class Application:
    """Serves what it was last configured with; a request keeps the arm with which it began.

    Attributes
    ----------
    metrics : ServerMetrics
    limits : Limits
    in_flight : int
        Scoring requests not yet answered.
    notes : Notes
        What is kept and counted of what was answered.
    """

    def __init__(self) -> None:
        self.metrics = ServerMetrics()
        self.limits = Limits()
        self.in_flight = 0
        self.router: Router | None = None
        self.config: ServingConfig | None = None
        self.scoring = Scoring(self)
        self.notes = Notes()
        self.metrics.sources.append(Noted(self.notes, lambda: self.metrics.arms))
        self._access = Access(ServingConfig(endpoint="", arms=[], token=None))
        self._routes = self._fixed_routes()

    def configure(self, config: ServingConfig, router: Router) -> None:
        """Serve `router` from the next request on. Call it on the event loop's thread: then no request sees half."""
        self.config, self.router = config, router
        self.limits = config.limits
        self._access = Access(config)
        self.notes.configure(config, router)
        self.metrics.endpoint = config.endpoint
        self.metrics.arms = router.arms
        self.metrics.share(config.counts)
        self._routes = self._fixed_routes()

    def admit(self, head: Head) -> Route:
        """Return the route of a request, before its body is read.

        Raises
        ------
        RequestError
            For all that needs no body to be refused: who asks, path, method, content type, a full queue.
        """
        self._access.check(head)
        if head.method == "OPTIONS" and (headers := self._access.preflight(head)) is not None:
            return Route("OPTIONS", lambda head, body, reply: reply(Answer(204, b"", JSON, headers)))
        route = self._routes.get(head.path)
        if route is None:
            raise nothing_at(head.path, list(self._routes))
        if head.method != route.method and not (head.method == "HEAD" and route.method == "GET"):
            message = "the method is not one of this path's"
            raise RequestError(405, "method_not_allowed", message, field="method", expected=route.method)
        if route.scoring:
            route.wire.check(head)
            if self.in_flight >= self.limits.queue:
                message = f"{self.in_flight} requests are being scored already"
                raise RequestError(429, "queue_full", message, expected="another try in a second")
        return route

    def accept(self, route: Route, head: Head, body: bytes, *, reply: Reply) -> None:
        """Answer an admitted request now that its body is there; never raises."""
        if b"origin" in head.headers:
            reply = self._for_pages(head, reply)
        route.handle(head, body, reply)

    def refuse(self, head: Head, error: RequestError) -> Answer:
        """Return the answer to a request that reached no arm, and count it."""
        route = self._routes.get(head.path)
        self.metrics.observe_refusal(head.method, head.path if route else "", status=error.status, code=error.code)
        elsewhere = PROTOCOL if head.path.startswith(f"{PREFIX}/") else MLFLOW
        answer = (route.wire if route else elsewhere).refuse(error)
        pages = self._access.answer_headers(head)
        answer.headers = [(b"x-prediction-id", str(uuid_utils.uuid7()).encode()), *answer.headers, *pages]
        return answer

    def _for_pages(self, head: Head, reply: Reply) -> Reply:
        """Return a reply that lets an allowed page read the answer."""
        headers = self._access.answer_headers(head)

        def send(answer: Answer) -> None:
            answer.headers = [*answer.headers, *headers]
            reply(answer)

        return send

    def _fixed_routes(self) -> dict[str, Route]:
        pages: dict[str, Page] = {
            "/ping": self._health,
            "/health": self._health,
            "/version": self._version,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
        }
        paged = {path: self.page_route(page) for path, page in pages.items()}
        scored = {"/invocations": self.scoring_route(MLFLOW)}
        if self.config is not None and self.config.explain:
            scored["/explain"] = self.scoring_route(EXPLAIN)
        return {**scored, **paged, **oip_routes(self)}

    def page_route(self, page: Page, wire: Wire = MLFLOW, *, method: str = "GET") -> Route:
        """Return the route of a page, which waits for no model."""
        return Route(method, self._paged(page), wire)

    def scoring_route(self, wire: Wire, pin: str | None = None) -> Route:
        """Return the route of a scoring protocol; `pin` is the version that its path names."""
        return Route("POST", self.scoring.handler(wire, pin), wire, scoring=True)

    def _paged(self, page: Page) -> Callable[[Head, bytes, Reply], None]:
        def handle(head: Head, body: bytes, reply: Reply) -> None:
            try:
                answer = page(head)
            except RequestError as error:
                answer = self.refuse(head, error)
            else:
                self.metrics.observe_page(head.method, head.path, answer.status)
            reply(answer)

        return handle

    @property
    def ready(self) -> bool:
        """Whether every arm that carries traffic can answer."""
        arms = self.router.arms.values() if self.router else []
        return bool(arms) and all(arm.ready for arm in arms if arm.config.weight > 0)

    def _health(self, _: Head) -> Answer:
        return Answer(200, b'{"status":"ok"}') if self.ready else Answer(503, b'{"status":"unavailable"}')

    def _version(self, _: Head) -> Answer:
        arms = [arm.description() for arm in self.router.arms.values()] if self.router else []
        endpoint = self.config.endpoint if self.config else None
        return Answer(200, msgspec.json.encode({"server": __version__, "endpoint": endpoint, "arms": arms}))

    def _metrics(self, head: Head) -> Answer:
        return Answer(200, *self.metrics.exposition(head.headers.get(b"accept")))

    def _openapi(self, _: Head) -> Answer:
        return Answer(200, msgspec.json.encode(self._document()), JSON)

    def _docs(self, _: Head) -> Answer:
        return Answer(200, page(self._document()).encode(), b"text/html; charset=utf-8")

    def _document(self) -> dict[str, Any]:
        if self.router is None or self.config is None:
            raise RequestError(503, "not_configured", "the server has no model yet", expected="another try in a second")
        arms = [(arm.config.name, arm.bundle, arm.outputs) for arm in self.router.arms.values()]
        document = describe(self.config.endpoint, arms, authenticated=self._access.authenticated)
        if self.config.explain:
            document = with_explain(document, authenticated=self._access.authenticated)
        served = list(self.router.arms.values())
        return with_tensors(document, self.config.endpoint, served, authenticated=self._access.authenticated)
