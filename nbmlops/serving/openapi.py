"""The OpenAPI document of what is served, made from the models' signatures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import __version__
from .bundle import Bundle
from .schemas import answer_schema, closed, csv_schema, example_csv, example_requests, request_schema
from .signature import Signature
from .statuses import problems
from .values import Schema

Arms = Sequence[tuple[str, Bundle, Sequence[str]]]
_TEXT: Schema = {"type": "string"}


def describe(endpoint: str, arms: Arms, *, authenticated: bool) -> Schema:
    """Return the OpenAPI 3.1 document of an endpoint.

    Parameters
    ----------
    endpoint : str
    arms : sequence of (name, Bundle, outputs)
        What is served; equal signatures are described once.
    authenticated : bool
        Whether a bearer token is asked for.
    """
    schemas: dict[str, Schema] = {"Error": _error_schema()}
    requests, answers, seen = [], [], []
    for name, bundle, outputs in arms:
        if (bundle.signature, outputs) not in seen:
            seen.append((bundle.signature, outputs))
            label = _label(name, schemas)
            schemas[f"Request-{label}"] = {"title": f"Request to version {name}"} | request_schema(*seen[-1])
            schemas[f"Answer-{label}"] = {"title": f"Answer of version {name}"} | answer_schema(*seen[-1])
            requests.append({"$ref": f"#/components/schemas/Request-{label}"})
            answers.append({"$ref": f"#/components/schemas/Answer-{label}"})
    signatures = [signature for signature, _ in seen]
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": endpoint, "version": __version__, "description": f"The scoring server of {endpoint}."},
        "paths": {
            "/invocations": {
                "post": _invocations(_body(requests, signatures), _any(answers), arms, authenticated=authenticated)
            },
            **_pages(authenticated),
        },
        "components": {"schemas": schemas},
    }
    if authenticated:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
    return document


def _label(name: str, taken: dict[str, Schema]) -> str:
    """Return a version's name in the letters that a component's may have."""
    label = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return label if f"Request-{label}" not in taken else f"{label}-{len(taken)}"


def _any(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _body(requests: list[Schema], signatures: list[Signature]) -> Schema:
    content: dict[str, Schema] = {"application/json": {"schema": _any(requests)}}
    tables = [table for signature in signatures if (table := csv_schema(signature))]
    if tables:
        content["text/csv"] = {"schema": _any(tables)}
    for number, signature in enumerate(signatures, 1):
        more = f", signature {number}" if len(signatures) > 1 else ""
        for name, example in example_requests(signature).items():
            content["application/json"].setdefault("examples", {})[name + more] = {"value": example}
        text = example_csv(signature)
        if text is not None:
            content["text/csv"].setdefault("examples", {})["csv" + more] = {"value": text}
    return {"required": True, "content": content}


def _invocations(body: Schema, answer: Schema, arms: Arms, *, authenticated: bool) -> Schema:
    pin = {
        "name": "x-nbmlops-version",
        "in": "header",
        "required": False,
        "description": "Asks for this version whatever its share of the traffic.",
        "schema": {"type": "string", "enum": [name for name, _, _ in arms]},
    }
    key = {
        "name": "x-nbmlops-key",
        "in": "header",
        "required": False,
        "description": "Requests of one key get the same version, even when the traffic moves, as far as that goes.",
        "schema": {"type": "string"},
    }
    answered = {"description": "The predictions.", "headers": identity(), "content": _json(answer)}
    statuses = [400, 401, 403, 404, 408, 413, 415, 422, 429, 431, 500, 503, 504]
    return {
        "summary": "Score rows, in MLflow's formats.",
        "operationId": "invocations",
        "tags": ["scoring"],
        "parameters": [pin, key],
        "requestBody": body,
        "responses": {"200": answered, **problems(*statuses, authenticated=authenticated)},
    }


def identity() -> dict[str, Schema]:
    """Return the headers of an answer that holds predictions."""
    return {
        "x-prediction-id": {
            "description": "The prediction's UUIDv7; its rows are ID:0, ID:1, …",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        },
        "x-nbmlops-version": {"description": "The version that answered.", "required": True, "schema": _TEXT},
    }


def _pages(authenticated: bool) -> Schema:
    status = closed({"status": {"enum": ["ok", "unavailable"]}})
    plain = {"text/plain": {"schema": _TEXT}, "application/openmetrics-text": {"schema": _TEXT}}
    pages: list[tuple[str, str, Schema, bool]] = [
        ("/ping", "Whether the endpoint can answer.", _json(status), True),
        ("/health", "Whether the endpoint can answer.", _json(status), True),
        ("/version", "Server, endpoint, versions and bundles.", _json(_version_schema()), False),
        ("/metrics", "Metrics for Prometheus.", plain, False),
        ("/openapi.json", "This document.", _json({"type": "object", "required": ["openapi", "paths"]}), False),
        ("/docs", "This document as a page.", {"text/html": {"schema": _TEXT}}, False),
    ]
    result: Schema = {}
    for path, summary, content, is_open in pages:
        get: Schema = {"summary": summary, "operationId": path.strip("/").replace(".", "_"), "tags": ["operation"]}
        get["responses"] = {"200": {"description": summary, "content": content}}
        if is_open:
            get["security"] = []
            get["responses"]["503"] = {"description": "No model is ready.", "content": content}
        else:
            get["responses"] |= problems(400, 401, 403, authenticated=authenticated)
        get["responses"] |= problems(408, 413, 429, 431, authenticated=authenticated)
        result[path] = {"get": get}
    return result


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _version_schema() -> Schema:
    arm = {
        **dict.fromkeys(("name", "model", "version", "runtime", "bundle"), _TEXT),
        **dict.fromkeys(("environment_id", "serving_environment_id", "locked"), _TEXT),
        "differs": {"type": "array", "items": _TEXT},
        "weight": {"type": "number"},
        "outputs": {"type": "array", "items": _TEXT},
        "ready": {"type": "boolean"},
    }
    arms = {"type": "array", "items": {"type": "object", "properties": arm, "required": list(arm)}}
    return closed({"server": _TEXT, "endpoint": {"type": ["string", "null"]}, "arms": arms})


def _error_schema() -> Schema:
    maybe: Schema = {"type": ["string", "null"]}
    fields: dict[str, Schema] = {"code": _TEXT, "message": _TEXT, "field": maybe, "expected": maybe}
    return closed({"error": closed(fields)})
