"""The data of a tensor in JSON: flat, or nested as the shape says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..columns import Unfit, is_text, kind_of
from ..documents import shown
from ..errors import RequestError, invalid, malformed
from .datatypes import DTYPES

_INT64_MAX = 2**63 - 1


def _bounds(datatype: str) -> tuple[int, int]:
    bits = 8 * DTYPES[datatype].itemsize
    return (0, 2**bits - 1) if DTYPES[datatype].kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _leaf_type(datatype: str) -> Any:
    kind = DTYPES[datatype].kind
    if kind in "iu":
        low, high = _bounds(datatype)
        return Annotated[int, Meta(ge=low, le=min(high, _INT64_MAX))]
    return {"f": float, "b": bool, "O": str}[kind]


@cache
def _decoder(datatype: str, depth: int) -> Callable[[Any], Any]:
    """Return what reads nested lists of a datatype from JSON text; it refuses nulls and whole numbers past 64 bits."""
    nested: Any = _leaf_type(datatype)
    for _ in range(depth):
        nested = list[nested]
    return msgspec.json.Decoder(nested).decode


def read(name: str, data: Any, *, datatype: str, shape: Sequence[int]) -> list[Any]:
    """Return the elements of a tensor, in row-major order.

    Parameters
    ----------
    name : str
        The input's, for errors.
    data : msgspec.Raw or object
        JSON text, or what was made of it.
    datatype : str
    shape : sequence of int

    Raises
    ------
    RequestError
        422 when there are more or fewer than the shape says, or one is not of the datatype.
    """
    count = math.prod(shape)
    if isinstance(data, msgspec.Raw):
        found = _read_fast(datatype, shape, data)
        if found is not None and len(found) == count:
            return found
        data = _plain(name, data)
    check = _CHECKS[DTYPES[datatype].kind]
    result = []
    for index, value in enumerate(_leaves(name, data, shape)):
        try:
            result.append(check(datatype, value))
        except Unfit:
            message = f"input {shown(name)} holds {kind_of(value)} as element {index}"
            raise invalid(message, field=name[:80], expected=f"an element of {datatype}") from None
    return result


def _plain(name: str, data: msgspec.Raw) -> Any:
    try:
        return json.loads(bytes(data))
    except (ValueError, RecursionError):
        message = f"the data of input {shown(name)} can't be read: nested too deeply, or a number of too many digits"
        raise malformed(message, field=name[:80], expected="lists of elements") from None


def _read_fast(datatype: str, shape: Sequence[int], data: msgspec.Raw) -> list[Any] | None:
    try:
        return _decoder(datatype, 1)(data)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if len(shape) != 2:
            return None
    try:
        rows = _decoder(datatype, 2)(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    regular = len(rows) == shape[0] and all(len(row) == shape[1] for row in rows)
    return list(chain.from_iterable(rows)) if regular else None


def _leaves(name: str, data: Any, shape: Sequence[int]) -> list[Any]:
    """Return the elements of flat or nested lists."""
    count = math.prod(shape)
    if not isinstance(data, list):
        raise _misshapen(name, f"{kind_of(data)} where a list belongs", shape)
    if len(data) == count and not any(isinstance(item, list) for item in data):
        return data
    level = [data]
    for axis, length in enumerate(shape):
        for item in level:
            if not isinstance(item, list) or len(item) != length:
                found = f"{len(item)} items" if isinstance(item, list) else kind_of(item)
                if axis == 0 and not any(isinstance(value, list) for value in data):
                    raise _misshapen(name, f"{len(data)} elements", shape)
                raise _misshapen(name, f"{found} on axis {axis}", shape)
        level = list(chain.from_iterable(level))
    return level


def _misshapen(name: str, found: str, shape: Sequence[int]) -> RequestError:
    expected = f"{math.prod(shape)} elements, as its shape {list(shape)} says, flat or nested"
    return invalid(f"the data of input {shown(name)} holds {found}", field=name[:80], expected=expected)


def _real(datatype: str, value: Any) -> Any:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit
    try:
        return float(value)
    except OverflowError:
        raise Unfit from None


def _whole(datatype: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    low, high = _bounds(datatype)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Unfit
    return value


def _boolean(datatype: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    raise Unfit


def _text(datatype: str, value: Any) -> Any:
    if value is None or is_text(value):
        return value
    raise Unfit


_CHECKS: dict[str, Callable[[str, Any], Any]] = {"f": _real, "i": _whole, "u": _whole, "b": _boolean, "O": _text}
