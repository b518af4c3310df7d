"""The peers: how each is installed, started and asked. Every one has one worker process and its own defaults."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline

from . import models, payloads
from .processes import Running, first_answer, free_port, started

ROOT = Path(__file__).resolve().parent.parent.parent
SERVERS = Path(__file__).resolve().parent / "servers"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Files:
    """The models on disk: the same for every server.

    Attributes
    ----------
    folder : pathlib.Path
        Where servers may write; removed at the end.
    onnx, pickle : mapping of str to pathlib.Path
        By kind of model, ``boosting`` and ``forest``.
    fitted : mapping of str to Pipeline
    """

    folder: Path
    onnx: Mapping[str, Path]
    pickle: Mapping[str, Path]
    fitted: Mapping[str, Pipeline]


@dataclass(frozen=True)
class Launch:
    """What starts a server: a command, in a folder, with an environment."""

    command: list[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    Attributes
    ----------
    name : str
    library : str
        What it is a way of using; the environment ``.venv-<library>`` holds it, or ours where that is "".
    runtime : str
        ``onnx``, ``sklearn`` or ``none``.
    launch : callable
        From the model's files and a port to what starts it.
    path : str
        Of the route that scores.
    bodies : callable
        From a table to one request body a row.
    labels : callable
        From an answer's JSON to the labels.
    model : str
        ``boosting`` or ``forest``.
    batching : bool
        Whether it gathers requests into one call of the model.
    environment : str
        The environment's name.
    """

    name: str
    library: str
    runtime: str
    launch: Callable[[Files, int], Launch]
    path: str
    bodies: payloads.Payloads
    labels: payloads.Labels
    model: str = "boosting"
    batching: bool = False
    environment: str = ""

    @property
    def installed(self) -> bool:
        """Whether its environment is there."""
        return interpreter(self.environment).exists()

    @contextlib.contextmanager
    def serve(self, files: Files) -> Iterator[Running]:
        """Run it; yield it when it has scored a row."""
        port = free_port()
        launch = self.launch(files, port)
        log = files.folder / f"{self.name}.log".replace("/", " ")
        url = f"http://127.0.0.1:{port}{self.path}"
        body = self.bodies(models.table(1))[0]
        began = time.perf_counter()
        environment = {"PYTHONUNBUFFERED": "1", **launch.environment}
        with started(launch.command, folder=launch.folder, log=log, environment=environment) as pid:
            seconds = first_answer(url, JSON, body, began=began, log=log)
            yield Running(url, JSON, (pid,), seconds)


def interpreter(environment: str) -> Path:
    """Return the Python of an environment; ours for ""."""
    return ROOT / f".venv-{environment}" / "bin/python" if environment else Path(sys.executable)


def _hello(files: Files, port: int) -> Launch:
    return Launch([sys.executable, str(SERVERS / "hello.py"), str(port)], files.folder)


def _fastapi(kind: str) -> Callable[[Files, int], Launch]:
    def launch(files: Files, port: int) -> Launch:
        command = [str(interpreter("fastapi")), str(SERVERS / "fastapi_server.py"), str(port)]
        return Launch(command, files.folder, {"MODEL": str(_model(files, kind))})

    return launch


def _model(files: Files, kind: str, model: str = "boosting") -> Path:
    return files.onnx[model] if kind == "onnx" else files.pickle[model]


def _mlflow(kind: str) -> Callable[[Files, int], Launch]:
    def launch(files: Files, port: int) -> Launch:
        folder = files.folder / f"mlflow-{kind}"
        if not folder.exists():
            _save_mlflow(files, kind, folder)
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
        # It starts uvicorn by its name.
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return Launch([*command, "-p", str(port)], files.folder, {"PATH": paths, "MLFLOW_DISABLE_TELEMETRY": "true"})

    return launch


def _save_mlflow(files: Files, kind: str, folder: Path) -> None:
    """Write an MLflow model; the requirements are named, since guessing them takes 20 seconds and serves nobody."""
    import mlflow.onnx
    import mlflow.sklearn
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import Schema, TensorSpec

    if kind == "sklearn":
        data, model = models.table(5), files.fitted["boosting"]
        mlflow.sklearn.save_model(
            model,
            folder,
            serialization_format="cloudpickle",
            signature=infer_signature(data, model.predict(data)),
            pip_requirements=["scikit-learn"],
        )
        return
    kinds = ((np.dtype("float64"), len(models.NUMBERS)), (np.dtype("O"), len(models.TEXTS)))
    inputs = [
        TensorSpec(kind, (-1, width), name) for name, (kind, width) in zip(models.DEPLOYED_INPUTS, kinds, strict=True)
    ]
    mlflow.onnx.save_model(
        onnx.load(files.onnx["boosting"]),
        folder,
        signature=ModelSignature(Schema(inputs)),
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=["onnxruntime"],
    )


