"""Decoders of scoring requests, made once from a model's signature.

Each has two routes. The fast one is a `msgspec` decoder whose type says all that the signature says, so that what it
lets through is right. Whatever it refuses goes the slow way, which takes the same data in another order or spelling
or names the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .columns import ColumnCodec, kind_of
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
from .errors import invalid
from .inputs import Generic, Rows, Tabulator
from .parameters import Parameters
from .signature import Column, Signature
from .tensors import NamedTensorsDecoder, TensorDecoder
from .typed import TypedDecoder


class Decoder(Protocol):
    """Turns a body into data that fits the signature."""

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the decoded request or raise `RequestError`."""
        ...


def make_decoder(signature: Signature) -> Decoder:
    """Return the decoder for a signature."""
    parameters = Parameters(signature.params)
    if signature.columns is not None:
        return FrameDecoder(signature.columns, parameters)
    if signature.tensor is not None:
        return TensorDecoder(signature.tensor, parameters)
    if signature.tensors is not None:
        return NamedTensorsDecoder(signature.tensors, parameters)
    return GenericDecoder(parameters)


class GenericDecoder:
    """Passes the data of a model without a signature through.

    Parameters
    ----------
    parameters : Parameters, optional
    """

    def __init__(self, parameters: Parameters | None = None) -> None:
        self._parameters = parameters or Parameters()

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        if kind == CSV:
            header, rows = _filled_csv(body)
            data = {"columns": header, "data": rows}
            return ScoringRequest(Generic("csv", data), params=self._parameters.defaults)
        name, data, params = split_document(parse_json(body))
        output, own = self._parameters.read(params)
        if name == "dataframe_split":
            _, rows = check_split(data)
            index = data.get("index", rows)
            if not isinstance(index, list) or len(index) != len(rows):
                message = "index is no list of a label for each row"
                raise invalid(message, field=f"{name}.index", expected=f"a list of {len(rows)} labels, or no index")
        elif name == "dataframe_records":
            check_records(data, name)
        elif not isinstance(data, dict) and not (isinstance(data, list) and data):
            raise invalid(f"{name} holds {kind_of(data)}", field=name, expected="a list or an object that is not empty")
        return ScoringRequest(Generic(name, data), output, own)


class FrameDecoder:
    """Decodes requests of a model that takes named columns.

    Parameters
    ----------
    columns : sequence of Column
    parameters : Parameters, optional
    """

    def __init__(self, columns: Sequence[Column], parameters: Parameters | None = None) -> None:
        self._parameters = parameters or Parameters()
        self.codecs = tuple(ColumnCodec(column) for column in columns)
        self.names = tuple(column.name for column in columns)
        self._positions = {name: index for index, name in enumerate(self.names)}
        self.tabulate = Tabulator(self.names, self.codecs)
        self.decode_fast = TypedDecoder(self.codecs, self.names, self._parameters).decode

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the checked rows of a request.

        Raises
        ------
        RequestError
            400 when the form can't be read, 422 when it does not fit the signature.
        """
        if kind == CSV:
            return ScoringRequest(self._from_csv(body), params=self._parameters.defaults)
        return self.decode_fast(body) or self.decode_slow(body)

    def decode_slow(self, body: bytes) -> ScoringRequest:
        """Return the request by way of plain values, or say which part of it is wrong."""
        name, data, params = split_document(parse_json(body))
        output, own = self._parameters.read(params)
        return ScoringRequest(self._rows(name, data), output, own)

    def _rows(self, name: str, data: Any) -> Rows:
        if name == "dataframe_split":
            return self._from_split(data)
        if name in ("instances", "inputs") and len(self.names) == 1 and _bare(data):
            data = {self.names[0]: data if isinstance(data, list) else [data]}
        if isinstance(data, dict) and name != "dataframe_records":
            return self._from_columns(data, name)
        return self._from_records(data, name)

    def _from_split(self, data: Any) -> Rows:
        columns, rows = check_split(data)
        return self._checked(rows, self._sources(columns))

    def _from_records(self, data: Any, name: str) -> Rows:
        records = check_records(data, name)
        columns = list(dict.fromkeys(key for record in records for key in record))
        sources = self._sources(columns)
        for number, record in enumerate(records):
            for key in columns:
                if key not in record and not self.codecs[self._positions[key]].column.nullable:
                    raise invalid(f"row {number} lacks column {key!r}", field=key, expected=self._type_of(key))
        return self._checked([[record.get(key) for key in columns] for record in records], sources)

    def _from_columns(self, data: dict[str, Any], name: str) -> Rows:
        sources = self._sources(list(data))
        if data and not any(isinstance(values, list) for values in data.values()):
            return self._checked([list(data.values())], sources)
        lengths = {key: len(values) if isinstance(values, list) else -1 for key, values in data.items()}
        rows = max(lengths.values(), default=0)
        if rows < 1:
            raise invalid(f"{name} holds no rows", field=name, expected="a list of one value or more for each column")
        for key, length in lengths.items():
            if length != rows:
                found = f"{length} values" if length >= 0 else "no list"
                raise invalid(f"column {key!r} holds {found}", field=key, expected=f"a list of {rows} values")
        return self._checked([list(row) for row in zip(*data.values(), strict=True)], sources)

    def _from_csv(self, body: bytes) -> Rows:
        header, rows = _filled_csv(body)
        if header[0] == "" and "" not in self._positions:  # the row labels that pandas writes first unless told not to
            header, rows = header[1:], [row[1:] for row in rows]
        return self._checked(rows, self._sources(header), ColumnCodec.parse)

    def _checked(
        self, rows: list[list[Any]], sources: list[int | None], read: Callable[..., Any] = ColumnCodec.check
    ) -> Rows:
        absent = frozenset(index for index, source in enumerate(sources) if source is None)
        pairs = list(zip(self.codecs, sources, strict=True))
        records = [
            tuple(None if source is None else read(codec, row[source], number) for codec, source in pairs)
            for number, row in enumerate(rows)
        ]
        return Rows(records, absent)

    def _sources(self, columns: list[str]) -> list[int | None]:
        """Return, for each of the signature's columns, where it lies among those sent; None where it was left out."""
        found: dict[str, int] = {}
        for index, name in enumerate(columns):
            if name in found:
                raise invalid(f"column {shown(name)} was sent twice", field=name[:80], expected="each column once")
            if name not in self._positions:
                message = f"the model has no column {shown(name)}{nearest(name, self.names)}"
                raise invalid(message, field=name[:80], expected=self._listed())
            found[name] = index
        for codec in self.codecs:
            if codec.column.required and codec.column.name not in found:
                name = codec.column.name
                raise invalid(f"column {name!r} is missing", field=name, expected=self._type_of(name))
        return [found.get(name) for name in self.names]

    def _type_of(self, name: str) -> str:
        return self.codecs[self._positions[name]].expected

    def _listed(self) -> str:
        names = ", ".join(self.names[:30])
        return f"the columns {names}" + (f" and {len(self.names) - 30} more" if len(self.names) > 30 else "")


def _filled_csv(body: bytes) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV body that holds a row at least."""
    header, rows = parse_csv(body)
    if not rows:
        raise invalid("there are no rows", field="body", expected="one row or more below the header")
    return header, rows


def _bare(data: Any) -> bool:
    """Whether this is a value or a list of values, which a model of one column takes without the column's name."""
    if isinstance(data, list):
        return not any(isinstance(item, dict) for item in data)
    return isinstance(data, str | int | float)
