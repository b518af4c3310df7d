"""The HTTP client of an endpoint: scores rows, and turns what the server refuses into errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import EndpointError, ScoringError
from nbmlops.core.settings import settings
from nbmlops.deployment.encoding import ROWS_PER_REQUEST, Output, answer_of, requests_of

if TYPE_CHECKING:
    import requests

RETRIES = 2  # scoring changes nothing, so what a restart cut off may be sent again
MARGIN = 10.0  # seconds beyond the server's own limit, so that it is the one to give up
CLIENT_ERRORS = 400


@dataclass(frozen=True)
class Sending:
    """How rows are sent.

    Attributes
    ----------
    rows : int
        The most in one request.
    timeout : float or None, seconds
        That one request may take; None for what the settings say.
    """

    rows: int = ROWS_PER_REQUEST
    timeout: float | None = None


def score(
    url: str,
    headers: Mapping[str, str],
    data: Any,
    *,
    names: Sequence[str] | None = None,
    output: Output | None = None,
    sending: Sending | None = None,
) -> Any:
    """Send rows to ``url/invocations`` and return the answers as the model's ``predict`` would give them.

    See :func:`nbmlops.deployment.encoding.requests_of` for `data`, `names` and `output`.

    Raises
    ------
    ScoringError
        The server refused the rows, or the model raised.
    EndpointError
        Nothing answers at `url`.
    """
    how = sending or Sending()
    patience = (how.timeout or settings().request_timeout) + MARGIN
    bodies = requests_of(data, names, output, rows=how.rows)
    parts = [_post(url, headers, body, timeout=patience) for body in bodies]
    return answer_of(parts, output)


def outputs(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the arm at ``url`` that gets the traffic can answer: ``label``, ``probabilities``, ``both``."""
    response = session().get(f"{url}/version", headers=dict(headers), timeout=settings().request_timeout + MARGIN)
    if response.status_code >= CLIENT_ERRORS:
        raise refusal(response)
    return tuple(max(response.json()["arms"], key=lambda arm: arm["weight"])["outputs"])


def _post(url: str, headers: Mapping[str, str], body: bytes, *, timeout: float) -> dict[str, Any]:
    import requests

    try:
        response = session().post(
            f"{url}/invocations", data=body, headers={"content-type": "application/json", **headers}, timeout=timeout
        )
    except requests.RequestException as error:
        raise EndpointError(
            f"no answer from {url} ({type(error).__name__})",
            hint="Look at the endpoint's status and logs; restart it if it is down.",
        ) from error
    if response.status_code >= CLIENT_ERRORS:
        raise refusal(response)
    answer = response.json()
    assert isinstance(answer, dict)
    return answer


def refusal(response: requests.Response) -> ScoringError:
    """Return an error answer of the server as an exception, with its message, field and expectation."""
    error: dict[str, Any] = {}
    if response.headers.get("content-type", "").startswith("application/json"):
        error = response.json().get("error") or {}
    message = str(error.get("message") or f"the endpoint answered {response.status_code} {response.reason}")
    prediction = response.headers.get("x-prediction-id", "")
    told = response.status_code >= 500 and prediction
    return ScoringError(
        message,
        status=response.status_code,
        code=str(error.get("code") or "http_error"),
        expected=error.get("expected"),
        hint=f"The endpoint's .errors() tell why (prediction {prediction})." if told else None,
        prediction_id=prediction,
    )


@lru_cache(maxsize=1)
def session() -> requests.Session:
    """Return the connection pool of this process; it asks no proxy, since endpoints are on this machine."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    made = requests.Session()
    made.trust_env = False
    retry = Retry(total=RETRIES, status=0, backoff_factor=0.1, allowed_methods=None)
    made.mount("http://", HTTPAdapter(max_retries=retry))
    return made