def _mlserver(kind: str, model: str = "boosting", *, batching: bool = False) -> Callable[[Files, int], Launch]:
    def launch(files: Files, port: int) -> Launch:
        folder = files.folder / f"mlserver-{port}"
        folder.mkdir()
        server: dict[str, Any] = {"host": "127.0.0.1", "http_port": port, "parallel_workers": 0, "debug": False}
        server |= {"grpc_port": free_port(), "metrics_port": free_port()}
        settings: dict[str, Any] = {"name": "m", "parameters": {"uri": str(_model(files, kind, model))}}
        settings["implementation"] = "mlserver_onnx.OnnxModel" if kind == "onnx" else "mlserver_sklearn.SKLearnModel"
        if batching:
            settings |= {"max_batch_size": 64, "max_batch_time": 0.005}
        (folder / "settings.json").write_text(json.dumps(server))
        (folder / "model-settings.json").write_text(json.dumps(settings))
        command = [str(interpreter("mlserver").parent / "mlserver"), "start", "."]
        return Launch(command, folder, {"PYTHONPATH": str(SERVERS)})

    return launch


def _bentoml(kind: str, model: str = "boosting", *, batching: bool = False) -> Callable[[Files, int], Launch]:
    def launch(files: Files, port: int) -> Launch:
        service = f"bentoml_services:{'Batching' if batching else 'Plain'}"
        python = interpreter("bentoml")
        command = [str(python), "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            "MODEL": str(_model(files, kind, model)),
            "BENTOML_HOME": str(files.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "1",
            "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        }
        return Launch(command, SERVERS, environment)

    return launch


def _tensor(answer: Any) -> list[int]:
    return [int(value) for value in answer["outputs"][0]["data"]]


MLSERVER: dict[str, Any] = {
    "library": "MLServer",
    "environment": "mlserver",
    "path": "/v2/models/m/infer",
    "bodies": payloads.inference,
    "labels": _tensor,
}
BENTOML: dict[str, Any] = {
    "library": "BentoML",
    "environment": "bentoml",
    "path": "/predict",
    "bodies": payloads.bento,
    "labels": list,
}
FASTAPI: dict[str, Any] = {
    "library": "FastAPI",
    "environment": "fastapi",
    "path": "/predict",
    "bodies": payloads.record,
    "labels": lambda answer: [answer["label"]],
}
MLFLOW: dict[str, Any] = {"library": "MLflow", "path": "/invocations"}
HELLO = Peer("hello-world ASGI", "", "none", _hello, "/", payloads.mlflow_split, lambda answer: [])

PEERS = (
    HELLO,
    Peer("FastAPI, ONNX", runtime="onnx", launch=_fastapi("onnx"), **FASTAPI),
    Peer("FastAPI, scikit-learn", runtime="sklearn", launch=_fastapi("sklearn"), **FASTAPI),
    Peer(
        "MLflow, ONNX",
        runtime="onnx",
        launch=_mlflow("onnx"),
        bodies=payloads.mlflow_inputs,
        labels=lambda answer: [int(row) for row in answer["predictions"]["label"]],
        **MLFLOW,
    ),
    Peer(
        "MLflow, scikit-learn",
        runtime="sklearn",
        launch=_mlflow("sklearn"),
        bodies=payloads.mlflow_split,
        labels=lambda answer: list(answer["predictions"]),
        **MLFLOW,
    ),
    Peer("MLServer, ONNX", runtime="onnx", launch=_mlserver("onnx"), **MLSERVER),
    Peer(
        "MLServer, ONNX, batching",
        runtime="onnx",
        launch=_mlserver("onnx", batching=True),
        batching=True,
        **MLSERVER,
    ),
    Peer("MLServer, scikit-learn", runtime="sklearn", launch=_mlserver("sklearn"), **MLSERVER),
    Peer(
        "MLServer, scikit-learn, batching",
        runtime="sklearn",
        launch=_mlserver("sklearn", batching=True),
        batching=True,
        **MLSERVER,
    ),
    Peer("BentoML, ONNX", runtime="onnx", launch=_bentoml("onnx"), **BENTOML),
    Peer(
        "BentoML, ONNX, batching",
        runtime="onnx",
        launch=_bentoml("onnx", batching=True),
        batching=True,
        **BENTOML,
    ),
    Peer("BentoML, scikit-learn", runtime="sklearn", launch=_bentoml("sklearn"), **BENTOML),
    Peer(
        "BentoML, scikit-learn, batching",
        runtime="sklearn",
        launch=_bentoml("sklearn", batching=True),
        batching=True,
        **BENTOML,
    ),
    Peer(
        "MLServer, forest, batching",
        runtime="sklearn",
        model="forest",
        launch=_mlserver("sklearn", "forest", batching=True),
        batching=True,
        **MLSERVER,
    ),
    Peer(
        "BentoML, forest, batching",
        runtime="sklearn",
        model="forest",
        launch=_bentoml("sklearn", "forest", batching=True),
        batching=True,
        **BENTOML,
    ),
)
