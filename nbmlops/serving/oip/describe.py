"""The protocol's part of the OpenAPI document.

A request is spelt out for one and for two rows, since JSON Schema can't say that data is as long as its shape says;
any number is taken. Binary tensors are told of in words: OpenAPI has none for a body of two parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..schemas import closed, listed, params_schema
from ..signature import Signature, TensorSpec
from ..statuses import problems
from ..tensors import dtype_of
from ..values import Schema, column_schema, leaf_schema
from .answers import LABELS, PROBABILITIES
from .arrays import PREFERRED
from .datatypes import DTYPES, datatype_of
from .metadata import answers_by_name
from .routes import PREFIX, Place, places
from .wire import UNHEEDED

if TYPE_CHECKING:
    from ..arms import Arm

ERROR = "TensorError"
SPELT = (1, 2)  # rows
_TEXT: Schema = {"type": "string"}
_BINARY = (
    "Tensors in JSON, flat or nested. Binary ones follow the JSON, in the inputs' order, each with `binary_data_size` "
    "in its parameters; the header `Inference-Header-Content-Length` then holds the JSON's length."
)


def with_tensors(document: Schema, endpoint: str, arms: Sequence[Arm], *, authenticated: bool) -> Schema:
    """Return an OpenAPI document with the paths below ``/v2``.

    Parameters
    ----------
    document : dict
        Is added to.
    endpoint : str
    arms : sequence of Arm
    authenticated : bool
        Whether a bearer token is asked for.
    """
    schemas = document["components"]["schemas"]
    maybe: Schema = {"type": ["string", "null"]}
    schemas[ERROR] = closed({"error": _TEXT, "code": _TEXT, "field": maybe})
    schemas["InferAnswer"] = _answer()
    labels: dict[str, str] = {}
    seen: list[tuple[Any, str]] = []
    for arm in arms:
        key = (arm.bundle.signature, arm.outputs, answers_by_name(arm.bundle))
        found = next((label for known, label in seen if known == key), None)
        if found is None:
            found = f"InferRequest-{re.sub(r'[^A-Za-z0-9._-]', '_', arm.config.name)}"
            found = f"{found}-{len(seen)}" if found in schemas else found
            seen.append((key, found))
            schemas[found] = {"title": f"Tensors for version {arm.config.name}", **infer_schema(arm)}
        labels[arm.config.name] = found
    document["paths"].update(_pages(authenticated=authenticated))
    for place in places(endpoint, arms):
        references = dict.fromkeys(labels[arm.config.name] for arm in place.arms)
        document["paths"].update(_model(place, list(references), authenticated=authenticated))
    return document


def _pages(*, authenticated: bool) -> Schema:
    index = closed(dict.fromkeys(("name", "version", "state", "reason"), _TEXT))
    server = closed({"name": _TEXT, "version": _TEXT, "extensions": {"type": "array", "items": _TEXT}})
    live = _page("Whether the server runs.", closed({"live": {"type": "boolean"}}), authenticated=False)
    return {
        PREFIX: {"get": _page("What the server is.", server, authenticated=authenticated)},
        f"{PREFIX}/health/live": {"get": {**live, "security": []}},
        f"{PREFIX}/health/ready": {"get": {**_ready("Whether the endpoint can answer."), "security": []}},
        f"{PREFIX}/repository/index": {
            "post": _page("The models that are served.", {"type": "array", "items": index}, authenticated=authenticated)
        },
    }


def _page(summary: str, schema: Schema, *, authenticated: bool) -> Schema:
    statuses = (400, 401, 403, 408, 413, 429, 431)
    answer = {"description": summary, "content": {"application/json": {"schema": schema}}}
    responses = {"200": answer, **problems(*statuses, authenticated=authenticated, schema=ERROR)}
    return {"summary": summary, "tags": ["tensors"], "responses": responses}


def _ready(summary: str, *, authenticated: bool = False) -> Schema:
    page = _page(summary, closed({"ready": {"type": "boolean"}}), authenticated=authenticated)
    page["responses"]["503"] = {**page["responses"]["200"], "description": "No model is ready."}
    return page


def _model(place: Place, requests: list[str], *, authenticated: bool) -> Schema:
    tensor = {"type": "object", "required": ["name", "datatype", "shape"]}
    metadata = {
        **dict.fromkeys(("name", "platform"), _TEXT),
        "versions": {"type": "array", "items": _TEXT},
        "inputs": {"type": "array", "items": tensor},
        "outputs": {"type": "array", "items": tensor},
    }
    return {
        place.path: {"get": _page("What the model takes and answers.", closed(metadata), authenticated=authenticated)},
        f"{place.path}/ready": {"get": _ready("Whether the model can answer.", authenticated=authenticated)},
        f"{place.path}/infer": {"post": _infer(place, requests, authenticated=authenticated)},
    }


def _infer(place: Place, requests: list[str], *, authenticated: bool) -> Schema:
    references = [{"$ref": f"#/components/schemas/{name}"} for name in requests]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    answered = {
        "description": "The outputs; those in binary follow the JSON.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferAnswer"}},
            "application/octet-stream": {"schema": {}},
        },
    }
    statuses = [400, 401, 403, 404, 408, 413, 415, 422, 429, 431, 500, 503, 504]
    return {
        "summary": f"Score tensors{'' if place.pin is None else f' with version {place.pin}'}.",
        "description": _BINARY,
        "tags": ["tensors"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": answered, **problems(*statuses, authenticated=authenticated, schema=ERROR)},
    }


def infer_schema(arm: Arm) -> Schema:
    """Return the schema of a request's document."""
    signature = arm.bundle.signature
    parameters = params_schema(signature, arm.outputs)
    more: Schema = {"binary_data_output": {"type": "boolean"}, "content_type": {"type": ["string", "null"]}}
    more |= {name: {} for name in sorted(UNHEEDED - {"content_type"})}
    parameters["properties"] = {**more, **parameters["properties"]}
    fields: dict[str, Schema] = {
        **{name: {"type": ["string", "null"]} for name in ("id", "model_name", "model_version")},
        "parameters": parameters,
        "outputs": _outputs(arm),
    }
    forms = [closed({"inputs": inputs, **fields}, ["inputs"]) for inputs in _inputs(signature)]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _outputs(arm: Arm) -> Schema:
    names = [LABELS, PROBABILITIES] if "probabilities" in arm.outputs else [LABELS]
    if answers_by_name(arm.bundle) is None:
        names = []
    choice = {"type": ["object", "null"], "properties": {"binary_data": {"type": "boolean"}}}
    items = [closed({"name": {"const": name}, "parameters": choice}, ["name"]) for name in names]
    description = "In any order, and each at most once; left out, the labels."
    return {"type": ["array", "null"], "prefixItems": items, "maxItems": len(items), "description": description}


