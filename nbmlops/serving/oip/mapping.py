"""How tensors become what a model takes, made once from its signature.

A model of named columns takes one input for each column, of shape ``[n]`` or ``[n, 1]`` and the column's name, or a
single input of another name and shape ``[n, n_columns]`` with the columns in the signature's order. A model of one
tensor takes one input of any name, a model of several takes them by name, and one without a signature anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..columns import ColumnCodec
from ..documents import nearest, shown
from ..errors import invalid
from ..inputs import FEW, Block, Decoded, Generic, Rows, Table, Tensor, Tensors
from ..signature import Column, Signature, TensorSpec
from ..tensors import TensorCodec
from .arrays import ACCEPTED, check_datatype, checked_values, plain_values, quick, tensor_array, whole_array
from .datatypes import Array, to_text
from .requests import InputTensor, names_once


class Mapping(Protocol):
    """Turns tensors into data that fits a signature."""

    def __call__(self, tensors: Sequence[InputTensor], content_type: Any) -> Decoded:
        """Return the data; `content_type` is MLServer's hint for the whole request."""
        ...


def make_mapping(signature: Signature) -> Mapping:
    """Return the mapping for a signature."""
    if signature.columns is not None:
        return ColumnsMapping(signature.columns)
    if signature.tensor is not None:
        return TensorMapping(signature.tensor)
    if signature.tensors is not None:
        return NamedTensorsMapping(signature.tensors)
    return GenericMapping()


class ColumnsMapping:
    """Columns by name, or all of them side by side.

    Parameters
    ----------
    columns : sequence of Column
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._codecs = tuple(ColumnCodec(column) for column in columns)
        self.names = tuple(column.name for column in columns)
        self._positions = {name: index for index, name in enumerate(self.names)}
        self._required = frozenset(column.name for column in columns if column.required)
        self._taken = frozenset.intersection(*(frozenset(ACCEPTED[column.type]) for column in columns))
        groups: dict[Any, list[int]] = {}
        for index, codec in enumerate(self._codecs):
            # Columns that are checked alike are checked together.
            column = codec.column
            alike = codec.dtype is not None and codec.known is None
            groups.setdefault((column.type, column.nullable) if alike else index, []).append(index)
        self._groups = [(tuple(indices), _places(indices)) for indices in groups.values()]
        self._group_of = {index: number for number, (group, _) in enumerate(self._groups) for index in group}

    def __call__(self, tensors: Sequence[InputTensor], content_type: Any) -> Rows | Table:
        """Return checked rows or columns."""
        first = tensors[0]
        if len(tensors) == 1 and self._is_matrix(first):
            return self._from_matrix(first)
        return self._from_columns(tensors)

    def _is_matrix(self, tensor: InputTensor) -> bool:
        width = len(self.names)
        if len(tensor.shape) == 2 and tensor.shape[1] == width and width > 1:
            return True
        return tensor.name not in self._positions

    def _from_matrix(self, tensor: InputTensor) -> Rows | Table:
        rows, width = tensor.shape[0] if tensor.shape else 0, len(self.names)
        single = width == 1 and len(tensor.shape) == 1
        if not rows or not (single or tensor.shape[1:] == (width,)):
            message = f"input {shown(tensor.name)} has shape {list(tensor.shape)}{nearest(tensor.name, self.names)}"
            raise invalid(message, field=tensor.name[:80], expected=f"an input for each column, or shape [n, {width}]")
        if tensor.datatype not in self._taken:
            for codec in self._codecs:
                check_datatype(tensor, codec)
        if rows <= FEW and isinstance(tensor.values, list):
            parts = [tensor.values[index::width] for index in range(width)]
            return self._rows([tensor] * width, parts)
        matrix = whole_array(tensor).reshape(rows, width).T
        blocks = []
        for indices, places in self._groups:
            part = matrix[places]
            found = quick(self._codecs[indices[0]], part)
            if found is not None:
                blocks.append(Block(indices, found))
            else:
                blocks += [Block((i,), self._slowly(tensor, i, matrix[i])[None]) for i in indices]
        return Table(self.names, blocks)

    def _from_columns(self, tensors: Sequence[InputTensor]) -> Rows | Table:
        sent = self._sent(tensors)
        rows = next(iter(sent.values())).shape[0]
        for index, tensor in sent.items():
            if tensor.shape not in ((rows,), (rows, 1)):
                message = f"column {self.names[index]!r} has shape {list(tensor.shape)}"
                raise invalid(message, field=self.names[index], expected=f"shape [{rows}] or [{rows}, 1]")
            check_datatype(tensor, self._codecs[index])
        if rows <= FEW and all(isinstance(tensor.values, list) for tensor in tensors):
            ordered = [sent.get(index) for index in range(len(self.names))]
            return self._rows(ordered, [[None] * rows if tensor is None else tensor.values for tensor in ordered])
        return self._table(sent, rows)

    def _sent(self, tensors: Sequence[InputTensor]) -> dict[int, InputTensor]:
        names = [tensor.name for tensor in tensors]
        names_once(names, "column")
        if not self._positions.keys() >= set(names):
            name = next(name for name in names if name not in self._positions)
            message = f"the model has no column {shown(name)}{nearest(name, self.names)}"
            raise invalid(message, field=name[:80], expected=f"the columns {', '.join(self.names[:30])}")
        if missing := self._required.difference(names):
            codec = next(codec for codec in self._codecs if codec.column.name in missing)
            name = codec.column.name
            raise invalid(f"column {name!r} is missing", field=name, expected=codec.expected)
        shape = tensors[0].shape
        if not shape or not shape[0]:
            message = f"column {names[0]!r} has shape {list(shape)}"
            raise invalid(message, field=names[0], expected="shape [n] or [n, 1] with one row or more")
        return {self._positions[tensor.name]: tensor for tensor in tensors}

    def _rows(self, tensors: Sequence[InputTensor | None], parts: Sequence[Any]) -> Rows:
        absent = frozenset(index for index, tensor in enumerate(tensors) if tensor is None)
        columns = [
            list(part) if tensor is None else checked_values(codec, plain_values(tensor, codec, part))
            for codec, tensor, part in zip(self._codecs, tensors, parts, strict=True)
        ]
        return Rows(list(zip(*columns, strict=True)), absent)

    def _table(self, sent: dict[int, InputTensor], rows: int) -> Table:
        kinds: dict[Any, list[int]] = {}
        blocks = []
        for index, codec in enumerate(self._codecs):
            tensor = sent.get(index)
            if tensor is None:
                blocks.append(Block((index,), codec.missing(rows)[None]))
            else:
                kinds.setdefault((self._group_of[index], tensor.datatype), []).append(index)
        for indices in kinds.values():
            found = None
            if sent[indices[0]].datatype != "BYTES":
                found = quick(self._codecs[indices[0]], np.array([whole_array(sent[index]) for index in indices]))
            if found is not None:
                blocks.append(Block(tuple(indices), found))
            else:
                blocks += [Block((i,), self._slowly(sent[i], i, sent[i].values)[None]) for i in indices]
        return Table(self.names, blocks)

    def _slowly(self, tensor: InputTensor, index: int, part: Any) -> Array:
        codec = self._codecs[index]
        return codec.array(checked_values(codec, plain_values(tensor, codec, part)))


def _places(indices: list[int]) -> Any:
    """Return what takes the rows of a group out of an array, without a copy where they lie together."""
    together = indices[-1] - indices[0] == len(indices) - 1
    return slice(indices[0], indices[-1] + 1) if together else indices


class TensorMapping:
    """One tensor, whatever its name.

    Parameters
    ----------
    spec : TensorSpec
    """

    def __init__(self, spec: TensorSpec) -> None:
        self._codec = TensorCodec(spec)

    def __call__(self, tensors: Sequence[InputTensor], content_type: Any) -> Tensor:
        """Return the tensor."""
        if len(tensors) != 1:
            expected = f"one: {self._codec.expected}"
            raise invalid(f"the request holds {len(tensors)} inputs", field="inputs", expected=expected)
        return Tensor(tensor_array(self._codec, tensors[0]))


class NamedTensorsMapping:
    """Tensors by their names.

    Parameters
    ----------
    specs : sequence of TensorSpec
    """

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._codecs = {spec.name: TensorCodec(spec) for spec in specs}
        self.names = tuple(self._codecs)
        self._free = all(spec.shape[:1] == [-1] for spec in specs)

    def __call__(self, tensors: Sequence[InputTensor], content_type: Any) -> Tensors:
        """Return the tensors in the signature's order."""
        names_once([tensor.name for tensor in tensors], "input")
        sent = {tensor.name: tensor for tensor in tensors}
        if len(tensors) == len(self.names) == 1:
            sent = {self.names[0]: tensors[0]}
        for name in sent:
            if name not in self._codecs:
                message = f"the model has no input {shown(name)}{nearest(name, self.names)}"
                raise invalid(message, field=name[:80], expected=", ".join(self.names))
        for name, codec in self._codecs.items():
            if name not in sent:
                raise invalid(f"input {name!r} is missing", field=name, expected=codec.expected)
        arrays = [tensor_array(codec, sent[name]) for name, codec in self._codecs.items()]
        lengths = {len(array) if array.ndim else 0 for array in arrays}
        return Tensors(self.names, arrays, lengths.pop() if self._free and len(lengths) == 1 else 0)


