"""The fast route: one `msgspec` type that says all that a signature of named columns says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .columns import ColumnCodec
from .documents import Output

REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# What msgspec does not take in the name of a field; a model with such a column reads objects the slow way.
_UNNAMEABLE = re.compile(r'["\\\x00-\x1f]')


class _Params(msgspec.Struct, forbid_unknown_fields=True):
    output: Literal["label", "probabilities", "both"] = "label"


def _request_type(codecs: Sequence[ColumnCodec], names: Sequence[str]) -> Any:
    """Return the type of a request that holds all columns, those of a split in the signature's order."""
    keys = [f"c{index}" for index in range(len(names))]
    rename = dict(zip(keys, names, strict=True))

    def struct(name: str, types: list[Any]) -> Any:
        fields = list(zip(keys, types, strict=True))
        return msgspec.defstruct(name, fields, rename=rename, forbid_unknown_fields=True, gc=False)

    values = [codec.json_type for codec in codecs]
    row: Any = tuple.__class_getitem__(tuple(values))
    split: Any = msgspec.defstruct(
        "Split", [("columns", list[str]), ("data", list[row]), ("index", Any, None)], forbid_unknown_fields=True
    )
    forms: dict[str, Any] = {"dataframe_split": split}
    if not any(_UNNAMEABLE.search(name) for name in names):
        record: Any = struct("Record", values)
        columns: Any = struct("Columns", [list.__class_getitem__(value) for value in values])
        forms |= {"dataframe_records": list[record], "instances": list[record], "inputs": columns | list[record]}
    fields = [(name, form | UnsetType, UNSET) for name, form in forms.items()]
    return msgspec.defstruct("Request", [*fields, ("params", _Params | None, None)], forbid_unknown_fields=True)


class TypedDecoder:
    """Decodes a request that has the expected form to the letter.

    Parameters
    ----------
    codecs : sequence of ColumnCodec
    names : tuple of str
        The columns' names, in the same order.
    """

    def __init__(self, codecs: Sequence[ColumnCodec], names: tuple[str, ...]) -> None:
        self._names = names
        # A JSON object may repeat a key, of which every decoder keeps the last: counting colons finds them all.
        self._colons = sum(1 + name.count(":") for name in names)
        request = _request_type(codecs, names)
        self._formats = request.__struct_fields__[:-1]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(request)

    def decode(self, body: bytes) -> tuple[list[tuple[Any, ...]], Output] | None:
        """Return rows in the signature's order and the wanted output, or None for anything unexpected."""
        try:
            request = self._decoder.decode(body)
        except REFUSALS:
            return None
        given = [name for name in self._formats if getattr(request, name) is not UNSET]
        if len(given) != 1:
            return None
        data = getattr(request, given[0])
        params = request.params
        output: Output = "label" if params is None else params.output
        if given[0] == "dataframe_split":
            return (data.data, output) if tuple(data.columns) == self._names else None
        colons = 0 if params is None else 1 + body.count(b'"output"')
        if body.count(b":") != 1 + colons + self._colons * (len(data) if isinstance(data, list) else 1):
            return None
        return _rows(data), output


def _rows(data: Any) -> list[tuple[Any, ...]]:
    if isinstance(data, list):
        return [msgspec.structs.astuple(record) for record in data]
    columns = msgspec.structs.astuple(data)
    # Columns of different lengths give no rows here, which sends them the slow way.
    return list(zip(*columns, strict=True)) if len({len(values) for values in columns}) == 1 else []
