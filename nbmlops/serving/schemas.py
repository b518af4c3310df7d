"""JSON Schemas of requests and answers, made from a model's signature.

What JSON Schema can't say is said for small cases in full: that columns sent as lists have one length, that an inner
axis of any length has one length. The decoders take more of these than the schema spells out, and never less; an
order of columns other than the signature's is the one other thing that they take besides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .documents import OUTPUTS
from .parameters import Parameters
from .signature import Column, Signature, TensorSpec
from .values import Schema, cell_pattern, column_schema, leaf_pattern, leaf_schema, param_schema, quoted

SPELT = 4  # lengths that are spelt out where JSON Schema can't say that they are equal
_NEWLINE = "(?:\\r\\n?|\\n)"
_UNUSED: Schema = {"description": "Row labels, as pandas writes them; they are not used."}


def closed(properties: dict[str, Schema], required: Sequence[str] | None = None) -> Schema:
    """Return the schema of an object with these properties and no other."""
    wanted = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, "required": wanted, "additionalProperties": False}


def listed(items: Schema, length: int = -1) -> Schema:
    """Return the schema of a list: of one item or more, or of so many."""
    exactly = {"minItems": length, "maxItems": length} if length >= 0 else {"minItems": 1}
    return {"type": "array", "items": items, **exactly}


def request_schema(signature: Signature, outputs: Sequence[str] = OUTPUTS) -> Schema:
    """Return the schema of a JSON request for a model."""
    params = params_schema(signature, outputs)
    return {
        "oneOf": [
            {"title": name, **closed({name: form, "params": params}, [name])} for name, form in forms(signature).items()
        ]
    }


def params_schema(signature: Signature, outputs: Sequence[str]) -> Schema:
    """Return the schema of ``params``: the wanted output and the model's own."""
    own = {param.name: param_schema(param) for param in signature.params}
    if "output" in Parameters(signature.params).names and "output" not in own:
        own["output"] = {"enum": list(outputs), "default": "label"}
    return {"type": ["object", "null"], "properties": own, "additionalProperties": False}


def forms(signature: Signature) -> dict[str, Schema]:
    """Return the schema of the data under each format's name."""
    if signature.columns is not None:
        return _frame_forms(signature.columns)
    if signature.tensor is not None:
        return _tensor_forms(signature.tensor)
    if signature.tensors is not None:
        return _named_forms(signature.tensors)
    return _free_forms()


def _frame_forms(columns: Sequence[Column]) -> dict[str, Schema]:
    types = {column.name: column_schema(column) for column in columns}
    required = [column.name for column in columns if column.required]
    split = _split({"const": list(types)}, {"type": "array", "prefixItems": list(types.values()), **_of(len(types))})
    split["properties"]["columns"]["description"] = "Another order of the columns is taken too, with values in it."
    records = listed(closed(types, required))
    alike = [column.name for column in columns if not column.required and not column.nullable]
    if alike:  # a column that may be left out is left out of all rows
        each = [[{"required": [name]}, {"not": {"required": [name]}}] for name in alike]
        records["allOf"] = [{"anyOf": [{"items": form} for form in pair]} for pair in each]
    lists = closed({name: listed(form) for name, form in types.items()}, required)
    lists["anyOf"] = [{"additionalProperties": _of(length)} for length in range(1, SPELT + 1)]
    lists["description"] = "All lists have the same length; any is taken."
    kinds = [records, lists, closed(types, required)]
    if len(types) == 1:
        (only,) = types.values()
        kinds += [only, listed(only)]
    several = {"anyOf": kinds}
    return {"dataframe_split": split, "dataframe_records": records, "instances": several, "inputs": several}


def _of(length: int) -> Schema:
    return {"minItems": length, "maxItems": length}


def _split(columns: Schema, row: Schema) -> Schema:
    return closed({"columns": columns, "data": listed(row), "index": _UNUSED}, ["columns", "data"])


def nested(leaf: Schema, shape: Sequence[int]) -> Schema:
    """Return the schema of nested lists of a shape; an axis of any length below the first is spelt out."""
    if not shape:
        return leaf
    if -1 not in shape[1:]:
        return listed(nested(leaf, shape[1:]), shape[0])
    place = shape.index(-1, 1)
    return {"anyOf": [nested(leaf, [*shape[:place], n, *shape[place + 1 :]]) for n in range(1, SPELT + 1)]}


def _tensor_forms(tensor: TensorSpec) -> dict[str, Schema]:
    leaf, shape = leaf_schema(tensor), tensor.shape
    whole = nested(leaf, shape)
    bare = closed({"data": whole, "index": _UNUSED}, ["data"])
    if len(shape) < 2:
        return {"dataframe_split": bare, "instances": whole, "inputs": whole}
    splits, records = [bare], []
    for width in [shape[1]] if shape[1] >= 0 else range(1, SPELT + 1):
        cell = nested(leaf, shape[2:])
        names = {"type": "array", "items": {"type": ["string", "integer"]}, **_of(width)}
        split = _split(names, listed(cell, width))
        split["properties"]["data"] |= {} if shape[0] < 0 else _of(shape[0])
        splits.append(split)
        records.append(listed(closed({str(number): cell for number in range(width)}), shape[0]))
    return {
        "dataframe_split": {"anyOf": splits},
        "dataframe_records": records[0] if len(records) == 1 else {"anyOf": records},
        "instances": whole,
        "inputs": whole,
    }


