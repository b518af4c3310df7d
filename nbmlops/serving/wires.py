"""Scoring protocols: how the bytes of a request become decoded rows, and a model's outputs the bytes of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from .documents import ScoringRequest, media_type
from .errors import RequestError
from .exchange import Answer, Head
from .outputs import Outputs

if TYPE_CHECKING:
    from .arms import Arm


class Wire(Protocol):
    """One scoring protocol.

    Attributes
    ----------
    name : str
        Kept with every captured request, so that it can be decoded again.
    noted : bool
        Whether what is answered counts as traffic: is captured, copied to shadows, judged by guardrails.
    """

    name: str
    noted: bool

    def check(self, head: Head) -> None:
        """Raise `RequestError` where the headers alone say that the request can't be taken."""
        ...

    def decode(self, arm: Arm, head: Head, body: bytes) -> ScoringRequest:
        """Return the decoded request or raise `RequestError`."""
        ...

    def encode(self, arm: Arm, request: ScoringRequest, outputs: Outputs, *, prediction: str) -> Answer:
        """Return the answer that carries a model's outputs."""
        ...

    def refuse(self, error: RequestError) -> Answer:
        """Return the answer that carries an error."""
        ...


class MLflowWire:
    """MLflow's scoring protocol: JSON in four formats, or CSV."""

    name = "mlflow"
    noted = True

    def check(self, head: Head) -> None:
        """Refuse what is neither JSON nor CSV."""
        media_type(head.headers.get(b"content-type"))

    def decode(self, arm: Arm, head: Head, body: bytes) -> ScoringRequest:
        """Return the decoded request."""
        return arm.decoder.decode(body, media_type(head.headers.get(b"content-type")))

    def encode(self, arm: Arm, request: ScoringRequest, outputs: Outputs, *, prediction: str) -> Answer:
        """Return ``{"predictions": …}``."""
        return Answer(200, arm.answer(outputs, request.output))

    def refuse(self, error: RequestError) -> Answer:
        """Return ``{"error": {"code": …, "message": …, "field": …, "expected": …}}``."""
        return Answer(error.status, msgspec.json.encode(error.body()), headers=advice(error))


MLFLOW = MLflowWire()


def advice(error: RequestError) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell a client what to do about an error."""
    if error.status in (429, 503):
        return [(b"retry-after", b"1")]
    if error.status == 401:
        return [(b"www-authenticate", b"Bearer")]
    if error.status == 405:
        return [(b"allow", (error.expected or "").encode())]
    return []
