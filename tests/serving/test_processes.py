"""The real processes, over real sockets."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

from nbmlops import serving

from . import bundles
from .processes import PATIENCE, Load, config, listening, process, scorer, worker

pytestmark = pytest.mark.integration
ROOT = Path(serving.__file__).parents[2]
ONE = {"inputs": {"x": [1.0]}}
ROW = {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}}


@pytest.fixture
def short():
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def raw(url: str, content: bytes, patience: float = PATIENCE) -> bytes:
    """Send bytes and return what comes back until the other side closes."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        connection.sendall(content)
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
        return b"".join(chunks)


def test_a_scorer_from_first_line_to_last(made):
    with listening() as (listener, url), scorer(listener) as process_:
        assert process_.order(op="nonsense")["code"] == "unknown_order"
        assert process_.order(op="configure", config={})["code"] == "invalid_configuration"
        done = process_.order(op="configure", config=config({"name": "3", "bundle": str(made("ten"))}, token="t"))
        assert done["ok"]
        assert done["arms"][0]["ready"]
        assert requests.get(f"{url}/ping", timeout=PATIENCE).status_code == 200
        answer = requests.post(f"{url}/invocations", json=ONE, headers={"Authorization": "Bearer t"}, timeout=PATIENCE)
        assert answer.json() == {"predictions": [11.0]}
        assert requests.post(f"{url}/invocations", json=ONE, timeout=PATIENCE).status_code == 401
        stats = process_.order(op="stats")
        assert stats["ok"]
        assert stats["stats"]["arms"]["3"]["requests"] == 1
        assert process_.end() == 0


def test_connections_wait_until_the_scorer_is_configured(made):
    with listening() as (listener, url), scorer(listener) as process_, Load(url, ONE, threads=1) as load:
        assert not load.answers
        process_.order(op="configure", config=config({"name": "1", "bundle": str(made("ten"))}))
        load.more(1)
    assert load.answers[0].json() == {"predictions": [11.0]}


def test_malformed_orders_are_answered(made):
    with listening() as (listener, _), scorer(listener) as process_:
        for line in (b"{\n", b"[]\n", b"\xff\n"):
            process_.popen.stdin.write(line)
            process_.popen.stdin.flush()
            assert process_.read()["code"] == "malformed_order"
        assert process_.order(op="stats")["ok"]


def test_swapping_versions_under_load_fails_no_request(made):
    with listening() as (listener, url), scorer(listener) as process_:
        process_.order(op="configure", config=config({"name": "0", "bundle": str(made("ten"))}))
        with Load(url, ONE) as load:
            for number in range(1, 6):
                bundle = made("ten" if number % 2 == 0 else "twenty")
                assert process_.order(op="configure", config=config({"name": str(number), "bundle": str(bundle)}))["ok"]
                load.more(30)
    assert [answer for answer in load.answers if isinstance(answer, Exception) or answer.status_code != 200] == []
    for answer in load.answers:
        expected = 11.0 if int(answer.headers["x-nbmlops-version"]) % 2 == 0 else 21.0
        assert answer.json() == {"predictions": [expected]}


@pytest.mark.parametrize("way", ["stdin", "drain", "sigterm"])
def test_it_finishes_what_is_in_flight_before_it_ends(short, way):
    bundle = bundles.sklearn_bundle(short / "b", bundles.Sleeps(1.0), serialization="cloudpickle")
    with listening() as (listener, url), scorer(listener) as process_:
        process_.order(op="configure", config=config({"name": "1", "bundle": str(bundle)}))
        with Load(url, ROW, threads=1) as load:
            deadline = time.monotonic() + PATIENCE
            while process_.order(op="stats")["stats"]["in_flight"] < 1:
                assert time.monotonic() < deadline
            load._stop.set()  # one more request would wait for a server that is gone
            if way == "stdin":
                process_.popen.stdin.close()
            elif way == "drain":
                assert process_.order(op="drain")["ok"]
            else:
                process_.popen.send_signal(signal.SIGTERM)
            process_.popen.wait(PATIENCE)
    assert load.answers[0].json() == {"predictions": [0.0]}


