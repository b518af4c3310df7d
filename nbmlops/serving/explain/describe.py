"""What the OpenAPI document says of ``/explain``, where it is on."""

from __future__ import annotations

from copy import deepcopy

from ..schemas import closed
from ..statuses import problems
from ..values import Schema

_NUMBERS: Schema = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}
_TEXT: Schema = {"type": "string"}


def with_explain(document: Schema, *, authenticated: bool) -> Schema:
    """Return the document with ``/explain`` beside ``/invocations``, whose requests it takes."""
    operation = deepcopy(document["paths"]["/invocations"]["post"])
    operation |= {"summary": "Say what each column adds to the answers.", "operationId": "explain"}
    answered = operation["responses"]["200"]
    answered |= {"description": "Contributions.", "content": {"application/json": {"schema": _answer()}}}
    operation["responses"] |= problems(409, authenticated=authenticated)
    document["paths"]["/explain"] = {"post": operation}
    return document


def _answer() -> Schema:
    one = {
        "id": _TEXT,
        "prediction": {},
        "base": _NUMBERS,
        "contributions": {"type": "object", "additionalProperties": _NUMBERS},
        "output": _NUMBERS,
        "residual": {"type": "number"},
    }
    rows = {"type": "array", "items": closed(one)}
    return closed({"scale": _TEXT, "outputs": {"type": "array", "items": _TEXT}, "explanations": rows})
