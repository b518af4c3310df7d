"""Tokens and callers' data do not leave by the way: not in a log, a metric, an answer to somebody else, a file."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from urllib.parse import urlsplit

import pytest
import requests

from . import bundles
from .processes import listening, scorer

TOKENS = ["current-token-8d1f", "earlier-token-77ac", "wrong-token-5b0e"]
DATA = "secret-cell-2c9b"
KEY = "secret-key-e41d"
PATIENCE = 60


def rough(url: str, content: bytes) -> bytes:
    """Send bytes that no client would, and return what comes back."""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=PATIENCE) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return b"".join(iter(lambda: connection.recv(65536), b""))
        return b""


def bodies() -> list[tuple[str, bytes]]:
    record = {"distance": 500.0, "hour": 7, "carrier": DATA}
    odd = [
        {"dataframe_records": [record]},
        {"dataframe_records": [{**record, "distance": DATA}]},
        {"dataframe_records": [record], "params": {"output": DATA}},
        {"inputs": {"distance": [DATA], "hour": [DATA], "carrier": [DATA, DATA]}},
        {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[1.0, 2, DATA], [DATA]]}},
        {"inputs": [{"name": "distance", "datatype": "BYTES", "shape": [1], "data": [DATA]}]},
    ]
    texts = [json.dumps(document).encode() for document in odd]
    texts += [texts[0][:-9], texts[0] + b"\xff", b'"' + DATA.encode() + b'"', b"[" * 1000 + DATA.encode()]
    table = f"distance,hour,carrier\n{DATA},1,{DATA}\n".encode()
    return [("application/json", text) for text in texts] + [("text/csv", table), (f"text/{DATA}", texts[0])]


def drive(url: str) -> list[bytes]:
    """Send right and wrong requests of every kind with every token, and return all answers."""
    answers = []
    good = json.dumps({"dataframe_records": [{"distance": 500.0, "hour": 7, "carrier": "AA"}]}).encode()
    for token in TOKENS:
        headers = {"Authorization": f"Bearer {token}", "x-nbmlops-key": KEY, "Content-Type": "application/json"}

        def post(path: str, body: bytes, sent=headers, **more: str) -> None:
            given = {name.lower(): value for name, value in sent.items()}
            given |= {name.replace("_", "-"): value for name, value in more.items()}
            answers.append(requests.post(url + path, body, headers=given, timeout=PATIENCE))

        for version in ("1", "2", token):
            post("/invocations", good, x_nbmlops_version=version)
        for kind, body in bodies():
            for path in ("/invocations", "/v2/models/flights/infer"):
                post(path, body, content_type=kind)
        post("/invocations", good, host=token)
        post("/invocations", good, origin=f"https://{token}")
        pages = ("/version", "/metrics", "/docs", "/openapi.json", "/ping", "/v2")
        for path in (*pages, f"/nothing/{token}", f"/docs?t={token}"):
            answers.append(requests.get(url + path, headers=headers, timeout=PATIENCE))
        answers.append(requests.get(f"{url}/version", auth=("user", token), timeout=PATIENCE))
    content = [b"%d %s %r" % (one.status_code, one.content, one.headers) for one in answers]
    secret = f"{TOKENS[0]} {DATA}".encode()
    return content + [rough(url, start + secret) for start in (b"GET /", b"\x16\x03", b"POST / HTTP/1.1\r\n")]


@pytest.mark.integration
def test_no_token_and_no_data_is_left_anywhere(tmp_path):
    folder = tmp_path / "run"
    arms = [
        {"name": "1", "model": "flights", "version": "1", "bundle": str(bundles.onnx_bundle(tmp_path / "good"))},
        {
            "name": "2", "model": "flights", "version": "2",
            "bundle": str(bundles.sklearn_bundle(tmp_path / "bad", bundles.Raises(), serialization="cloudpickle")),
        },
    ]  # fmt: skip
    config = {
        "endpoint": "flights", "token": TOKENS[0], "earlier_tokens": [TOKENS[1]], "arms": arms,
        "errors": str(folder / "errors"), "counts": str(folder / "counts"),
        "capture": {"folder": str(folder / "collected"), "mode": "strict"},
    }  # fmt: skip
    talkative = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1", "ORT_LOG_LEVEL": "0", "UVICORN_LOG_LEVEL": "trace"}
    with tempfile.TemporaryFile() as log, listening() as (listener, url):
        kept = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            with scorer(listener, env=talkative) as process:
                assert process.order(op="configure", config=config)["ok"]
                answers = drive(url)
                said = json.dumps(process.order(op="stats")).encode()
                assert process.end() == 0
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        log.seek(0)
        texts = {"stderr": log.read(), "stats": said}
    files = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {b"200", b"500"} <= {answer[:3] for answer in answers}
    assert any("errors" in name for name in files)
    assert any("collected" in name for name in files)
    assert any("counts" in name for name in files)
    for name, content in {**texts, **files}.items():
        for token in TOKENS:
            assert token.encode() not in content, name
        assert KEY.encode() not in content, name
    for token in TOKENS[:2]:
        for answer in answers:
            # A caller is told the path, the version and the host that he asked for; those held the token here.
            for line in answer.splitlines():
                assert token.encode() not in line or b"there is no version" in line or b"under the name" in line, line
    told = {**texts, **{name: content for name, content in files.items() if "counts" in name}}
    for name, content in told.items():
        assert DATA.encode() not in content, name
    metrics = [answer for answer in answers if b"http_requests_total" in answer]
    assert metrics
    for answer in metrics:
        assert DATA.encode() not in answer
