"""The fast route: one `msgspec` type that says all that a signature of named columns says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from .columns import JSON_TYPES, ColumnCodec
from .documents import ScoringRequest
from .errors import RequestError
from .inputs import Rows
from .parameters import Parameters
from .signature import Param

REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# What msgspec does not take in the name of a field; a model with such a column reads objects the slow way.
_UNNAMEABLE = re.compile(r'["\\\x00-\x1f]')


def _struct(name: str, names: Sequence[str], types: Sequence[Any], *, optional: bool = False) -> Any:
    keys = [f"c{index}" for index in range(len(names))]
    fields: list[Any] = [
        (key, kind | UnsetType, UNSET) if optional else (key, kind) for key, kind in zip(keys, types, strict=True)
    ]
    return msgspec.defstruct(
        name, fields, rename=dict(zip(keys, names, strict=True)), forbid_unknown_fields=True, gc=False
    )


def _params_type(parameters: Parameters) -> Any:
    """Return the type of ``params``, or None where only the slow way reads them."""
    if any(_UNNAMEABLE.search(name) or param.type == "object" for name, param in parameters.declared.items()):
        return None
    kinds = [_param_type(parameters.declared.get(name)) for name in parameters.names]
    return _struct("Params", parameters.names, kinds, optional=True)


def _param_type(param: Param | None) -> Any:
    if param is None:
        return str
    kind = JSON_TYPES[param.type] | None
    return kind if param.shape is None else list.__class_getitem__(kind)


def _request_type(codecs: Sequence[ColumnCodec], names: Sequence[str], params: Any) -> Any:
    """Return the type of a request that holds all columns, those of a split in the signature's order."""
    values = [codec.json_type for codec in codecs]
    row: Any = tuple.__class_getitem__(tuple(values))
    split: Any = msgspec.defstruct(
        "Split", [("columns", list[str]), ("data", list[row]), ("index", list[int] | None, None)],
        forbid_unknown_fields=True,
    )  # fmt: skip
    forms: dict[str, Any] = dict.fromkeys(("dataframe_records", "instances", "inputs"))
    if not any(_UNNAMEABLE.search(name) for name in names):
        record: Any = _struct("Record", names, values)
        columns: Any = _struct("Columns", names, [list.__class_getitem__(value) for value in values])
        forms = {"dataframe_records": list[record], "instances": list[record], "inputs": columns | list[record]}
    forms = {"dataframe_split": split, **forms, "params": params}
    fields = [(name, None if form is None else form | None, None) for name, form in forms.items()]
    return msgspec.defstruct("Request", fields, forbid_unknown_fields=True)


class TypedDecoder:
    """Decodes a request that has the expected form to the letter.

    A JSON object may repeat a key, of which every decoder keeps the last. The colons of the body, less those within
    strings, are the keys of all its objects: where they are as many as the decoded request has, none was repeated and
    no second format was sent.

    Parameters
    ----------
    codecs : sequence of ColumnCodec
    names : tuple of str
        The columns' names, in the same order.
    parameters : Parameters
    """

    def __init__(self, codecs: Sequence[ColumnCodec], names: tuple[str, ...], parameters: Parameters) -> None:
        self._names = list(names)
        self._parameters = parameters
        self._in_names = sum(name.count(":") for name in (*names, *parameters.names))
        self._in_columns = sum(name.count(":") for name in names)
        self._keys = len(names) + self._in_columns
        self._texts = [index for index, codec in enumerate(codecs) if codec.textual]
        self._converted = [(index, codec.check) for index, codec in enumerate(codecs) if codec.converts]
        request = _request_type(codecs, names, _params_type(parameters))
        self._decode = msgspec.json.Decoder(request).decode

    def decode(self, body: bytes) -> ScoringRequest | None:
        """Return the request with its rows in the signature's order, or None for anything unexpected."""
        try:
            request: Any = self._decode(body)
        except REFUSALS:
            return None
        split = request.dataframe_split
        if split is not None:
            if split.columns != self._names:
                return None
            records, keys = split.data, 3 + self._in_columns + (split.index is not None)
            if split.index is not None and len(split.index) != len(records):
                return None
        else:
            data = request.dataframe_records or request.instances or request.inputs
            if data is None:
                return None
            if isinstance(data, list):
                records, keys = [astuple(record) for record in data], 1 + self._keys * len(data)
            else:
                records, keys = _transposed(astuple(data)), 1 + self._keys
        try:
            return self._finished(body, records, keys, params=request.params)
        except RequestError:  # the slow way says which part is wrong, and takes what is right in another spelling
            return None

    def _finished(
        self, body: bytes, records: list[tuple[Any, ...]], keys: int, *, params: Any
    ) -> ScoringRequest | None:
        output, own = "label", self._parameters.defaults
        if params is not None:
            given = _given(params, self._parameters.names)
            output, own = self._parameters.read(given)
            keys += 1 + sum(1 + name.count(":") for name in given)
        if self._in_names and b"\\" in body:  # a name with a colon may be written without it
            return None
        if not records or (body.count(b":") != keys and not self._accounted(body, records, keys)):
            return None
        return ScoringRequest(Rows(self._convert(records) if self._converted else records), output, own)  # type: ignore[arg-type]

    def _accounted(self, body: bytes, records: list[tuple[Any, ...]], keys: int) -> bool:
        """Whether the colons that are no keys' lie within the values of text; with escapes that can't be said."""
        if b"\\" in body:
            return False
        within: int = sum(row[index].count(":") for row in records for index in self._texts if row[index] is not None)
        return bool(body.count(b":") == keys + within)

    def _convert(self, records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        result = []
        for number, record in enumerate(records):
            values = list(record)
            for index, check in self._converted:
                values[index] = check(values[index], number)
            result.append(tuple(values))
        return result


def _given(params: Any, names: Sequence[str]) -> Mapping[str, Any]:
    values = astuple(params)
    return {name: value for name, value in zip(names, values, strict=True) if value is not UNSET}


def _transposed(columns: tuple[list[Any], ...]) -> list[tuple[Any, ...]]:
    # Columns of different lengths give no rows here, which sends them the slow way.
    return list(zip(*columns, strict=True)) if len(set(map(len, columns))) == 1 else []
