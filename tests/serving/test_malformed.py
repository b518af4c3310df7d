"""What a malformed request gets, as docs/scoring.md says it: each row of its table is sent to a live server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import bundles
from .test_http import Live, answer, entry

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/scoring.md"
JSON, CSV, INFER = "application/json", "text/csv", "/v2/models/m/infer"
COLUMNS = ["distance", "hour", "carrier"]
CATEGORIES = {"dtype": "category", "categories": ["AA", "DL", "UA"]}
DEEP = b"[" * 100_000 + b"]" * 100_000


@dataclass
class Sent:
    """A request: its body, its content type and where it goes."""

    body: bytes
    kind: str | None = JSON
    path: str = "/invocations"


def split(*rows: Any, columns: list[str] | None = None, **more: Any) -> bytes:
    held = {"columns": COLUMNS if columns is None else columns, "data": list(rows)}
    return json.dumps({"dataframe_split": held, **more}).encode()


def tensors(**changed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {
        "distance": {"shape": [1], "datatype": "FP64", "data": [500.0]},
        "hour": {"shape": [1], "datatype": "INT64", "data": [7]},
        "carrier": {"shape": [1], "datatype": "BYTES", "data": ["AA"]},
    }
    return {name: {"name": name, **given.get(name, {}), **changed.get(name, {})} for name in {**given, **changed}}


def inputs(*, without: str = "", twice: str = "", **changed: dict[str, Any]) -> Sent:
    made = tensors(**changed)
    given = [one for name, one in made.items() if name != without] + ([made[twice]] if twice else [])
    return Sent(json.dumps({"inputs": given}).encode(), path=INFER)


GOOD = split([500.0, 7, "AA"])
NO_ROWS = {"shape": [0], "data": []}


def cell(text: bytes) -> Sent:
    """A request whose distance is written like that."""
    return Sent(GOOD.replace(b"500.0", text))


def lines(*rows: str | bytes, header: str = "distance,hour,carrier") -> Sent:
    return Sent(b"".join(row.encode() if isinstance(row, str) else row for row in (f"{header}\n", *rows)), CSV)


SENT = {
    "a good request": Sent(GOOD),
    "columns in another order": Sent(split(["AA", 7, 500.0], columns=COLUMNS[::-1])),
    "an empty body": Sent(b""),
    "a truncated body": Sent(GOOD[:-10]),
    "no JSON": Sent(b"distance=500"),
    "`[]`": Sent(b"[]"),
    "`null`": Sent(b"null"),
    "`{}`": Sent(b"{}"),
    "a format of another name, `dataframe`": Sent(GOOD.replace(b"dataframe_split", b"dataframe")),
    "two of the formats": Sent(split([500.0, 7, "AA"], instances=[])),
    "a format that holds `null`": Sent(b'{"dataframe_split": null}'),
    "the same key twice": Sent(GOOD[:-1] + b"," + GOOD[1:]),
    "bytes that are no UTF-8": Sent(GOOD.replace(b"AA", b"\xff\xfe")),
    "100,000 levels of nesting": Sent(b'{"dataframe_split":' + DEEP + b"}"),
    "100,000 levels in a cell": cell(DEEP),
    "a missing column": Sent(split([500.0, 7], columns=COLUMNS[:2])),
    "an extra column, `gate`": Sent(split([500.0, 7, "AA", 1], columns=[*COLUMNS, "gate"])),
    "a misspelt column, `hours`": Sent(GOOD.replace(b"hour", b"hours")),
    "a column twice": Sent(split([500.0, 500.0, 7, "AA"], columns=["distance", *COLUMNS])),
    "a string in a number": cell(b'"500"'),
    "a boolean in a number": cell(b"true"),
    "a null in a number": cell(b"null"),
    "`NaN` in a number": cell(b"NaN"),
    "`1e400`": cell(b"1e400"),
    "`Infinity`": cell(b"Infinity"),
    "a fraction in a whole number": Sent(split([500.0, 7.5, "AA"])),
    "a whole number past 64 bits": Sent(split([500.0, 2**63, "AA"])),
    "a number in a category": Sent(split([500.0, 7, 1])),
    "an unknown category": Sent(split([500.0, 7, "ZZ"])),
    "a null in a category": Sent(split([500.0, 7, None])),
    "half of a surrogate pair": Sent(split([500.0, 7, "\ud800"])),
    "no rows": Sent(split()),
    "a row too short": Sent(split([500.0, 7, "AA"], [500.0, 7])),
    "a row too long": Sent(split([500.0, 7, "AA", 1])),
    "a row that is no list": Sent(split(500.0)),
    "records of different columns": Sent(
        b'{"dataframe_records": [{"distance": 1, "hour": 7, "carrier": "AA"}, {"distance": 1, "hour": 7}]}'
    ),
    "columns of different lengths": Sent(b'{"inputs": {"distance": [1, 2], "hour": [7], "carrier": ["AA", "AA"]}}'),
    "an unknown parameter": Sent(split([500.0, 7, "AA"], params={"outputs": "label"})),
    "an unknown output": Sent(split([500.0, 7, "AA"], params={"output": "all"})),
    "no content type": Sent(GOOD, None),
    "another content type": Sent(GOOD, "text/plain"),
    "another charset": Sent(GOOD, "application/json; charset=latin-1"),
    "CSV: an empty body": Sent(b"", CSV),
    "CSV: no rows": lines(),
    "CSV: a row too short": lines("500,7\n"),
    "CSV: an open quote": lines('500,7,"AA\n'),
    "CSV: bytes that are no UTF-8": lines(b"500,7,\xff\n"),
    "CSV: a missing column": lines("500,7\n", header="distance,hour"),
    "CSV: text in a number": lines("far,7,AA\n"),
    "CSV: an empty cell in a number": lines(",7,AA\n"),
    "CSV: an unknown category": lines("500,7,ZZ\n"),
    "V2: an empty body": Sent(b"", path=INFER),
    "V2: `null`": Sent(b"null", path=INFER),
    "V2: no inputs": Sent(b'{"inputs": []}', path=INFER),
    "V2: a shape that does not fit its data": inputs(distance={"shape": [2]}),
    "V2: a shape of 10²⁴ elements": inputs(distance={"shape": [10**12, 10**12]}),
    "V2: a negative length": inputs(distance={"shape": [-1]}),
    "V2: ragged data": inputs(distance={"shape": [2, 2], "data": [[1.0, 2.0], [3.0]]}),
    "V2: inputs of different lengths": inputs(distance={"shape": [2], "data": [1.0, 2.0]}),
    "V2: no rows": inputs(distance=NO_ROWS, hour=NO_ROWS, carrier=NO_ROWS),
    "V2: an unknown datatype": inputs(distance={"datatype": "FP65"}),
    "V2: another datatype": inputs(hour={"datatype": "BYTES", "data": ["7"]}),
    "V2: a missing input": inputs(without="carrier"),
    "V2: an extra input, `gate`": inputs(gate={"shape": [1], "datatype": "FP64", "data": [1.0]}),
    "V2: an input twice": inputs(twice="distance"),
    "V2: a string in a number": inputs(distance={"data": ["500"]}),
    "V2: a null in a number": inputs(distance={"data": [None]}),
    "V2: an unknown category": inputs(carrier={"data": ["ZZ"]}),
    "V2: another model's name": Sent(inputs().body, path="/v2/models/other/infer"),
    "V2: another content type": Sent(inputs().body, CSV, INFER),
}


def documented() -> dict[str, tuple[int, str, str]]:
    """Return what the document's table says: request -> status, code and field."""
    section = DOCUMENT.read_text().partition("## What a malformed request gets\n")[2].partition("\n## ")[0]
    rows = [[one.strip() for one in line.strip("|").split(" | ")] for line in re.findall(r"^\|.*\|$", section, re.M)]
    return {name: (int(status), code.strip("`"), field.strip("`")) for name, status, code, field in rows[2:]}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    columns = [*bundles.COLUMNS[:2], {**bundles.COLUMNS[2], **CATEGORIES}]
    path = bundles.onnx_bundle(tmp_path_factory.mktemp("malformed") / "b", {**bundles.SIGNATURE, "inputs": columns})
    server = Live([entry(path)], body_bytes=300_000, read_s=20)
    yield server
    server.join()


