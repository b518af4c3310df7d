"""Whole arrays against the signature: what fits without a doubt is taken at once, all else value by value.

The quick way never decides that something is wrong. What it can't vouch for goes through the checks that all
protocols share, which take it in another form or name the value at fault.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ..columns import ColumnCodec
from ..documents import shown
from ..errors import RequestError, invalid
from ..tensors import TensorCodec
from .datatypes import DTYPES, Array, to_text
from .requests import InputTensor

_NUMBERS = tuple(name for name, dtype in DTYPES.items() if dtype.kind in "iuf")
ACCEPTED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("integer", "long", "float", "double"), _NUMBERS),
    "boolean": ("BOOL",),
    **dict.fromkeys(("string", "binary", "datetime"), ("BYTES",)),
}
PREFERRED = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}
AS_JSON = "pd_json"  # MLServer's name of columns whose elements are JSON text


def whole_array(tensor: InputTensor) -> Array:
    """Return the elements as an array of shape (n_elements,); nulls are NaN, or None among objects."""
    values = tensor.values
    if isinstance(values, np.ndarray):
        return values
    dtype = DTYPES[tensor.datatype]
    if dtype.kind != "f" and None in values:
        dtype = np.dtype(object)
    with np.errstate(over="ignore"):  # too large for its datatype is infinite, and no column takes that
        return np.array(values, dtype)


def quick(codec: ColumnCodec, array: Array) -> Array | None:
    """Return an array of any shape in the column's dtype if all its values fit, else None."""
    column, kind = codec.column, array.dtype.kind
    if codec.known is not None or kind not in "biuf":
        return None
    if column.type in ("double", "float"):
        return None if kind == "b" else _real(array, codec.dtype, nullable=column.nullable)
    if column.type in ("integer", "long"):
        return None if kind == "b" else _whole(array, np.dtype(np.int32 if column.type == "integer" else np.int64))
    return array if column.type == "boolean" and kind == "b" else None


def _real(array: Array, dtype: np.dtype[Any], *, nullable: bool) -> Array | None:
    if array.dtype == dtype:
        found = array
    else:
        with np.errstate(over="ignore"):
            found = array.astype(dtype)
    if np.isfinite(found).all() or (nullable and not np.isinf(found).any()):
        return found
    return None


def _whole(array: Array, dtype: np.dtype[Any]) -> Array | None:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if array.dtype.kind == "f":
        array = array.astype(np.float64, copy=False)
        # The upper bound of 64 bits is no float; the next number above it is one.
        fits = (array >= low) & (array < float(high + 1)) & (np.trunc(array) == array)
    elif np.can_cast(array.dtype, dtype):
        return array.astype(dtype, copy=False)
    else:
        fits = (array >= low) & (array <= high)
    return array.astype(dtype) if fits.all() else None


def check_datatype(tensor: InputTensor, codec: ColumnCodec) -> None:
    """Refuse a datatype that the column's type does not come in.

    Raises
    ------
    RequestError
        422.
    """
    accepted = ACCEPTED[codec.column.type]
    if tensor.datatype not in accepted and tensor.content_type != AS_JSON:
        name = codec.column.name
        message = f"column {name!r} was sent as {tensor.datatype}"
        raise invalid(message, field=name, expected=f"{codec.expected}, as {' or '.join(accepted)}")


def plain_values(tensor: InputTensor, codec: ColumnCodec, part: Sequence[Any]) -> list[Any]:
    """Return elements as the JSON values that the column's checks take; ``bytes`` for a column of bytes."""
    values = part.tolist() if isinstance(part, np.ndarray) else list(part)
    name = codec.column.name
    if tensor.datatype != "BYTES":
        return values
    if tensor.content_type == AS_JSON:
        return [_from_json(to_text(value, name), name) for value in values]
    if codec.column.type == "binary":
        based = tensor.content_type == "base64"
        return [_octets(value, name, based=based) for value in values]
    return [to_text(value, name) for value in values]


def _octets(value: Any, name: str, *, based: bool) -> Any:
    if value is None:
        return None
    raw = value if isinstance(value, bytes) else value.encode()
    if not based:
        return raw
    try:
        return binascii.a2b_base64(raw.replace(b"\n", b""), strict_mode=True)
    except ValueError:
        raise invalid(f"column {name!r} holds no base64", field=name, expected="bytes in base64") from None


def _from_json(text: Any, name: str) -> Any:
    try:
        return None if text is None else msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        message = f"column {name!r} holds an element that is no JSON"
        raise invalid(message, field=name, expected=f"JSON text, as content_type {AS_JSON} says") from None


def checked_values(codec: ColumnCodec, values: Sequence[Any]) -> list[Any]:
    """Return values as the column's array holds them.

    Raises
    ------
    RequestError
        422, naming the column and the row.
    """
    if codec.column.type != "binary":
        return [codec.check(value, row) for row, value in enumerate(values)]
    return [value if isinstance(value, bytes) else codec.check(value, row) for row, value in enumerate(values)]


def tensor_array(codec: TensorCodec, tensor: InputTensor) -> Array:
    """Return a tensor as a model that takes tensors gets it.

    Raises
    ------
    RequestError
        422 when shape, datatype or a value does not fit the declaration.
    """
    spec, shape = codec.spec, tensor.shape
    fits = len(shape) == len(spec.shape) and all(want in (-1, n) for want, n in zip(spec.shape, shape, strict=True))
    if not fits or 0 in shape:
        found = f"input {shown(tensor.name)} has shape {list(shape)}"
        raise invalid(found, field=tensor.name[:80], expected=codec.expected)
    array = whole_array(tensor)
    found_quickly = _quick_tensor(codec, array)
    if found_quickly is not None:
        return found_quickly.reshape(shape)
    texts, sent = codec.dtype.kind in "OM", DTYPES[tensor.datatype].kind
    if texts != (sent == "O") or (codec.dtype.kind == "b") != (sent == "b"):
        raise _other_datatype(codec, tensor)
    name = tensor.name[:80]
    if codec.dtype.kind == "O" and codec.binary:
        values = [_octets(value, name, based=tensor.content_type == "base64") for value in array.tolist()]
        if None in values:
            raise invalid(f"input {shown(name)} holds null", field=name, expected=codec.expected)
        result = np.empty(len(values), dtype=object)
        result[:] = values
        return result.reshape(shape)
    if array.dtype == object:
        array = np.array([to_text(value, name) for value in array.tolist()], dtype=object)
    nested = array.reshape(shape).tolist()
    return codec.check(nested, name)


def _other_datatype(codec: TensorCodec, tensor: InputTensor) -> RequestError:
    message = f"input {shown(tensor.name)} was sent as {tensor.datatype}"
    return invalid(message, field=tensor.name[:80], expected=codec.expected)


def _quick_tensor(codec: TensorCodec, array: Array) -> Array | None:
    wanted, kind = codec.dtype, array.dtype.kind
    if wanted.kind == "f" and kind in "iuf":
        return _real(array, wanted, nullable=codec.spec.nullable)
    if wanted.kind in "iu" and kind in "iuf":
        return _whole(array, wanted)
    return array if wanted.kind == kind == "b" else None
