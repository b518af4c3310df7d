"""What a single row costs over HTTP: the scoring server against `mlflow models serve` and a server that says hello.

The model is a scaler, one-hot encoding and gradient boosting of 100 trees over 23 columns. All servers hold it at once
and take turns under load; every request carries another row. nbmlops serves with its token and metrics on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import harness
import mlflow.sklearn
import numpy as np
import pandas as pd
import psutil
import requests
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.core.digests import canonical
from nbmlops.profiling.load import drive

NUMBERS, TEXTS = [f"number_{place}" for place in range(20)], [f"text_{place}" for place in range(3)]
SECONDS = 2.0
LEVELS = (1, 32)
PATIENCE = 120.0
TOKEN = "benchmark"
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "onnxruntime", "scikit-learn", "mlflow")
HELLO = """
import sys, socket, uvicorn
async def application(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
config = uvicorn.Config(application, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_config=None)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


@dataclass
class Server:
    """A running server: its address, its processes and how long it took to its first answer."""

    url: str
    process: subprocess.Popen[bytes]
    seconds: float = 0.0

    def rss_mib(self) -> float:
        """Return the resident memory of the server and its children, in MiB."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return sum(member.memory_info().rss for member in family) / 2**20


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    numbers = {name: random.normal(size=rows) for name in NUMBERS}
    return pd.DataFrame(numbers | {name: random.choice(list("ABCDEFGH"), rows) for name in TEXTS})


def fitted() -> Pipeline:
    data = table(3_000)
    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), TEXTS))
    return make_pipeline(columns, GradientBoostingClassifier()).fit(data, data["number_0"] + data["number_1"] > 0)


def bundle(folder: Path, name: str, content: bytes, **manifest: Any) -> Path:
    folder.mkdir()
    (folder / name).write_bytes(content)
    inputs = [{"name": column, "type": "double"} for column in NUMBERS]
    inputs += [{"name": column, "type": "string"} for column in TEXTS]
    document = {
        "format": 1,
        "signature": {"inputs": inputs, "task": "classification", "classes": [False, True]},
        "files": {name: "sha256:" + hashlib.sha256(content).hexdigest()},
        **manifest,
    }
    (folder / "bundle.json").write_bytes(canonical(document))
    return folder


def onnx_bundle(folder: Path, model: Pipeline) -> Path:
    types = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    types += [(name, StringTensorType([None, 1])) for name in TEXTS]
    content = to_onnx(model, initial_types=types, options={"zipmap": False}).SerializeToString()
    interface = {
        "inputs": [{"name": name, "column": name} for name in NUMBERS + TEXTS],
        "label_output": "label",
        "probability_output": "probabilities",
    }
    return bundle(folder, "model.onnx", content, runtime="onnx", model={"path": "model.onnx"}, onnx=interface)


def sklearn_bundle(folder: Path, model: Pipeline) -> Path:
    facts = {"path": "model.pkl", "serialization": "cloudpickle"}
    return bundle(folder, "model.pkl", cloudpickle.dumps(model), runtime="sklearn", model=facts)


@contextlib.contextmanager
def running(command: list[str], port: int, **more: Any) -> Iterator[Server]:
    """Start a server that will answer on a port; end it with all its children."""
    url = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    server = Server(url, process)
    try:
        yield replace(server, seconds=began)
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(PATIENCE)
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()


def first_answer(server: Server, body: bytes) -> Server:
    """Ask until the server scores a row; return it with the seconds that took."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    while time.perf_counter() < server.seconds + PATIENCE:
        with contextlib.suppress(requests.ConnectionError):
            if requests.post(f"{server.url}/invocations", data=body, headers=headers, timeout=PATIENCE).ok:
                return replace(server, seconds=time.perf_counter() - server.seconds)
        time.sleep(0.01)
    raise TimeoutError(f"{server.url} never answered")


@contextlib.contextmanager
def scorer(path: Path, body: bytes) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "nbmlops.serving.scorer", "--fd", str(descriptor)]
        with running(command, listener.getsockname()[1], pass_fds=(descriptor,), stdin=subprocess.PIPE) as server:
            arm = {"name": "1", "model": "m", "version": "1", "bundle": str(path)}
            order = {"op": "configure", "config": {"endpoint": "e", "token": TOKEN, "arms": [arm]}}
            assert server.process.stdin is not None
            server.process.stdin.write(json.dumps(order).encode() + b"\n")
            server.process.stdin.flush()
            yield first_answer(server, body)


@contextlib.contextmanager
def hello(body: bytes) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-c", HELLO, str(descriptor)]
        with running(command, listener.getsockname()[1], pass_fds=(descriptor,)) as server:
            yield first_answer(server, body)


@contextlib.contextmanager
def mlflow_server(folder: Path, model: Pipeline, body: bytes) -> Iterator[Server]:
    data = table(5)
    signature = infer_signature(data, model.predict(data))
    mlflow.sklearn.save_model(model, folder, serialization_format="cloudpickle", signature=signature)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]  # mlflow takes no socket, only a port that was free a moment ago
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    # It starts uvicorn by its name.
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with running([*command, "-p", str(port)], port, env=os.environ | {"PATH": paths}) as server:
        yield first_answer(server, body)


def bodies(count: int = 500) -> list[bytes]:
    rows = table(count, seed=7)
    return [
        json.dumps({"dataframe_split": {"columns": list(rows), "data": [list(row)]}}).encode()
        for row in rows.itertuples(index=False)
    ]


def rate(server: Server, sent: list[bytes], connections: int) -> Callable[[], float]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}

    def measure() -> float:
        measured = drive(f"{server.url}/invocations", headers, sent, connections=connections, seconds=SECONDS)
        assert not measured.errors, measured.errors
        return measured.rps

    return measure


def main() -> None:
    model, sent = fitted(), bodies()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        enter = stack.enter_context
        servers = {
            "hello-world ASGI": enter(hello(sent[0])),
            "nbmlops, ONNX": enter(scorer(onnx_bundle(folder / "onnx", model), sent[0])),
            "nbmlops, scikit-learn": enter(scorer(sklearn_bundle(folder / "sklearn", model), sent[0])),
            "mlflow models serve": enter(mlflow_server(folder / "mlflow", model, sent[0])),
        }
        results = []
        for connections in LEVELS:
            cases = {name: rate(server, sent, connections) for name, server in servers.items()}
            title = f"Requests of one row a second, {connections} connection{'s' if connections > 1 else ''}"
            found = harness.compare(title, cases, unit="requests/s")
            goal = "ONNX at least 0.65 of hello-world at 32 connections, at least 100 times mlflow's best"
            results.append(
                replace(found, peer="mlflow models serve", more_is_better=True, goal=goal, packages=PACKAGES)
            )
            share = found.median("nbmlops, ONNX") / found.median("hello-world ASGI")
            print(f"{connections}: ONNX is {share:.2f} of hello-world", file=sys.stderr)
        harness.report(*results)
        for name, server in servers.items():
            print(f"{name}: first answer after {server.seconds:.2f} s, {server.rss_mib():.0f} MiB")


if __name__ == "__main__":
    main()