@pytest.mark.parametrize("package", ["nbmlops.serving", "nbmlops_serving"])
def test_a_worker_serves_and_comes_back(made, short, package):
    env = {}
    if package == "nbmlops_serving":
        shutil.copytree(Path(serving.__file__).parent, short / "lib" / package)
        env = {"PYTHONPATH": str(short / "lib")}
    path = short / "w"
    with listening() as (listener, url), scorer(listener) as process_:
        with worker(made("skops"), path, package, env=env) as first:
            arm = {"name": "1", "bundle": str(made("skops")), "socket": str(path)}
            assert process_.order(op="configure", config=config(arm))["ok"]
            before = requests.post(f"{url}/invocations", json=ROW, timeout=PATIENCE)
            assert before.json()["predictions"] == bundles.fitted().predict(bundles_row()).tolist()
            first.popen.kill()
            first.popen.wait(PATIENCE)
        with worker(made("skops"), path, package, env=env) as second:
            after = requests.post(f"{url}/invocations", json=ROW, timeout=PATIENCE)
            assert after.json() == before.json()
            assert second.end() == 0
            assert not path.exists()


def bundles_row():
    import pandas as pd

    return pd.DataFrame(**ROW["dataframe_split"])


def test_without_its_worker_an_arm_is_refused(made, short, monkeypatch):
    with listening() as (listener, _), scorer(listener) as process_:
        arm = {"name": "1", "bundle": str(made("skops")), "socket": str(short / "none")}
        assert process_.order(op="configure", config=config(arm))["code"] == "worker_unreachable"


def test_a_worker_that_can_not_load_its_model_says_why(short):
    bundle = bundles.constant_bundle(short / "b", 1.0)
    (bundle / "model.onnx").write_bytes(b"changed")
    with process("-m", "nbmlops.serving.worker", "--bundle", str(bundle), "--socket", str(short / "w")) as failed:
        assert failed.read() | {"error": ""} == {"ready": False, "code": "corrupt_bundle", "error": ""}
        assert failed.popen.wait(PATIENCE) == 1


