"""Takes columns out of a request's body that is to be kept; what can't be taken apart for sure is not kept at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

Keep = Callable[[Any], bool]


class Opaque(Exception):
    """A body in which the columns can't be told apart."""


def redacted(body: bytes, kind: str, *, hidden: Sequence[str], columns: Sequence[str] | None) -> bytes:
    """Return a body without the columns `hidden`, and without any that the signature does not name.

    A column under a misspelt name may well hold what is hidden under the right one.

    Parameters
    ----------
    body : bytes
        JSON of MLflow's or the Open Inference Protocol, or CSV.
    kind : str
        The content type.
    hidden : sequence of str
    columns : sequence of str, optional
        The columns of the model's signature; None where it has none.

    Raises
    ------
    Opaque
        The body can't be read, or says nowhere which of its values belong to which column.
    """

    def keep(name: Any) -> bool:
        return name not in hidden and (columns is None or name in columns)

    try:
        if kind.partition(";")[0].strip().lower() == "text/csv":
            return _table(body.decode(), keep).encode()
        document = msgspec.json.decode(body)
        return msgspec.json.encode(_document(document, keep, columns))
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error) as error:
        raise Opaque from error


def _document(document: Any, keep: Keep, columns: Sequence[str] | None) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Opaque
    kept: dict[str, Any] = {}
    for key, value in document.items():
        if key == "dataframe_split":
            kept[key] = _split(value, keep)
        elif key == "dataframe_records":
            kept[key] = [_record(row, keep) for row in _list(value)]
        elif key in ("instances", "inputs"):
            kept[key] = _named(value, keep, columns)
        elif key in ("params", "parameters", "id", "outputs"):
            kept[key] = value
        else:
            raise Opaque
    return kept


def _split(value: Any, keep: Keep) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list):
        raise Opaque
    places = [place for place, name in enumerate(value["columns"]) if keep(name)]
    data = [_picked(row, places, len(value["columns"])) for row in _list(value.get("data"))]
    return {"columns": [value["columns"][place] for place in places], "data": data}


def _named(value: Any, keep: Keep, columns: Sequence[str] | None) -> Any:
    """Return rows or columns under ``inputs`` and ``instances``: a dict of columns, named tensors, or rows."""
    if isinstance(value, dict):
        return _record(value, keep)
    rows = _list(value)
    if rows and all(isinstance(row, dict) for row in rows):
        if all({"name", "shape", "datatype"} <= row.keys() for row in rows):
            return _tensors(rows, keep, columns)
        return [_record(row, keep) for row in rows]
    if columns is None:
        raise Opaque
    places = [place for place, name in enumerate(columns) if keep(name)]
    return [_picked(row, places, len(columns)) for row in rows]


def _tensors(tensors: list[dict[str, Any]], keep: Keep, columns: Sequence[str] | None) -> list[dict[str, Any]]:
    """Leave out the tensors of hidden columns; one that may hold several columns can't be taken apart here."""
    if columns is None and any(_width(tensor) > 1 for tensor in tensors):
        raise Opaque
    return [tensor for tensor in tensors if keep(tensor["name"])]


def _width(tensor: dict[str, Any]) -> int:
    shape = tensor["shape"]
    return int(shape[1]) if isinstance(shape, list) and len(shape) > 1 and isinstance(shape[1], int) else 1


def _record(row: Any, keep: Keep) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise Opaque
    return {name: value for name, value in row.items() if keep(name)}


def _picked(row: Any, places: list[int], width: int) -> list[Any]:
    if not isinstance(row, list) or len(row) != width:
        raise Opaque
    return [row[place] for place in places]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Opaque
    return value


def _table(text: str, keep: Keep) -> str:
    rows = list(csv.reader(io.StringIO(text), strict=True))
    if not rows:
        raise Opaque
    places = [place for place, name in enumerate(rows[0]) if keep(name)]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(_picked(row, places, len(rows[0])) for row in rows if row)
    return written.getvalue()
