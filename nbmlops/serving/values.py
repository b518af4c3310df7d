"""JSON Schemas of single values, and how the same values are written in CSV.

They are as strict as the decoders: whoever makes data by them finds that it is taken, and what they forbid is refused.

References
----------
JSON Schema 2020-12; ECMA-262 for the patterns, of which only what Python and Rust read alike is used.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np

from .columns import ColumnCodec
from .signature import Column, Param, TensorSpec

Schema = dict[str, Any]

_DOUBLE, _FLOAT = sys.float_info.max, float(np.finfo(np.float32).max)

# The days that the calendar has, in the years that 64 bits of nanoseconds reach to the full.
_YEAR = "(?:1(?:6(?:7[89]|[89][0-9])|[789][0-9]{2})|2(?:[01][0-9]{2}|2(?:[0-5][0-9]|6[01])))"
_LEAP = (
    "(?:16(?:8[048]|9[26])|(?:1[789]|2[01])(?:0[48]|[2468][048]|[13579][26])|2000|22(?:0[48]|[24][048]|[135][26]|60))"
)
_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = "(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\\.[0-9]{1,9})?)?)?"
_ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?"
_MOMENT = f"(?:{_YEAR}-{_DAY}|{_LEAP}-02-29){_TIME}{_ZONE}"
_B64 = "[A-Za-z0-9+/]"
_BASE64 = f"(?:{_B64}{{4}})*(?:{_B64}[AQgw]==|{_B64}{{2}}[AEIMQUYcgkosw048]=)?"

_TYPES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "minimum": -_FLOAT, "maximum": _FLOAT},
    "double": {"type": "number", "minimum": -_DOUBLE, "maximum": _DOUBLE},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64", "pattern": f"^{_BASE64}$"},
    "datetime": {
        "type": "string",
        "description": "ISO 8601 from 1678 to 2261; taken as UTC where it names no offset",
        "pattern": f"^{_MOMENT}$",
    },
    "object": {"type": "object"},
}
_CELLS = {
    "boolean": "(?:true|false)",
    "integer": "-?[0-9]{1,9}",
    "long": "-?[0-9]{1,18}",
    "float": "-?[0-9]{1,9}(?:\\.[0-9]{1,9})?",
    "double": "-?[0-9]{1,18}(?:\\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?",
    "string": '(?:[^",\\r\\n]+|"(?:[^"]|"")+")',
    "binary": _BASE64,
    "datetime": _MOMENT,
}


def maybe(schema: Schema, *, nullable: bool) -> Schema:
    """Return a schema that also takes null, where that is so."""
    return {**schema, "type": [schema["type"], "null"]} if nullable else schema


def column_schema(column: Column) -> Schema:
    """Return the schema of one value of a column."""
    known = ColumnCodec(column).known
    if known is not None:
        return {**_TYPES[column.type], "enum": sorted(known)}
    return maybe(_TYPES[column.type], nullable=column.nullable)


def param_schema(param: Param) -> Schema:
    """Return the schema of a model's parameter; null stands for none, as in MLflow."""
    one = maybe(_TYPES[param.type], nullable=True)
    schema = one if param.shape is None else {"type": "array", "items": one}
    return schema if param.default is None else {**schema, "default": param.default}


def leaf_schema(spec: TensorSpec) -> Schema:
    """Return the schema of one value of a tensor."""
    if spec.dtype in ("str", "string", "object", "bytes"):
        return _TYPES["string"]
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        bounds = np.iinfo(str(dtype))
        return {"type": "integer", "minimum": int(bounds.min), "maximum": int(bounds.max)}
    if dtype.kind == "f":
        limit = float(np.finfo(str(dtype)).max)
        return maybe({"type": "number", "minimum": -limit, "maximum": limit}, nullable=spec.nullable)
    return _TYPES[{"b": "boolean", "M": "datetime"}.get(dtype.kind, "string")]


def quoted(text: str) -> str:
    """Return the pattern of a text in a CSV cell; only what every dialect lets one escape is escaped."""
    plain = text and not re.search(r'[",\r\n]', text)
    cell = text if plain else '"' + text.replace('"', '""') + '"'
    return re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", cell).replace("\r", "\\r").replace("\n", "\\n")


def cell_pattern(column: Column) -> str:
    """Return the pattern of a cell of a CSV column; an empty one is a null."""
    pattern = _CELLS[column.type]
    known = ColumnCodec(column).known
    if known is not None and column.type == "string":
        pattern = f"(?:{'|'.join(map(quoted, sorted(known)))})"
    return f"(?:{pattern})?" if column.nullable else pattern


def leaf_pattern(spec: TensorSpec) -> str | None:
    """Return the pattern of a CSV cell of a tensor; None where CSV can't carry it."""
    kind = "O" if spec.dtype in ("str", "string", "object", "bytes") else np.dtype(spec.dtype).kind
    if kind in "iu":
        digits = int(math.log10(np.iinfo(spec.dtype).max))
        return f"{'-?' if kind == 'i' else ''}[0-9]{{1,{digits}}}"
    return {"f": _CELLS["float"], "O": _CELLS["string"], "U": _CELLS["string"], "M": _MOMENT}.get(kind)
