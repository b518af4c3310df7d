"""Stores to test the registry on: a SQLite file, and a real ``mlflow server`` on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.linear_model import LogisticRegression

from nbmlops.capture import Captured, capture
from nbmlops.core.workspace import Workspace
from nbmlops.journal import Journal
from nbmlops.registry import Registration, Registry

STARTED_WITHIN = 120.0


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("MLFLOW_TRACKING_URI", "NBMLOPS_JOURNAL_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def server_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps files."""
    return tmp_path_factory.mktemp("server") / "artifacts"


@pytest.fixture(scope="session")
def server(server_artifacts: Path) -> Iterator[str]:
    """The address of an ``mlflow server``."""
    from nbmlops.registry import template

    folder = server_artifacts.parent
    template.create(folder / "mlflow.db", folder / "artifacts")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | quiet, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait(uri, process, folder / "log")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{uri}/health", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"mlflow server did not start:\n{log.read_text()}")


@dataclass
class Fitted:
    """A fitted model with the data and the snapshot it is registered with."""

    model: LogisticRegression
    data: pd.DataFrame
    captured: Captured

    def registration(self, name: str, **more: Any) -> Registration:
        return Registration(name, self.captured, data=self.data, label="late", **more)


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    generator = np.random.default_rng(5)
    data = pd.DataFrame(generator.normal(size=(80, 3)), columns=["hour", "wind", "rain"])
    data["late"] = (data["wind"] + data["rain"] > 0).astype(int)
    model = LogisticRegression().fit(data[["hour", "wind", "rain"]], data["late"])
    return Fitted(model, data, capture(model, data))


def open_registry(folder: Path) -> Registry:
    workspace = Workspace(folder).open()
    return Registry(workspace, Journal.open(workspace))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry on its own SQLite file."""
    return open_registry(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("rest", marks=pytest.mark.integration)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry on SQLite, and one on a server."""
    if request.param == "rest":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
    return open_registry(tmp_path)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses: the server is shared."""
    return f"m-{abs(hash(request.node.nodeid)):x}"
