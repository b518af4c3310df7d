"""The parameters that a function or an object's ``predict`` takes beside its table, from their defaults."""

from __future__ import annotations

import inspect
from typing import Any

from nbmlops.registry import kinds

TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def declared(obj: Any) -> list[dict[str, Any]]:
    """Return name, type, default and shape of each argument whose default says what it is.

    A list of one type is a parameter of any length. Estimators and MLflow's own Python models declare none.
    """
    kind = kinds.kind_of(obj)
    if kind not in (kinds.PYTHON, kinds.FUNCTION) or kinds.is_python_model(obj):
        return []
    try:
        arguments = list(inspect.signature(getattr(obj, "predict", obj)).parameters.values())
    except (TypeError, ValueError):  # written in C: nothing is known about it
        return []
    found = (_described(argument) for argument in arguments[1:] if argument.kind is not argument.POSITIONAL_ONLY)
    return [described for described in found if described]


def _described(argument: inspect.Parameter) -> dict[str, Any] | None:
    default = argument.default
    if isinstance(default, list | tuple) and len({type(item) for item in default}) == 1 and type(default[0]) in TYPES:
        return {"name": argument.name, "type": TYPES[type(default[0])], "default": list(default), "shape": [-1]}
    if type(default) in TYPES:
        return {"name": argument.name, "type": TYPES[type(default)], "default": default, "shape": None}
    return None
