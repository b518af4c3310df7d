"""The parameters of a request: which answer is wanted, and those that the model itself declares.

``params.output`` is the server's own, unless the model declares a parameter of that name: then it is the model's, and
the answer is the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from .columns import CHECKS, EXPECTED, Unfit, kind_of
from .documents import OUTPUTS, Output, nearest, shown
from .errors import RequestError, invalid
from .signature import Param


class Parameters:
    """Reads ``params`` as a signature declares them.

    Parameters
    ----------
    declared : sequence of Param
        Empty where the model takes none.
    """

    def __init__(self, declared: Sequence[Param] = ()) -> None:
        self.declared = {param.name: param for param in declared}
        # One object for all requests that give none, so that batches are formed by a glance at it.
        self.defaults: Mapping[str, Any] | None = {param.name: param.default for param in declared} or None
        self._output = "output" not in self.declared
        self.names = (*self.declared, *(["output"] if self._output else []))

    def read(self, params: Any) -> tuple[Output, Mapping[str, Any] | None]:
        """Return the wanted output and the model's parameters, in JSON's own values, with defaults for those left out.

        Raises
        ------
        RequestError
            422 for a parameter, a type, a shape or a value that isn't known.
        """
        if params is None:
            return "label", self.defaults
        if not isinstance(params, dict):
            raise invalid("params is no object", field="params", expected='an object such as {"output": "label"}')
        output: Output = "label"
        given: dict[str, Any] = {}
        for name, value in params.items():
            if name in self.declared:
                given[name] = _checked(self.declared[name], value)
            elif name == "output" and self._output:
                output = _output(value)
            else:
                message = f"there is no parameter {shown(name)}{nearest(name, self.names)}"
                raise invalid(message, field=f"params.{name[:80]}", expected=", ".join(self.names))
        return output, {**self.defaults, **given} if self.defaults and given else self.defaults

    def native(self, params: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return the model's parameters as MLflow hands them over: moments are ``datetime`` objects."""
        if params is None:
            return None
        return {
            name: _moments(value) if name in self.declared and self.declared[name].type == "datetime" else value
            for name, value in params.items()
        }


def _output(value: Any) -> Output:
    if value not in OUTPUTS:
        raise invalid("params.output has no such value", field="params.output", expected=" or ".join(OUTPUTS))
    return value  # type: ignore[no-any-return]


def _checked(param: Param, value: Any) -> Any:
    field = f"params.{param.name}"
    if param.shape is None:
        return _scalar(param, value, field)
    if not isinstance(value, list):
        raise _refusal(value, field, f"a list, each item {EXPECTED.get(param.type, param.type)}")
    return [_scalar(param, item, f"{field}[{index}]") for index, item in enumerate(value)]


def _scalar(param: Param, value: Any, field: str) -> Any:
    if value is None:  # as MLflow takes it
        return None
    if param.type == "object":
        if isinstance(value, dict):
            return value
        raise _refusal(value, field, "an object")
    try:
        checked = CHECKS[param.type](value)
    except Unfit:
        raise _refusal(value, field, EXPECTED[param.type]) from None
    return value if param.type == "datetime" else checked


def _refusal(value: Any, field: str, expected: str) -> RequestError:
    return invalid(f"{field} holds {kind_of(value)}", field=field, expected=expected)


def _moments(value: Any) -> Any:
    if isinstance(value, list):
        return [_moments(item) for item in value]
    if not isinstance(value, str):
        return value
    moment = CHECKS["datetime"](value)
    found: date = (moment.astype("M8[D]") if len(value) == 10 else moment.astype("M8[us]")).item()
    return found
