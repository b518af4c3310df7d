"""Writes nodes and constants into the graph that skl2onnx is making, and names what they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

ML = "ai.onnx.ml"


class Emitter:
    """What a conversion of a single step writes with.

    Parameters
    ----------
    scope, operator, container : object
        As skl2onnx hands them to a conversion.
    """

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self._scope = scope
        self._container = container
        self.step: Any = operator.raw_operator
        self._inputs = list(operator.inputs)
        self._outputs = list(operator.outputs)

    def constant(self, values: npt.ArrayLike) -> str:
        """Write an array and return its name."""
        from onnx import helper

        array = np.asarray(values)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        name = str(self._scope.get_unique_variable_name("constant"))
        self._container.add_initializer(name, kind, list(array.shape), array.ravel().tolist())
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", version: int | None = None, **attributes: Any) -> str:
        """Write a node and return the name of its only output."""
        [name] = self.nodes(kind, *inputs, outputs=1, domain=domain, version=version, **attributes)
        return name

    def nodes(
        self, kind: str, *inputs: str, outputs: int, domain: str = "", version: int | None = None, **attributes: Any
    ) -> list[str]:
        """Write a node and return the names of its outputs."""
        names = [str(self._scope.get_unique_variable_name(kind.lower())) for _ in range(outputs)]
        self._container.add_node(kind, list(inputs), names, op_domain=domain, op_version=version, **attributes)
        return names

    def cast(self, name: str, dtype: npt.DTypeLike) -> str:
        """Return the name of `name` as numbers of another type."""
        from onnx import helper

        return self.node("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def column(self, name: str, place: int) -> str:
        """Return the name of one column, shape (n_rows, 1)."""
        return self.node("Gather", name, self.constant(np.array([place])), axis=1)

    def answer(self, *names: str) -> None:
        """Let what `names` stand for be the outputs of the step, in their order."""
        for name, output in zip(names, self._outputs, strict=False):
            self._container.add_node("Identity", [name], [output.full_name])

    def columns(self) -> list[tuple[str, bool]]:
        """Return every column that reaches the step: its name, shape (n_rows, 1), and whether it holds text."""
        from skl2onnx.common.data_types import StringTensorType

        found = []
        for one in self._inputs:
            text = isinstance(one.type, StringTensorType)
            name = one.full_name if text else self._number(one)
            width = one.type.shape[1]
            found += [(name if width == 1 else self.column(name, place), text) for place in range(width)]
        return found

    def numbers(self) -> str:
        """Return the name of all columns as float64, shape (n_rows, n_columns)."""
        names = [self._number(one) for one in self._inputs]
        return names[0] if len(names) == 1 else self.node("Concat", *names, axis=1)

    def option(self, name: str) -> bool:
        """Return whether an option of skl2onnx is on for the step."""
        return bool(self._container.get_options(self.step, {name: False}).get(name))

    def _number(self, variable: Any) -> str:
        from skl2onnx.common.data_types import DoubleTensorType

        kept = isinstance(variable.type, DoubleTensorType)
        return str(variable.full_name) if kept else self.cast(variable.full_name, np.float64)


def rows_and_columns(operator: Any, columns: int) -> Any:
    """Let the output of a step be float64 of `columns` columns."""
    from skl2onnx.common.data_types import DoubleTensorType

    operator.outputs[0].type = DoubleTensorType([operator.inputs[0].get_first_dimension(), columns])


def widths(operator: Any) -> Sequence[int]:
    """Return the number of columns of each input."""
    return [one.type.shape[1] for one in operator.inputs]
