"""The OpenAPI document of what is served, made from the models' signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import __version__
from .bundle import Bundle
from .documents import FORMATS, OUTPUTS
from .signature import Column, Signature, TensorSpec

Schema = dict[str, Any]

_TYPES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "description": "ISO 8601, taken as UTC"},
}
_PROBLEMS = {
    400: "The body can't be read.",
    401: "The bearer token is missing or wrong.",
    404: "No such version, or nothing at this path.",
    405: "Another method is expected.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The content type is neither application/json nor text/csv in UTF-8.",
    422: "The data does not fit the model's signature; the field and the expectation are named.",
    429: "Too many requests are being scored; try again.",
    500: "The model failed; its traceback is in the local error log under the prediction id.",
    503: "No model is ready; try again.",
    504: "The model took too long.",
}


def describe(endpoint: str, arms: Sequence[tuple[str, Bundle, Sequence[str]]], *, authenticated: bool) -> Schema:
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
    requests, answers, examples = [], [], {}
    seen: list[tuple[Signature, Sequence[str]]] = []
    for name, bundle, outputs in arms:
        if (bundle.signature, outputs) in seen:
            continue
        seen.append((bundle.signature, outputs))
        schemas[f"Request-{name}"] = request_schema(bundle.signature, outputs)
        schemas[f"Answer-{name}"] = answer_schema(bundle.signature, outputs)
        requests.append({"$ref": f"#/components/schemas/Request-{name}"})
        answers.append({"$ref": f"#/components/schemas/Answer-{name}"})
        if bundle.signature.example is not None:
            examples[f"version {name}"] = {"value": example_request(bundle.signature)}
    content: Schema = {"schema": requests[0] if len(requests) == 1 else {"anyOf": requests}}
    if examples:
        content["examples"] = examples
    body = {"required": True, "content": {"application/json": content, "text/csv": {"schema": {"type": "string"}}}}
    answer = answers[0] if len(answers) == 1 else {"anyOf": answers}
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": endpoint, "version": __version__, "description": f"The scoring server of {endpoint}."},
        "paths": {"/invocations": {"post": _invocations(body, answer, [name for name, _, _ in arms])}, **_pages()},
        "components": {"schemas": schemas},
    }
    if authenticated:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
    return document


def _invocations(body: Schema, answer: Schema, names: list[str]) -> Schema:
    pin = {
        "name": "x-nbmlops-version",
        "in": "header",
        "required": False,
        "description": "Asks for this version whatever its share of the traffic.",
        "schema": {"type": "string", "enum": names},
    }
    headers = {
        "x-prediction-id": {"description": "The prediction's UUIDv7; rows are ID:0, ID:1, …", "schema": _text()},
        "x-nbmlops-version": {"description": "The version that answered.", "schema": _text()},
    }
    answered = {"description": "The predictions.", "headers": headers, "content": _json(answer)}
    return {
        "summary": "Score rows, in MLflow's formats.",
        "operationId": "invocations",
        "parameters": [pin],
        "requestBody": body,
        "responses": {"200": answered, **_problems(*_PROBLEMS)},
    }


def _pages() -> Schema:
    status = {"type": "object", "properties": {"status": {"enum": ["ok", "unavailable"]}}, "required": ["status"]}
    plain = {"text/plain": {"schema": _text()}}
    pages: list[tuple[str, str, Schema, bool]] = [
        ("/ping", "Whether the endpoint can answer.", _json(status), True),
        ("/health", "Whether the endpoint can answer.", _json(status), True),
        ("/version", "Server, endpoint, versions and bundles.", _json({"type": "object"}), False),
        ("/metrics", "Metrics for Prometheus.", plain, False),
        ("/openapi.json", "This document.", _json({"type": "object"}), False),
        ("/docs", "This document as a page.", {"text/html": {"schema": _text()}}, False),
    ]
    result: Schema = {}
    for path, summary, content, is_open in pages:
        get: Schema = {"summary": summary, "operationId": path.strip("/").replace(".", "_")}
        get["responses"] = {"200": {"description": summary, "content": content}, **_problems(405)}
        if is_open:
            get["security"] = []
            get["responses"]["503"] = {"description": "Not ready.", "content": content}
        else:
            get["responses"].update(_problems(401))
        result[path] = {"get": get}
    return result


def _problems(*statuses: int) -> Schema:
    content = _json({"$ref": "#/components/schemas/Error"})
    return {str(status): {"description": _PROBLEMS[status], "content": content} for status in statuses}


def _text() -> Schema:
    return {"type": "string"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _error_schema() -> Schema:
    maybe = {"type": ["string", "null"]}
    fields = {"code": _text(), "message": _text(), "field": maybe, "expected": maybe}
    inner = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"], "additionalProperties": False}


def request_schema(signature: Signature, outputs: Sequence[str] = OUTPUTS) -> Schema:
    """Return the JSON Schema of a request for a model."""
    params = {
        "type": ["object", "null"],
        "properties": {"output": {"enum": list(outputs), "default": "label"}},
        "additionalProperties": False,
    }
    forms = _frame_forms(signature.columns) if signature.columns is not None else _other_forms(signature.tensor)
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {name: form, "params": params},
                "required": [name],
                "additionalProperties": False,
            }
            for name, form in forms.items()
        ]
    }


def _frame_forms(columns: Sequence[Column]) -> dict[str, Schema]:
    types = {column.name: _column_schema(column) for column in columns}
    required = [column.name for column in columns if column.required]
    record: Schema = {"type": "object", "properties": types, "required": required, "additionalProperties": False}
    records = {"type": "array", "minItems": 1, "items": record}
    lists = {name: {"type": "array", "minItems": 1, "items": form} for name, form in types.items()}
    wide = {**record, "properties": lists}
    names = {"type": "array", "items": {"enum": list(types)}, "uniqueItems": True, "minItems": len(required)}
    kinds = list({str(form): form for form in types.values()}.values())
    # The order is the request's own, so that a cell may have any column's type here.
    row = {"type": "array", "items": {"anyOf": kinds}, "minItems": len(required), "maxItems": len(types)}
    split = {
        "type": "object",
        "properties": {
            "columns": {**names, "default": list(types)},
            "data": {"type": "array", "minItems": 1, "items": row},
            "index": {"type": "array"},
        },
        "required": ["columns", "data"],
        "additionalProperties": False,
    }
    rows_or_columns = {"anyOf": [records, wide]}
    forms = (split, records, rows_or_columns, rows_or_columns)
    return dict(zip(FORMATS, forms, strict=True))


def _column_schema(column: Column) -> Schema:
    schema = dict(_TYPES[column.type])
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def _other_forms(tensor: TensorSpec | None) -> dict[str, Schema]:
    if tensor is None:
        return {name: {} for name in FORMATS}
    nested = _leaf(tensor)
    for length in reversed(tensor.shape):
        nested = {"type": "array", "minItems": 1, "items": nested}
        if length >= 0:
            nested |= {"minItems": length, "maxItems": length}
    return {"instances": nested, "inputs": nested}


def _leaf(tensor: TensorSpec) -> Schema:
    if tensor.dtype.startswith(("int", "uint")):
        return {"type": "integer"}
    if tensor.dtype.startswith("float"):
        return {"type": ["number", "null"] if tensor.nullable else "number"}
    return {"type": "boolean" if tensor.dtype == "bool" else "string"}


def answer_schema(signature: Signature, outputs: Sequence[str] = OUTPUTS) -> Schema:
    """Return the JSON Schema of a model's answer."""
    if signature.task == "other":
        return {"type": "object", "properties": {"predictions": {}}, "required": ["predictions"]}
    label: Schema = {"enum": signature.classes} if signature.classes else {}
    forms: list[Schema] = [{"type": "array", "items": label}]
    if "probabilities" in outputs:
        chances: Schema = {"type": "array", "items": {"type": ["number", "null"]}}
        if signature.classes:
            chances |= {"minItems": len(signature.classes), "maxItems": len(signature.classes)}
        both = {"type": "object", "properties": {"label": label, "probabilities": chances}}
        forms += [{"type": "array", "items": chances}, {"type": "array", "items": both}]
    return {
        "type": "object",
        "properties": {"predictions": {"anyOf": forms}, "classes": {"type": "array"}},
        "required": ["predictions"],
        "additionalProperties": False,
    }


def example_request(signature: Signature) -> Schema:
    """Return the signature's example as a request."""
    example = signature.example or {}
    if signature.columns is not None:
        return {"dataframe_split": {"columns": example.get("columns", []), "data": example.get("data", [])[:1]}}
    return {"inputs": example.get("data", [])[:1]}
