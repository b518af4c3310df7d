"""One scoring request from its bytes to its answer, and all that is noted on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

import uuid_utils

from .arms import Arm
from .documents import ScoringRequest
from .errors import ModelFailed, RequestError, WorkerUnavailable, invalid
from .exchange import Answer, Head, Reply
from .outputs import Outputs
from .wires import Wire

if TYPE_CHECKING:
    from .application import Application

SERVER_ERROR = 500
Handler = Callable[[Head, bytes, Reply], None]


class Exchange:
    """A scoring request that waits for its arm.

    Attributes
    ----------
    request : ScoringRequest
        What the batcher reads.
    settled : bool
        Whether it was answered; what comes later is dropped.
    pinned : bool
        Whether the caller chose the version itself, so that it tells nothing of the traffic's share.
    """

    __slots__ = (
        "answer", "application", "arm", "body", "code", "head", "outputs", "pinned", "prediction", "reply", "request",
        "seconds", "settled", "started", "timer", "wire",
    )  # fmt: skip

    def __init__(self, application: Application, wire: Wire, head: Head, *, body: bytes, reply: Reply) -> None:
        self.application = application
        self.wire = wire
        self.head = head
        self.body = body
        self.reply = reply
        self.started = perf_counter()
        self.seconds = 0.0
        self.prediction = str(uuid_utils.uuid7())
        self.settled = False
        self.timer: asyncio.TimerHandle | None = None
        self.outputs: Outputs | None = None
        self.code: str | None = None
        self.pinned = False
        self.arm: Arm
        self.request: ScoringRequest
        self.answer: Answer

    def begin(self, arm: Arm) -> None:
        """Decode the request and hand it to its arm; whatever is wrong with it is answered."""
        self.arm = arm
        arm.in_flight += 1
        self.application.in_flight += 1
        try:
            request = self.request = self.wire.decode(arm, self.head, self.body)
            if request.output != "label" and request.output not in arm.outputs:
                raise _cannot(arm, request)
            arm.batcher.submit(self, self.application.limits.timeout_s)
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets an answer and no traceback
            self.settle(error)

    def settle(self, result: Outputs | Exception) -> None:
        """Answer with a model's outputs, or with what kept it from answering."""
        if self.settled:
            return
        self.settled = True
        if self.timer is not None:
            self.timer.cancel()
        arm, fault = self.arm, None
        if isinstance(result, Exception):
            fault = self._refuse(result)
        else:
            try:
                self.answer = self.wire.encode(arm, self.request, result, prediction=self.prediction)
                self.outputs = result
            except Exception as error:  # noqa: BLE001 - an answer that can't be written is an error like any other
                fault = self._refuse(error)
        self.answer.headers = [
            (b"x-prediction-id", self.prediction.encode()),
            (b"x-nbmlops-version", arm.header),
            *self.answer.headers,
        ]
        self.seconds = perf_counter() - self.started
        arm.in_flight -= 1
        arm.metrics.observe(self.answer.status, self.code, self.seconds, wire=self.wire.name)
        self.application.in_flight -= 1
        self.application.notes.answered(self)
        if fault is not None:
            self.application.notes.fault(self, fault)

    def send(self) -> None:
        """Let the caller have the answer."""
        self.reply(self.answer)

    def _refuse(self, error: Exception) -> Exception | None:
        """Set the answer for an error; return it where it is the server's and not the caller's."""
        refusal = _refusal(error, self.prediction)
        self.answer, self.code = self.wire.refuse(refusal), refusal.code
        return error if refusal.status >= SERVER_ERROR else None


class Scoring:
    """Handles the scoring routes of an application.

    Parameters
    ----------
    application : Application
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def handler(self, wire: Wire, pin: str | None = None) -> Handler:
        """Return the handler of a route that speaks `wire`; `pin` is the version that its path names."""
        application = self._application

        def handle(head: Head, body: bytes, reply: Reply) -> None:
            application.metrics.last_request = monotonic()
            router = application.router
            if router is None:
                reply(application.refuse(head, _unconfigured()))
                return
            asked = pin or head.headers.get(b"x-nbmlops-version")
            try:
                arm = router.choose(asked, head.headers.get(b"x-nbmlops-key"))
            except RequestError as error:
                reply(application.refuse(head, error))
                return
            exchange = Exchange(application, wire, head, body=body, reply=reply)
            exchange.pinned = asked is not None
            exchange.begin(arm)

        return handle


def _unconfigured() -> RequestError:
    return RequestError(503, "not_configured", "the server has no model yet", expected="another try in a second")


def _cannot(arm: Arm, request: ScoringRequest) -> RequestError:
    message = f"this model has no {'probabilities' if request.output == 'both' else request.output}"
    return invalid(message, field="params.output", expected=" or ".join(arm.outputs))


def _refusal(error: Exception, prediction: str) -> RequestError:
    """Return what a caller is told of an error."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, WorkerUnavailable):
        message = "the model's process is being restarted"
        return RequestError(503, "worker_unavailable", message, expected="another try in a second")
    where = f"the endpoint's own error store holds the traceback under {prediction}"
    if isinstance(error, ModelFailed):
        return RequestError(500, "model_error", f"the model failed; {where}")
    return RequestError(500, "internal_error", f"the server failed; {where}")
