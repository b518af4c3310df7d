"""The outer form of a scoring request: content type, JSON document, the four formats, parameters."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from .columns import kind_of
from .errors import RequestError, invalid, malformed
from .inputs import Decoded

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
OUTPUTS = ("label", "probabilities", "both")
Output = Literal["label", "probabilities", "both"]
JSON, CSV = "application/json", "text/csv"


@dataclass(slots=True)
class ScoringRequest:
    """A decoded request.

    Attributes
    ----------
    data : Rows, Tensor, Tensors or Generic
    output : str
        Which of the model's answers is wanted.
    params : mapping, optional
        The model's own parameters as its signature declares them, in JSON's values; None where it declares none.
    context : object
        What the wire that decoded the request needs to answer it.
    """

    data: Decoded
    output: Output = "label"
    params: Mapping[str, Any] | None = None
    context: Any = None


@lru_cache(maxsize=64)
def media_type(header: bytes | None) -> str:
    """Return ``application/json`` or ``text/csv``.

    Raises
    ------
    RequestError
        415 for anything else, for no content type and for a charset other than UTF-8.
    """
    expected = "application/json or text/csv, in UTF-8"
    kind, *parameters = [part.strip().lower() for part in (header or b"").decode("latin-1").split(";")]
    if kind not in (JSON, CSV):
        raise RequestError(
            415, "unsupported_media_type", "the content type is not one of those served" if kind else
            "the request has no content type", field="content-type", expected=expected)  # fmt: skip
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() != "charset" or value.strip().strip('"') not in ("utf-8", "utf8"):
            message = "the content type's parameter is not a charset of UTF-8"
            raise RequestError(415, "unsupported_media_type", message, field="content-type", expected=expected)
    return kind


def shown(name: str) -> str:
    """Return a name that the caller sent, short enough for a message."""
    return repr(name if len(name) <= 80 else name[:77] + "...")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint that names the nearest known name, or nothing."""
    found = difflib.get_close_matches(name[:200], list(names), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def text_of(body: bytes) -> str:
    """Return the body as text.

    Raises
    ------
    RequestError
        400 when it is not UTF-8.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: byte {error.start} can't be read"
        raise malformed(message, expected="text in UTF-8") from None


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the body's JSON object; ``NaN`` is taken as a null, since MLflow's own clients send it.

    Raises
    ------
    RequestError
        400 when it is no JSON, no object, nested too deeply or repeats a key.
    """
    text = text_of(body)
    if not text.strip():
        raise malformed("the body is empty", expected=f"a JSON object with one of {', '.join(FORMATS)}")
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        message = f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise malformed(message, expected="a JSON object") from None
    except (RecursionError, ValueError):
        message = "the body is JSON that can't be taken: nested too deeply or a number of too many digits"
        raise malformed(message, expected="a JSON object") from None
    if not isinstance(document, dict):
        raise malformed("the body is no JSON object", expected=f"an object with one of {', '.join(FORMATS)}")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise invalid(f"a JSON object holds {shown(name)} twice", field=name[:80], expected="each name once")
    return result


def split_document(document: dict[str, Any]) -> tuple[str, Any, Any]:
    """Return the format's name, its data and the parameters of a parsed document."""
    present = [name for name in FORMATS if name in document]
    one_of = f"exactly one of {', '.join(FORMATS)}"
    for name in document:
        if name not in FORMATS and name != "params":
            hint = nearest(name, (*FORMATS, "params"))
            raise malformed(f"the request holds {shown(name)}{hint}", field=name[:80], expected=one_of)
    if len(present) != 1:
        raise malformed(f"the request holds {len(present)} of the four formats", expected=one_of)
    return present[0], document[present[0]], document.get("params")


def parse_csv(body: bytes) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV body with comma, double quotes and one header line.

    Raises
    ------
    RequestError
        400 when it can't be read, 422 when a row has another number of cells than the header.
    """
    try:
        text = io.StringIO(text_of(body).removeprefix("\ufeff"), newline="")
        lines = [line for line in csv.reader(text, strict=True) if line]
    except csv.Error as error:
        raise malformed(f"the body is not valid CSV: {error}", expected="comma-separated values") from None
    if not lines:
        raise malformed("the body is empty", expected="a header line and rows of comma-separated values")
    header, rows = lines[0], lines[1:]
    for number, row in enumerate(rows):
        if len(row) != len(header):
            message = f"row {number} has {len(row)} cells"
            raise invalid(message, field=f"row {number}", expected=f"{len(header)} cells, as in the header")
    return header, rows


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
