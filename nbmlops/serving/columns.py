"""The values of one column: which JSON values it takes, how they are checked and which array they become.

Two routes lead to the same values. The fast one is a `msgspec` type that decodes and checks at once; where it says
no, the slow one goes through plain values, and takes what is right in another form (``3.0`` for a long, ``NaN`` for
a null) or names what is wrong.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .errors import RequestError, invalid
from .signature import Column

Array = NDArray[Any]
_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)
_FLOAT32 = float(np.finfo(np.float32).max)
_MOMENT = re.compile(
    r"((\d{4})-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?)(?:(Z)|([+-])(\d{2}):?(\d{2}))?", re.ASCII
)

EXPECTED = {
    "boolean": "true or false",
    "integer": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "float": "a finite number of 32 bits",
    "double": "a finite number",
    "string": "a string",
    "binary": "a base64 string",
    "datetime": "an ISO 8601 date-time from 1678 to 2261, taken as UTC",
}
JSON_TYPES: dict[str, Any] = {
    "boolean": bool,
    "integer": Annotated[int, Meta(ge=_INT32[0], le=_INT32[1])],
    "long": Annotated[int, Meta(ge=_INT64[0], le=_INT64[1])],
    "float": Annotated[float, Meta(ge=-_FLOAT32, le=_FLOAT32)],
    "double": float,
    "string": str,
    "binary": str,
    "datetime": str,
}
_DTYPES: dict[str, Any] = {
    "boolean": np.bool_,
    "integer": np.int32,
    "long": np.int64,
    "float": np.float32,
    "double": np.float64,
    "string": object,
    "binary": object,
    "datetime": "datetime64[ns]",
}


class Unfit(Exception):
    """A value that the column does not take."""


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Unfit
        return value

    return check


def _real(limit: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit
        try:
            number = float(value)
        except OverflowError:
            raise Unfit from None
        if not math.isfinite(number) or abs(number) > limit:
            raise Unfit
        return number

    return check


def _instance(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise Unfit
        return value

    return check


def is_text(value: Any) -> bool:
    """Whether a value is Unicode text; a lone surrogate is legal in JSON's escapes but is none."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value))


def _text(value: Any) -> Any:
    if not is_text(value):
        raise Unfit
    return value


def _moment(value: Any) -> np.datetime64:
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Unfit
    text, year, _, sign, hours, minutes = match.groups()
    if not 1678 <= int(year) <= 2261 or (sign and (int(hours) > 23 or int(minutes) > 59)):
        raise Unfit
    try:
        moment = np.datetime64(text, "ns")
    except ValueError:
        raise Unfit from None
    if not sign:
        return moment
    offset = np.timedelta64(int(sign + "1") * (60 * int(hours) + int(minutes)), "m")
    return moment - offset


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise Unfit
    try:
        # MLflow's own clients break base64 into lines.
        return binascii.a2b_base64(value.replace("\n", ""), strict_mode=True)
    except ValueError:
        raise Unfit from None


CHECKS: dict[str, Callable[[Any], Any]] = {
    "boolean": _instance(bool),
    "integer": _whole(*_INT32),
    "long": _whole(*_INT64),
    "float": _real(_FLOAT32),
    "double": _real(math.inf),
    "string": _text,
    "binary": _bytes,
    "datetime": _moment,
}


# How pandas, which writes and reads MLflow's CSV, may spell a missing value; in a column of text these are texts.
_MISSING = frozenset(
    ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL")
) | {"NaN", "None", "n/a", "nan", "null"}
# Python reads more as a number than others do: 1_000, and digits of any script.
_NUMBER = re.compile(r"\s*[+-]?[\d.a-z][\d.a-z+-]*\s*", re.ASCII | re.IGNORECASE)


def _from_text(type_name: str, text: str) -> Any:
    """Return the JSON value that a CSV cell stands for."""
    if type_name == "boolean":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if type_name not in ("integer", "long", "float", "double") or not _NUMBER.fullmatch(text):
        return text
    if type_name in ("integer", "long"):
        try:
            return int(text)
        except ValueError:
            return float(text)
    return float(text)


