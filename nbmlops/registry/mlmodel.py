"""The signature that MLflow's own ``log_model`` wrote, as plain data of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbmlops.registry.records import UNKNOWN, Signature

COLUMN_TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")


def signature(mlmodel: Mapping[str, Any]) -> Signature:
    """Return the signature in the content of an ``MLmodel`` file.

    What has no form here (unnamed columns, columns of lists, maps or anything) makes all inputs unknown, so that they
    are passed on as they come. A column that MLflow calls optional is one that had nulls or may be left out.

    Parameters
    ----------
    mlmodel : mapping
    """
    stored = mlmodel.get("signature") or {}
    inputs, outputs = (_form(json.loads(stored.get(side) or "null")) for side in ("inputs", "outputs"))
    params = [_param(param) for param in json.loads(stored.get("params") or "null") or []]
    return {**UNKNOWN, "inputs": inputs, "outputs": outputs} | ({"params": params} if params else {})


def _form(specs: list[dict[str, Any]] | None) -> list[dict[str, Any]] | dict[str, Any] | None:
    if not specs:
        return None
    if all(spec.get("type") == "tensor" for spec in specs):
        tensors = [_tensor(spec) for spec in specs]
        return {"tensor": tensors[0]} if len(tensors) == 1 and "name" not in tensors[0] else {"tensors": tensors}
    if all(spec.get("type") in COLUMN_TYPES and spec.get("name") for spec in specs):
        return [_column(spec) for spec in specs]
    return None


def _tensor(spec: Mapping[str, Any]) -> dict[str, Any]:
    form = {"dtype": spec["tensor-spec"]["dtype"], "shape": list(spec["tensor-spec"]["shape"])}
    return form | ({"name": spec["name"]} if spec.get("name") else {})


def _column(spec: Mapping[str, Any]) -> dict[str, Any]:
    required = bool(spec.get("required", not spec.get("optional", False)))
    return {"name": spec["name"], "type": spec["type"], "required": required, "nullable": not required}


def _param(spec: Mapping[str, Any]) -> dict[str, Any]:
    shape = spec.get("shape")
    kind = spec.get("type") or spec.get("dtype")
    return {
        "name": spec["name"],
        "type": kind,
        "default": spec.get("default"),
        "shape": None if shape is None else list(shape),
    }
