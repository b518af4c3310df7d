"""The decoders of requests for a model that takes one tensor, or several by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .columns import CHECKS, Unfit, is_text, kind_of
from .documents import (
    CSV,
    ScoringRequest,
    check_records,
    check_split,
    nearest,
    parse_csv,
    parse_json,
    shown,
    split_document,
)
from .errors import RequestError, ServingError, invalid
from .inputs import Tensor, Tensors
from .parameters import Parameters
from .signature import TensorSpec
from .typed import REFUSALS

Array = NDArray[Any]


def dtype_of(spec: TensorSpec) -> np.dtype[Any]:
    """Return the dtype of a tensor's array; texts and bytes lie in object arrays.

    Raises
    ------
    ServingError
        JSON can't carry it.
    """
    dtype = np.dtype(object if spec.dtype in ("str", "string", "object", "bytes") else spec.dtype)
    if dtype.kind in "US":
        return np.dtype(object)
    if dtype.kind not in "biufOM":
        raise ServingError("invalid_bundle", f"a tensor of {spec.dtype} can't be sent as JSON")
    return np.dtype("datetime64[ns]") if dtype == "M8" else dtype


class TensorCodec:
    """Checks nested lists against one tensor's declaration.

    Parameters
    ----------
    spec : TensorSpec
    """

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec
        self.dtype = dtype_of(spec)
        self.depth = len(spec.shape)
        self.expected = f"a tensor of {spec.dtype} with shape {tuple(spec.shape)}".replace("-1", "any")
        self.binary = spec.dtype == "bytes" or spec.dtype.lstrip("|").startswith("S")
        self._bounds = np.iinfo(str(self.dtype)) if self.dtype.kind in "iu" else None
        self._limit = float(np.finfo(str(self.dtype)).max) if self.dtype.kind == "f" else 0.0

    @property
    def json_type(self) -> Any:
        """The `msgspec` type of the whole tensor, for the fast route; None where values still have to be converted."""
        nested: Any = self._leaf_type()
        for _ in self.spec.shape:
            nested = list[nested]
        return None if self.binary or self.dtype.kind == "M" else nested

    def _leaf_type(self) -> Any:
        if self._bounds is not None:
            low, high = int(self._bounds.min), min(int(self._bounds.max), 2**63 - 1)
            return Annotated[int, Meta(ge=low, le=high)]
        if self.dtype.kind == "f":
            leaf: Any = Annotated[float, Meta(ge=-self._limit, le=self._limit)]
            return leaf | None if self.spec.nullable else leaf
        return bool if self.dtype.kind == "b" else str

    def check(self, data: Any, field: str) -> Array:
        """Return nested lists as an array.

        Raises
        ------
        RequestError
            422 when type or shape differ from the declaration.
        """
        return self.array(self._checked(data, field, self.depth), field)

    def check_cells(self, cells: list[Any], field: str) -> Array:
        """Return the cells of a column as an array: each holds one row's values, nested or not, in C order."""
        shape = self.spec.shape[1:]
        if -1 in shape:
            return self.check(cells, field)
        rows = []
        for number, cell in enumerate(cells):
            leaves = [self._leaf(value, f"{field}[{number}]") for value in _leaves(cell)]
            if len(leaves) != math.prod(shape):
                raise self._misshapen(f"{len(leaves)} values in row {number}", field)
            rows.append(leaves)
        return self.array(_nested([leaf for row in rows for leaf in row], shape, len(rows)), field)

    def _checked(self, data: Any, field: str, depth: int) -> Any:
        if depth == 0:
            return self._leaf(data, field)
        if not isinstance(data, list):
            raise invalid(f"{field} is {kind_of(data)} where a list belongs", field=field, expected=self.expected)
        return [self._checked(item, f"{field}[{index}]", depth - 1) for index, item in enumerate(data)]

    def _leaf(self, value: Any, field: str) -> Any:
        kind = self.dtype.kind
        if self.spec.nullable and kind == "f" and (value is None or value != value):
            return None
        if kind == "f" and isinstance(value, int | float) and not isinstance(value, bool):
            if -self._limit <= value <= self._limit:
                return value
        elif self._bounds is not None and isinstance(value, int | float) and not isinstance(value, bool):
            if self._bounds.min <= value <= self._bounds.max and int(value) == value:
                return int(value)
        elif kind == "M":
            try:
                return CHECKS["datetime"](value)
            except Unfit:
                pass
        elif is_text(value) if kind == "O" else (kind == "b" and isinstance(value, bool)):
            return value.encode() if self.binary else value
        raise invalid(f"{field} holds {kind_of(value)}", field=field, expected=self.expected)

    def array(self, data: Any, field: str) -> Array:
        """Return checked nested lists as an array of the declared shape."""
        lengths = list(_lengths(data, self.depth))
        try:
            array = np.array(data, dtype=self.dtype)
        except ValueError:
            raise self._misshapen("rows of different lengths", field) from None
        if array.ndim != len(lengths) or array.size == 0:
            raise self._misshapen("no values" if array.size == 0 else "rows of different lengths", field)
        if any(want not in (-1, have) for want, have in zip(self.spec.shape, array.shape, strict=True)):
            raise self._misshapen(f"shape {array.shape}", field)
        return array

    def _misshapen(self, found: str, field: str) -> RequestError:
        return invalid(f"the tensor has {found}", field=field, expected=self.expected)

    def parse(self, cell: str) -> Any:
        """Return the JSON value of a CSV cell."""
        read = {"f": float, "i": int, "u": int}.get(self.dtype.kind, str)
        try:
            return read(cell) if cell else None
        except ValueError:
            raise invalid("a cell can't be read as the tensor's type", field="body", expected=self.expected) from None


