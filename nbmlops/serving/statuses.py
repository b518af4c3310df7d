"""Every error that the server answers: its status, its code, what it means and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from .values import Schema


@dataclass(frozen=True)
class Problem:
    """One error."""

    status: int
    code: str
    meaning: str
    remedy: str


PROBLEMS = (
    Problem(400, "malformed_request", "The request or its body can't be read.", "Send what `expected` names."),
    Problem(401, "unauthorized", "The bearer token is missing or is none of the endpoint's.", "Read the token anew."),
    Problem(403, "foreign_host", "The Host header is a name that the endpoint does not answer to.", "Use its address."),
    Problem(403, "foreign_origin", "A page of another origin asks.", "Allow the page's origin, or ask from a server."),
    Problem(404, "not_found", "There is nothing at this path.", "Use a path of /openapi.json."),
    Problem(404, "unknown_model", "The endpoint serves no model of that name.", "Use its name, or its model's."),
    Problem(404, "unknown_version", "The endpoint serves no such version.", "Ask for one that /version lists."),
    Problem(405, "method_not_allowed", "The path takes another method.", "Use the one that `allow` names."),
    Problem(408, "slow_request", "The request was not complete in time.", "Send it faster, or in parts."),
    Problem(
        409, "not_explainable", "Nothing explains this version here.", "Deploy it with --explain, or use %explain."
    ),
    Problem(409, "explanation_differs", "The contributions don't add up to the answer.", "Use %explain ID instead."),
    Problem(413, "body_too_large", "The body is over the endpoint's limit.", "Send fewer rows at once."),
    Problem(415, "unsupported_media_type", "The content type is none of those served.", "Send JSON or CSV in UTF-8."),
    Problem(422, "invalid_input", "The data does not fit the model's signature.", "Mend the `field` that is named."),
    Problem(429, "queue_full", "As many requests are being scored as the endpoint takes.", "Wait for `retry-after`."),
    Problem(431, "headers_too_large", "Request line and headers are too long.", "Send fewer or shorter headers."),
    Problem(500, "model_error", "The model raised an error.", "Find its traceback under the prediction id."),
    Problem(500, "internal_error", "The server failed.", "Find its traceback under the prediction id."),
    Problem(503, "not_configured", "The server has no model yet.", "Wait for `retry-after`."),
    Problem(503, "too_many_connections", "The endpoint has as many connections as it takes.", "Reuse connections."),
    Problem(503, "worker_unavailable", "The model's process is being restarted.", "Wait for `retry-after`."),
    Problem(504, "timeout", "The model took too long.", "Send fewer rows at once."),
)
_ADVICE = {
    401: ("www-authenticate", "The scheme that is asked for."),
    405: ("allow", "The method that the path takes."),
    429: ("retry-after", "Seconds to wait."),
    503: ("retry-after", "Seconds to wait."),
}


def problems(*statuses: int, authenticated: bool, schema: str = "Error") -> Schema:
    """Return the answers of OpenAPI for errors of these statuses, and for a method that is not the path's.

    Parameters
    ----------
    *statuses : int
    authenticated : bool
        Whether a bearer token is asked for.
    schema : str
        The name of the errors' schema.
    """
    found: Schema = {}
    for status in sorted({*statuses, 405} - (set() if authenticated else {401})):
        meanings = [f"`{problem.code}`: {problem.meaning}" for problem in PROBLEMS if problem.status == status]
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        found[str(status)] = {"description": " ".join(meanings), "content": content}
        if status in _ADVICE:
            name, text = _ADVICE[status]
            found[str(status)]["headers"] = {name: {"description": text, "schema": {"type": "string"}}}
    return found
