"""Decoders of scoring requests, made once from a model's signature.

Each has two routes. The fast one is a `msgspec` decoder whose type says all that the signature says, so that what it
lets through is right. Whatever it refuses goes the slow way, which takes the same data in another order or spelling
or names the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .columns import ColumnCodec, kind_of
from .documents import CSV, ScoringRequest, nearest, parse_csv, parse_json, shown, split_document
from .errors import RequestError, invalid
from .inputs import Generic, Rows, Tabulator
from .signature import Column, Signature
from .tensors import TensorDecoder
from .typed import TypedDecoder


class Decoder(Protocol):
    """Turns a body into data that fits the signature."""

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the decoded request or raise `RequestError`."""
        ...


def make_decoder(signature: Signature) -> Decoder:
    """Return the decoder for a signature."""
    if signature.columns is not None:
        return FrameDecoder(signature.columns)
    if signature.tensor is not None:
        return TensorDecoder(signature.tensor)
    return GenericDecoder()


class GenericDecoder:
    """Passes the data of a model without a signature through."""

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        if kind == CSV:
            header, rows = parse_csv(body)
            return ScoringRequest(Generic("csv", {"columns": header, "data": rows}))
        name, data, output = split_document(parse_json(body))
        if name == "dataframe_split":
            check_split(data)
        elif name == "dataframe_records":
            check_records(data, name)
        elif not isinstance(data, dict) and not (isinstance(data, list) and data):
            raise invalid(f"{name} holds {kind_of(data)}", field=name, expected="a list or an object that is not empty")
        return ScoringRequest(Generic(name, data), output)


def check_split(data: Any) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of ``dataframe_split``.

    Raises
    ------
    RequestError
        422 when it has no columns and rows, or rows of another length.
    """
    if not isinstance(data, dict) or not {"columns", "data"} <= set(data) <= {"columns", "data", "index"}:
        expected = "an object with columns, data and perhaps index"
        raise invalid("dataframe_split has another form", field="dataframe_split", expected=expected)
    columns, rows = data["columns"], data["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise invalid("columns is no list of names", field="dataframe_split.columns", expected="the columns' names")
    if not isinstance(rows, list) or not rows:
        raise invalid("there are no rows", field="dataframe_split.data", expected="a list of one row or more")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            found = f"{len(row)} values" if isinstance(row, list) else kind_of(row)
            field = f"dataframe_split.data[{number}]"
            raise invalid(f"row {number} is {found}", field=field, expected=f"a list of {len(columns)} values")
    return columns, rows


def check_records(data: Any, name: str) -> list[dict[str, Any]]:
    """Return the rows of a list of objects.

    Raises
    ------
    RequestError
        422 when it is none, or empty.
    """
    if not isinstance(data, list) or not data:
        raise invalid(f"{name} holds no rows", field=name, expected="a list of one object or more")
    for number, record in enumerate(data):
        if not isinstance(record, dict):
            expected = "an object with the columns as names"
            if isinstance(record, list):
                expected += "; rows without names go into dataframe_split, with columns"
            raise invalid(f"row {number} is {kind_of(record)}", field=f"{name}[{number}]", expected=expected)
    return data


class FrameDecoder:
    """Decodes requests of a model that takes named columns.

    Parameters
    ----------
    columns : sequence of Column
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.codecs = tuple(ColumnCodec(column) for column in columns)
        self.names = tuple(column.name for column in columns)
        self._positions = {name: index for index, name in enumerate(self.names)}
        self._converted = tuple(index for index, codec in enumerate(self.codecs) if codec.converts)
        self.tabulate = Tabulator(self.names, self.codecs)
        self._typed = TypedDecoder(self.codecs, self.names)

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the checked rows of a request.

        Raises
        ------
        RequestError
            400 when the form can't be read, 422 when it does not fit the signature.
        """
        if kind == CSV:
            return ScoringRequest(self._from_csv(body))
        return self.decode_fast(body) or self.decode_slow(body)

    def decode_fast(self, body: bytes) -> ScoringRequest | None:
        """Return the request if it has the expected form to the letter, else None."""
        decoded = self._typed.decode(body)
        if decoded is None or not decoded[0]:
            return None
        records, output = decoded
        if self._converted:
            try:
                records = self._convert(records)
            except RequestError:
                return None
        return ScoringRequest(Rows(records), output)

    def _convert(self, records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        result = []
        for number, record in enumerate(records):
            values = list(record)
            for index in self._converted:
                values[index] = self.codecs[index].check(values[index], number)
            result.append(tuple(values))
        return result

    def decode_slow(self, body: bytes) -> ScoringRequest:
        """Return the request by way of plain values, or say which part of it is wrong."""
        name, data, output = split_document(parse_json(body))
        if name == "dataframe_split":
            return ScoringRequest(self._from_split(data), output)
        if name in ("instances", "inputs") and len(self.names) == 1 and _bare(data):
            data = {self.names[0]: data}
        if isinstance(data, dict) and name != "dataframe_records":
            return ScoringRequest(self._from_columns(data, name), output)
        return ScoringRequest(self._from_records(data, name), output)

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
        header, rows = parse_csv(body)
        if not rows:
            raise invalid("there are no rows", field="body", expected="one row or more below the header")
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


def _bare(data: Any) -> bool:
    """Whether this is a list of values, which a model of one column takes without the column's name."""
    return isinstance(data, list) and not any(isinstance(item, dict) for item in data)