@dataclass(frozen=True)
class ColumnCodec:
    """Decodes the values of one column."""

    column: Column

    @property
    def json_type(self) -> Any:
        """The `msgspec` type of one value, for the fast route."""
        base = JSON_TYPES[self.column.type]
        return base | None if self.column.nullable else base

    @property
    def textual(self) -> bool:
        """Whether the values are JSON strings."""
        return self.column.type in ("string", "binary", "datetime")

    @cached_property
    def known(self) -> frozenset[Any] | None:
        """The categories outside which nothing is taken; None where anything of the type is.

        pandas turns an unknown category into a missing value, which a column takes only where it takes nulls. Text and
        whole numbers have categories where the model refuses all others.
        """
        column = self.column
        if column.categories is None or column.type == "datetime":
            return None
        if column.dtype == "category" and column.nullable:
            return None
        return frozenset(column.categories)

    @property
    def converts(self) -> bool:
        """Whether a decoded JSON value still has to be checked or has to become something else."""
        return self.column.type in ("binary", "datetime") or self.known is not None

    @property
    def expected(self) -> str:
        kind = EXPECTED[self.column.type] + (" or null" if self.column.nullable else "")
        return kind if self.known is None else f"one of the {len(self.known)} categories of the training data, {kind}"

    def check(self, value: Any, row: int) -> Any:
        """Return `value` as the array holds it; NaN counts as null.

        Raises
        ------
        RequestError
            422, naming the column, the row and what was expected.
        """
        if value is None or (isinstance(value, float) and value != value):
            if self.column.nullable:
                return None
            raise self.refusal(value, row)
        try:
            checked = CHECKS[self.column.type](value)
        except Unfit:
            raise self.refusal(value, row) from None
        if self.known is not None and checked not in self.known:
            message = f"column {self.column.name!r} holds an unknown category in row {row}"
            raise invalid(message, field=self.column.name, expected=self.expected)
        return checked

    def parse(self, text: str, row: int) -> Any:
        """Return the checked value of a CSV cell; an empty cell is a null where the column takes one."""
        if text == "" and (self.column.nullable or self.column.type != "string"):
            return self.check(None, row)
        if text in _MISSING and self.column.type != "string":
            return self.check(None, row)
        try:
            value = _from_text(self.column.type, text)
        except ValueError:
            value = text
        return self.check(value, row)

    def refusal(self, value: Any, row: int) -> RequestError:
        """Return the error that says what was received, by its kind and never by its content."""
        message = f"column {self.column.name!r} holds {kind_of(value)} in row {row}"
        return invalid(message, field=self.column.name, expected=self.expected)

    @property
    def dtype(self) -> Any:
        """The dtype of every array of this column; None where it depends on the values."""
        if self.column.nullable and self.column.type in ("integer", "long", "boolean"):
            return None
        return np.dtype(_DTYPES[self.column.type])

    def array(self, values: Sequence[Any]) -> Array:
        """Return checked values as one array of shape (n_rows,).

        A nullable whole number becomes a float64 column with NaN and a nullable boolean an object column, which is
        what pandas makes of them.
        """
        kind = self.column.type
        if self.dtype is None and None in values:
            return np.array(values, dtype=object if kind == "boolean" else np.float64)
        return np.array(values, dtype=_DTYPES[kind])

    def missing(self, rows: int) -> Array:
        """Return the array that stands for an optional column that was not sent."""
        kind = self.column.type
        if kind in ("string", "binary", "boolean"):
            return np.full(rows, None, dtype=object)
        if kind == "datetime":
            return np.full(rows, np.datetime64("NaT"), dtype="datetime64[ns]")
        return np.full(rows, np.nan, dtype=np.float32 if kind == "float" else np.float64)


def kind_of(value: Any) -> str:
    """Return what sort of JSON value this is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "a number that is not finite"
    names = {int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "a value")