class TensorDecoder:
    """Decodes ``instances`` and ``inputs`` of nested lists, ``dataframe_split`` and CSV (two axes only).

    Parameters
    ----------
    spec : TensorSpec
        The dtype and the shape, in which -1 stands for any length.
    parameters : Parameters, optional

    Raises
    ------
    ServingError
        The dtype is none that JSON can carry.
    """

    def __init__(self, spec: TensorSpec, parameters: Parameters | None = None) -> None:
        self._parameters = parameters or Parameters()
        self._codec = TensorCodec(spec)
        kind = self._codec.json_type
        self._fast = None if kind is None else msgspec.json.Decoder(dict.__class_getitem__((str, kind))).decode

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the tensor of a request.

        Raises
        ------
        RequestError
            400 when the form can't be read, 422 when type or shape differ from the signature.
        """
        if kind == CSV:
            return ScoringRequest(self._from_csv(body), params=self._parameters.defaults)
        return self.decode_fast(body) or self.decode_slow(body)

    def decode_fast(self, body: bytes) -> ScoringRequest | None:
        """Return the request if it has nothing but nested lists of the declared type, else None."""
        if self._fast is None or body.count(b":") != 1:  # one key and no more, so that none is repeated
            return None
        try:
            document = self._fast(body)
        except REFUSALS:
            return None
        data = document.get("instances") or document.get("inputs")
        if not data:
            return None
        return ScoringRequest(Tensor(self._codec.array(data, "inputs")), params=self._parameters.defaults)

    def decode_slow(self, body: bytes) -> ScoringRequest:
        """Return the request by way of plain values, or say which part of it is wrong."""
        name, data, params = split_document(parse_json(body))
        output, own = self._parameters.read(params)
        if name == "dataframe_split":
            data = _rows_of_split(data)
        elif name == "dataframe_records":
            data = _rows_of_records(check_records(data, name), name)
        return ScoringRequest(Tensor(self._codec.check(data, name)), output, own)

    def _from_csv(self, body: bytes) -> Tensor:
        header, rows = parse_csv(body)
        order = _order(header)
        data = [[self._codec.parse(row[place]) for place in order] for row in rows]
        return Tensor(self._codec.check(data, "body"))


def _order(columns: Sequence[Any]) -> Sequence[int]:
    """Return the order of columns; those of an array are numbered, and so may come in another order than theirs."""
    places = {str(name): place for place, name in enumerate(columns)}
    numbers = [str(number) for number in range(len(columns))]
    return [places[number] for number in numbers] if places.keys() == set(numbers) else range(len(columns))


def _rows_of_split(data: Any) -> Any:
    if not isinstance(data, dict) or "columns" not in data:
        return data.get("data") if isinstance(data, dict) and set(data) <= {"data", "index"} else data
    names = data["columns"]
    given = [str(name) if type(name) is int else name for name in names] if isinstance(names, list) else names
    columns, rows = check_split({**data, "columns": given})
    order = _order(columns)
    return [[row[place] for place in order] for row in rows]


def _rows_of_records(records: list[dict[str, Any]], name: str) -> list[list[Any]]:
    columns = list(records[0])
    for number, record in enumerate(records):
        if record.keys() != records[0].keys():
            expected = "the same names as in the first row"
            raise invalid(f"row {number} has other names", field=f"{name}[{number}]", expected=expected)
    return [[record[columns[place]] for place in _order(columns)] for record in records]


class NamedTensorsDecoder:
    """Decodes requests of a model that takes tensors by name.

    Whole tensors come by name in ``inputs`` (or ``instances``), one row's values by name in each of ``instances`` or
    ``dataframe_records``, and columns whose cells are rows in ``dataframe_split`` and CSV.

    Parameters
    ----------
    specs : sequence of TensorSpec
    parameters : Parameters, optional
    """

    def __init__(self, specs: Sequence[TensorSpec], parameters: Parameters | None = None) -> None:
        self._parameters = parameters or Parameters()
        self._codecs = {spec.name: TensorCodec(spec) for spec in specs}
        self.names = tuple(self._codecs)
        self._free = all(spec.shape[:1] == [-1] for spec in specs)

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the tensors of a request.

        Raises
        ------
        RequestError
            400 when the form can't be read, 422 when names, types or shapes differ from the signature.
        """
        if kind == CSV:
            header, rows = parse_csv(body)
            self._check_names(header)
            cells = {name: [self._codecs[name].parse(row[place]) for row in rows] for place, name in enumerate(header)}
            return ScoringRequest(self._tensors(cells, TensorCodec.check_cells), params=self._parameters.defaults)
        name, data, params = split_document(parse_json(body))
        output, own = self._parameters.read(params)
        return ScoringRequest(self._from_json(name, data), output, own)

    def _from_json(self, name: str, data: Any) -> Tensors:
        if name == "dataframe_split":
            columns, rows = check_split(data)
            self._check_names(columns)
            return self._tensors(
                {column: [row[place] for row in rows] for place, column in enumerate(columns)}, TensorCodec.check_cells
            )
        if name == "dataframe_records" or (isinstance(data, list) and data and isinstance(data[0], dict)):
            records = check_records(data, name)
            for record in records:
                self._check_names(list(record))
            check = TensorCodec.check_cells if name == "dataframe_records" else TensorCodec.check
            return self._tensors({key: [record[key] for record in records] for key in self.names}, check)
        if len(self.names) == 1 and isinstance(data, list):
            data = {self.names[0]: data}
        if not isinstance(data, dict):
            expected = f"an object with the tensors {', '.join(self.names)}"
            raise invalid(f"{name} holds {kind_of(data)}", field=name, expected=expected)
        self._check_names(list(data))
        return self._tensors(data, TensorCodec.check)

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._codecs or names.count(name) > 1:
                found = "was sent twice" if name in self._codecs else f"is none{nearest(name, self.names)}"
                expected = f"each of the tensors {', '.join(self.names)} once"
                raise invalid(f"tensor {shown(name)} {found}", field=name[:80], expected=expected)
        for name, codec in self._codecs.items():
            if name not in names:
                raise invalid(f"tensor {name!r} is missing", field=name, expected=codec.expected)

    def _tensors(self, data: dict[str, Any], check: Callable[[TensorCodec, Any, str], Array]) -> Tensors:
        arrays = [check(codec, data[name], name) for name, codec in self._codecs.items()]
        lengths = {len(array) if array.ndim else 0 for array in arrays}
        return Tensors(self.names, arrays, lengths.pop() if self._free and len(lengths) == 1 else 0)


def _lengths(data: Any, depth: int) -> Iterator[int]:
    for _ in range(depth):
        yield len(data)
        data = data[0] if data else []


def _leaves(cell: Any) -> Iterator[Any]:
    if isinstance(cell, list):
        for item in cell:
            yield from _leaves(item)
    else:
        yield cell


def _nested(leaves: list[Any], shape: Sequence[int], rows: int) -> Any:
    """Return a flat list as lists of the given shape, below `rows`."""
    for length in reversed(shape):
        leaves = [leaves[start : start + length] for start in range(0, len(leaves), length)] if length else []
    return leaves