def _named_forms(tensors: Sequence[TensorSpec]) -> dict[str, Schema]:
    leaves = {spec.name: leaf_schema(spec) for spec in tensors}
    whole: Schema = closed({spec.name: nested(leaves[spec.name], spec.shape) for spec in tensors})
    cells = {spec.name: nested(leaves[spec.name], spec.shape[1:]) for spec in tensors}
    rows = listed(closed(cells))
    row = {"type": "array", "prefixItems": list(cells.values()), **_of(len(cells))}
    split = _split({"const": list(cells)}, row)
    kinds = [whole, rows]
    if len(tensors) == 1:
        kinds.append(next(iter(whole["properties"].values())))
    several = {"anyOf": kinds}
    return {"dataframe_split": split, "dataframe_records": rows, "instances": several, "inputs": several}


def _free_forms() -> dict[str, Schema]:
    """Return the forms that a model without a signature takes: anything with rows of one length."""
    names = {"type": "array", "items": {"type": "string"}}
    split = _split(names, {"type": "array"})
    split["properties"]["index"] = {"type": "array", "description": "A label for each row."}
    widths = [{"properties": {"columns": _of(n), "data": {"items": _of(n)}}} for n in range(SPELT + 1)]
    heights = [{"properties": {"data": _of(n), "index": _of(n)}} for n in range(1, SPELT + 1)]
    split["allOf"] = [{"anyOf": widths}, {"anyOf": [{"not": {"required": ["index"]}}, *heights]}]
    several = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object"}]}
    records = listed({"type": "object"})
    return {"dataframe_split": split, "dataframe_records": records, "instances": several, "inputs": several}


def csv_schema(signature: Signature) -> Schema | None:
    """Return the schema of a CSV request; None where no CSV fits the signature."""
    if signature.columns is not None:
        names = [column.name for column in signature.columns]
        cells = [cell_pattern(column) for column in signature.columns]
        return _csv([_table(",".join(map(quoted, names)), cells)], f"A header line with {', '.join(names)}, then rows.")
    if signature.tensor is not None:
        cell, shape = leaf_pattern(signature.tensor), signature.tensor.shape
        if cell is None or len(shape) != 2 or shape[0] >= 0:
            return None
        widths = [shape[1]] if shape[1] >= 0 else list(range(1, SPELT + 1))
        headers = [",".join(f"c{number}" for number in range(width)) for width in widths]
        tables = [_table(header, [cell] * width) for header, width in zip(headers, widths, strict=True)]
        return _csv(tables, "A header line, then a line for each row; the columns may have any names.")
    if signature.tensors is not None:
        return None
    cell = '(?:[^",\\r\\n][^,\\r\\n]*|"(?:[^"]|"")*")'  # a quote within a cell that began without one is text
    rows = [[cell]] + [[f"{cell}?"] * width for width in range(2, SPELT + 1)]  # an empty line is no row
    return _csv([_table(",".join(row), row) for row in rows], "A header line, then rows of as many cells.")


def _csv(tables: Sequence[str], description: str) -> Schema:
    pattern = tables[0] if len(tables) == 1 else f"(?:{'|'.join(tables)})"
    return {"type": "string", "description": description, "pattern": f"^{pattern}$"}


def _table(header: str, cells: Sequence[str]) -> str:
    row = ",".join(cells)
    return f"{_NEWLINE}*{header}(?:{_NEWLINE}+{row})+{_NEWLINE}*"


def answer_schema(signature: Signature, outputs: Sequence[str] = OUTPUTS) -> Schema:
    """Return the schema of a model's answer."""
    if signature.task == "other":
        return {"type": "object", "properties": {"predictions": {}}, "required": ["predictions"]}
    label: Schema = {"enum": signature.classes} if signature.classes else {}
    kinds: list[Schema] = [{"type": "array", "items": label}]
    if "probabilities" in outputs:
        chances: Schema = {"type": "array", "items": {"type": ["number", "null"]}}
        if signature.classes:
            chances |= _of(len(signature.classes))
        both = closed({"label": label, "probabilities": chances})
        kinds += [{"type": "array", "items": chances}, {"type": "array", "items": both}]
    classes: Schema = {"const": signature.classes} if signature.classes else {"type": "array"}
    return closed({"predictions": {"anyOf": kinds}, "classes": classes}, ["predictions"])


def example_requests(signature: Signature) -> dict[str, Any]:
    """Return the signature's example row in each format that it can be written in."""
    example = signature.example or {}
    data = example.get("data", [])[:1]
    if not data:
        return {}
    if signature.columns is None:
        return {"inputs": {"inputs": data}, "instances": {"instances": data}} if signature.tensor is not None else {}
    columns = example.get("columns", [])
    record = dict(zip(columns, data[0], strict=True))
    return {
        "dataframe_split": {"dataframe_split": {"columns": columns, "data": data}},
        "dataframe_records": {"dataframe_records": [record]},
        "instances": {"instances": [record]},
        "inputs": {"inputs": {name: [value] for name, value in record.items()}},
    }


def example_csv(signature: Signature) -> str | None:
    """Return the signature's example row in CSV."""
    example = signature.example or {}
    data = example.get("data", [])[:1]
    if signature.columns is None or not data:
        return None
    cells = [_cell(value) for value in data[0]]
    return ",".join(map(_cell, example.get("columns", []))) + "\n" + ",".join(cells) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