def _inputs(signature: Signature) -> list[Schema]:
    """Return a schema of ``inputs`` for each number of rows that is spelt out."""
    if signature.columns is not None:
        needed = [number for number, column in enumerate(signature.columns, 1) if column.required]
        return [
            _listed(
                [
                    _tensor(
                        {"const": column.name}, PREFERRED[column.type], shapes=[[rows], [rows, 1]], value=_value(column)
                    )
                    for column in signature.columns
                ],
                max(needed, default=1),
            )
            for rows in SPELT
        ]
    if signature.tensors is not None:
        return [_listed([_of_spec(spec, {"const": spec.name}, rows) for spec in signature.tensors]) for rows in SPELT]
    if signature.tensor is not None:
        return [_listed([_of_spec(signature.tensor, _TEXT, rows)]) for rows in SPELT]
    plain = TensorSpec("float64", [-1, 2], nullable=True)
    return [_listed([_of_spec(plain, _TEXT, rows)]) for rows in SPELT]


def _listed(items: list[Schema], least: int | None = None) -> Schema:
    fewest = len(items) if least is None else least
    return {"type": "array", "prefixItems": items, "minItems": fewest, "maxItems": len(items)}


def _value(column: Any) -> Schema:
    return {"type": "string"} if column.type == "binary" and not column.nullable else column_schema(column)


def _of_spec(spec: TensorSpec, name: Schema, rows: int) -> Schema:
    shape = [rows if length < 0 else length for length in spec.shape]
    return _tensor(name, datatype_of(dtype_of(spec)), shapes=[shape], value=leaf_schema(spec))


def _tensor(name: Schema, datatype: str, *, shapes: list[list[int]], value: Schema) -> Schema:
    fields: dict[str, Schema] = {
        "name": name,
        "datatype": {"const": datatype, "description": "Another of the protocol's is taken if it holds such values."},
        "shape": {"enum": shapes},
        "data": listed(value, math.prod(shapes[0])),
    }
    return closed(fields)


def _answer() -> Schema:
    output = closed(
        {
            "name": _TEXT,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"enum": list(DTYPES)},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        ["name", "shape", "datatype", "parameters"],
    )
    outputs = {"type": "array", "items": output}
    return closed({"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "outputs": outputs})
