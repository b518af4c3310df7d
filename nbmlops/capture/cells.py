"""A canonical text for one cell of a column of Python objects."""

from __future__ import annotations

import datetime
import decimal
import pathlib
import struct
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

_NAN = struct.pack("<d", float("nan"))


class NoCanonicalForm(TypeError):
    """An object whose content can't be told from outside; the message is the name of its type."""


def encode(value: Any) -> bytes:
    """Return bytes that differ for values that differ, in type or in content.

    A NumPy scalar counts as the Python number it holds; a dict's order and a set's do not count.

    Raises
    ------
    NoCanonicalForm
        For an object of an unknown type; the message names the type.
    """
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    for kind, inherited in _WRITERS.items():
        if isinstance(value, kind):
            return inherited(value)
    raise NoCanonicalForm(f"{type(value).__module__}.{type(value).__qualname__}")


def _tagged(tag: str, content: bytes) -> bytes:
    return tag.encode() + b":" + len(content).to_bytes(4, "little") + content


def _text(tag: str) -> Callable[[Any], bytes]:
    return lambda value: _tagged(tag, str(value).encode("utf-8", "surrogatepass"))


def _float(value: float) -> bytes:
    return _tagged("f", struct.pack("<d", value) if value == value else _NAN)


def _scalar(value: np.generic) -> bytes:
    if value.dtype.kind in "Mm":
        return _tagged(str(value.dtype), str(value).encode())
    plain = value.item()
    return _tagged(str(value.dtype), str(value).encode()) if isinstance(plain, np.generic) else encode(plain)


def _array(value: np.ndarray[Any, Any]) -> bytes:
    shape = ",".join(map(str, value.shape))
    if value.dtype.kind == "O":
        return _tagged(f"a{shape}", _joined(value.ravel().tolist()))
    return _tagged(f"a{value.dtype.name},{shape}", np.ascontiguousarray(value).tobytes())


def _joined(items: Iterable[Any]) -> bytes:
    return b"".join(map(encode, items))


def _sorted(items: Iterable[bytes]) -> bytes:
    return b"".join(sorted(items))


# The order matters to subclasses: a datetime is a date, a Timestamp a datetime, a bool an int.
_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: _text("s"),
    type(None): lambda _: b"n:",
    type(pd.NA): lambda _: b"n:",
    type(pd.NaT): lambda _: b"n:",
    bool: _text("b"),
    np.generic: _scalar,
    int: _text("i"),
    float: _float,
    complex: _text("c"),
    bytes: lambda value: _tagged("y", value),
    bytearray: lambda value: _tagged("y", bytes(value)),
    pd.Timestamp: lambda value: _tagged("T", f"{value.isoformat()} {value.tz}".encode()),
    pd.Timedelta: lambda value: _tagged("D", value.isoformat().encode()),
    pd.Period: _text("P"),
    pd.Interval: _text("I"),
    datetime.datetime: lambda value: _tagged("t", f"{value.isoformat()} {value.tzinfo}".encode()),
    datetime.date: _text("d"),
    datetime.time: _text("o"),
    datetime.timedelta: lambda value: _tagged("e", repr(value).encode()),
    decimal.Decimal: _text("m"),
    uuid.UUID: _text("u"),
    pathlib.PurePath: _text("p"),
    list: lambda value: _tagged("l", _joined(value)),
    tuple: lambda value: _tagged("q", _joined(value)),
    dict: lambda value: _tagged("k", _sorted(encode(key) + encode(item) for key, item in value.items())),
    set: lambda value: _tagged("z", _sorted(map(encode, value))),
    frozenset: lambda value: _tagged("z", _sorted(map(encode, value))),
    np.ndarray: _array,
}