def test_it_runs_under_another_name_where_nbmlops_can_not_be_imported(made, short):
    shutil.copytree(Path(serving.__file__).parent, short / "nbmlops_serving")
    (short / "token").write_text("t\n")
    isolated = (
        f"import sys, runpy; sys.path[:] = [p for p in sys.path if 'main' not in p or 'site-packages' in p];"
        f"sys.path.insert(0, {str(short)!r}); sys.modules['nbmlops'] = None;"
        f"sys.argv[0] = 'serving'; runpy.run_module('nbmlops_serving', run_name='__main__', alter_sys=True)"
    )
    arguments = ["--bundle", str(made("onnx")), "--port", "0", "--token-file", str(short / "token")]
    arguments += ["--model", "flights", "--version", "3"]
    with process("-I", "-c", isolated, *arguments, cwd=short) as standalone:
        url = standalone.line().split()[-1]
        headers = {"Authorization": "Bearer t"}
        answer = requests.post(f"{url}/invocations", json=ROW, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200
        assert requests.get(f"{url}/version", headers=headers, timeout=PATIENCE).json()["endpoint"] == "flights"
        assert requests.get(f"{url}/version", timeout=PATIENCE).status_code == 401
        standalone.popen.send_signal(signal.SIGTERM)
        standalone.popen.wait(PATIENCE)


@pytest.mark.parametrize("alone", [True, False])
def test_an_asset_is_found_by_its_relative_path(short, alone):
    bundles.sklearn_bundle(short / "b", bundles.Reads(), serialization="cloudpickle")
    (short / "b" / "assets" / "data").mkdir(parents=True)
    (short / "b" / "assets" / "data" / "offset.txt").write_text("7")
    with contextlib.ExitStack() as stack:
        if alone:  # by a relative path too, as an image starts it
            arguments = ["-m", "nbmlops.serving", "--bundle", "b", "--port", "0", "--no-auth"]
            standalone = stack.enter_context(process(*arguments, cwd=short, env={"PYTHONPATH": str(ROOT)}))
            url = standalone.line().split()[-1]
        else:
            listener, url = stack.enter_context(listening())
            stack.enter_context(worker(short / "b", short / "w", cwd=short))
            scoring = stack.enter_context(scorer(listener))
            arm = {"name": "1", "bundle": str(short / "b"), "socket": str(short / "w")}
            scoring.order(op="configure", config=config(arm))
        answer = requests.post(f"{url}/invocations", json=ROW, timeout=PATIENCE)
        assert answer.json() == {"predictions": [7.0]}


@pytest.mark.parametrize("token", [None, ""])
def test_standalone_refuses_to_serve_without_a_token(made, short, token):
    if token is not None:
        (short / "token").write_text(token)
    command = [sys.executable, "-m", "nbmlops.serving", "--bundle", str(made("ten")), "--port", "0"]
    done = subprocess.run(
        [*command, "--token-file", str(short / "token")], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "invalid_configuration" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2


@pytest.fixture(scope="module")
def live(made):
    with listening() as (listener, url), scorer(listener) as process_:
        limits = {"body_bytes": 100_000, "timeout_s": 2.0, "read_s": 1.0}
        process_.order(op="configure", config=config({"name": "1", "bundle": str(made("ten"))}, limits=limits))
        yield url


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: 60000000\r\n"
         b"connection: close\r\n\r\n", b"413"),
        (b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5\r\n"
         b"connection: close\r\n\r\n{}", b"408"),
        (b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
         b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
         b"5\r\n{\"inp\r\n11\r\nuts\":{\"x\":[1.0]}}\r\n0\r\n\r\n",
         b"200"),
        (b"GET /ping HTTP/1.0\r\n\r\n", b"200"),
        (b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: abc\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)  # fmt: skip
def test_odd_requests_are_answered(live, request_, status):
    assert raw(live, request_).split()[1] == status


def test_pipelined_requests_are_answered_in_order(live):
    body = json.dumps(ONE).encode()
    head = (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        % len(body)
    )
    answer = raw(live, head + b"\r\n" + body + head + b"connection: close\r\n\r\n" + body)
    assert answer.count(b'{"predictions":[11.0]}') == 2


def test_a_large_body_is_refused_and_the_server_lives(live):
    answer = requests.post(
        f"{live}/invocations", data=b"x" * 5_000_000, headers={"content-type": "application/json"}, timeout=PATIENCE
    )
    assert answer.status_code == 413
    assert requests.post(f"{live}/invocations", json=ONE, timeout=PATIENCE).status_code == 200


def test_half_closed_connections_are_answered(live):
    host, port = live.removeprefix("http://").split(":")
    body = json.dumps(ONE).encode()
    head = (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        % len(body)
    )
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(head + b"connection: close\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    # A caller that shut its side may be let go, but is never left hanging.
    assert received == b"" or b"200 OK" in received


def test_the_token_is_in_no_output(made, short):
    log = short / "log"
    with log.open("wb") as stream, listening() as (listener, url):
        fd = listener.fileno()
        popen = subprocess.Popen(
            [sys.executable, "-m", "nbmlops.serving.scorer", "--fd", str(fd)],
            stdin=subprocess.PIPE, stdout=stream, stderr=stream, pass_fds=(fd,),
        )  # fmt: skip
        try:
            arm = {"name": "1", "bundle": str(made("ten"))}
            order = {"op": "configure", "config": config(arm, token="very-secret-token")}
            popen.stdin.write(json.dumps(order).encode() + b"\n")
            popen.stdin.flush()
            headers = {"Authorization": "Bearer very-secret-token"}
            for path in ("/version?token=very-secret-token", "/metrics", "/docs", "/nothing?very-secret-token"):
                assert "very-secret-token" not in requests.get(f"{url}{path}", headers=headers, timeout=PATIENCE).text
            requests.post(f"{url}/invocations", data=b"{", headers=headers, timeout=PATIENCE)
        finally:
            popen.stdin.close()
            popen.wait(PATIENCE)
    assert b"very-secret-token" not in log.read_bytes()
    assert log.stat().st_size > 0