@pytest.fixture
def ask(live: Live) -> Iterator[Callable[[Sent], tuple[int, dict[str, str], Any]]]:
    with live.connected() as client:

        def send(sent: Sent) -> tuple[int, dict[str, str], Any]:
            kind = [] if sent.kind is None else [f"content-type: {sent.kind}"]
            head = [f"POST {sent.path} HTTP/1.1", "host: localhost", f"content-length: {len(sent.body)}", *kind]
            client.sendall("\r\n".join([*head, "", ""]).encode() + sent.body)
            status, headers, body = answer(client)
            return status, headers, json.loads(body)

        yield send


def test_the_document_tells_of_every_request():
    assert list(documented()) == list(SENT)


@pytest.mark.parametrize("name", SENT)
def test_each_gets_what_the_document_says(ask, name):
    status, headers, told = ask(SENT[name])
    error = told.get("error", {})
    if isinstance(error, str):  # the Open Inference Protocol's errors are strings
        error = {"message": error, "expected": error, **told}
    assert (status, error.get("code") or "", error.get("field") or "") == documented()[name]
    assert len(headers["x-prediction-id"]) == 36
    if status != 200:
        assert error["expected"]
        assert "Traceback" not in str(told)
        assert not re.search("500|ZZ", error["message"]), "data of the caller's"
    assert ask(SENT["a good request"])[2] == {"predictions": [0]}, "the connection goes on"