class GenericMapping:
    """What a model without a signature gets: nested lists, a dict of them by name, or a table where that is hinted."""

    def __call__(self, tensors: Sequence[InputTensor], content_type: Any) -> Generic:
        """Return plain data under the name of the format of MLflow's that it would have come in."""
        names_once([tensor.name for tensor in tensors], "input")
        for tensor in tensors:
            if 0 in tensor.shape:
                message = f"input {shown(tensor.name)} has shape {list(tensor.shape)}"
                raise invalid(message, field=tensor.name[:80], expected="one element or more")
        if content_type == "pd":
            columns = [_nested(tensor) for tensor in tensors]
            if len({len(column) for column in columns}) > 1:
                raise invalid("the columns differ in length", field="inputs", expected="as many rows in each")
            flat = [[cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in c] for c in columns]
            rows = [list(row) for row in zip(*flat, strict=True)]
            return Generic("dataframe_split", {"columns": [tensor.name for tensor in tensors], "data": rows})
        if len(tensors) == 1:
            return Generic("inputs", _nested(tensors[0]))
        return Generic("inputs", {tensor.name: _nested(tensor) for tensor in tensors})


def _nested(tensor: InputTensor) -> Any:
    values = [to_text(value, tensor.name) for value in list(tensor.values)] if tensor.datatype == "BYTES" else None
    array = whole_array(tensor) if values is None else np.array(values, dtype=object)
    return array.reshape(tensor.shape or (1,)).tolist()
