"""What a killed registration leaves, and how it is put in order."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nbmlops.core.errors import StorageError
from nbmlops.journal import Journal
from nbmlops.registry import Registry
from nbmlops.registry.versions import Versions
from tests.registry.conftest import Fitted, open_registry

# Each child kills itself with SIGKILL when it comes to the named step; forked, so that MLflow is imported once.
DRIVER = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np, pandas as pd
    from sklearn.linear_model import LogisticRegression
    from nbmlops.capture import capture
    from nbmlops.core.workspace import Workspace
    from nbmlops.journal import Journal
    from nbmlops.registry import Registration, Registry
    from nbmlops.registry import mlflow_door
    from nbmlops.registry.tracking import Tracking
    from nbmlops.registry.versions import Versions

    data = pd.DataFrame({"wind": np.arange(20.0), "late": [0, 1] * 10})
    model = LogisticRegression().fit(data[["wind"]], data["late"])
    captured = capture(model, data)
    mlflow_door.module("pyfunc")
    Client = mlflow_door.module().MlflowClient
    OWNERS = {"Tracking": Tracking, "Versions": Versions, "MlflowClient": Client}

    def die(*arguments, **settings):
        os.kill(os.getpid(), signal.SIGKILL)

    for step in sys.argv[2:]:
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == signal.SIGKILL, step
            continue
        workspace = Workspace(Path(sys.argv[1]) / step).open()
        journal = Journal.open(workspace)
        owner, name = step.split(".")
        setattr(OWNERS[owner], name, die)
        with journal.operation("model.registered", "model/flights", {"name": "flights"}) as operation:
            registration = Registration("flights", captured, data=data, label="late", operation=operation.id)
            Registry(workspace, journal).register(model, registration)
"""

BEFORE_IT_IS_VISIBLE = [
    "Tracking.start_run",
    "Tracking.log_dataset",
    "Tracking.start_model",
    "Tracking.upload",
    "Tracking.finish_model",
    "MlflowClient.finalize_logged_model",
    "Versions.create",
    "MlflowClient.create_model_version",
]
AFTERWARDS = "Tracking.finish_run"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one workspace for each step, left by a process that was killed there."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(folder), *BEFORE_IT_IS_VISIBLE, AFTERWARDS]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.integration
@pytest.mark.parametrize("step", BEFORE_IT_IS_VISIBLE)
def test_a_killed_registration_leaves_nothing_that_looks_registered(killed: Path, step: str, fitted: Fitted) -> None:
    registry = open_registry(killed / step)
    assert registry.names() == []
    assert [event.kind for event in registry.reconcile()] == ["operation.interrupted"]
    assert registry.reconcile() == []
    client, experiment = registry.connection.client, registry.connection.experiment_id
    assert {run.info.status for run in client.search_runs([experiment])} <= {"FAILED"}
    assert {model.status.name for model in client.search_logged_models([experiment])} <= {"FAILED"}
    assert list(client.search_registered_models()) == []
    assert list(registry.workspace.cache.glob("registering-*")) == []
    assert registry.register(fitted.model, fitted.registration("flights")).version == 1


@pytest.mark.integration
def test_a_registration_killed_after_it_was_visible_is_completed(killed: Path) -> None:
    registry = open_registry(killed / AFTERWARDS)
    (event,) = registry.reconcile()
    assert (event.kind, event.subject) == ("model.registered", "model/flights/1")
    assert event.data["reconciled"] is True
    assert registry.reconcile() == []
    version = registry.version("flights")
    assert registry.connection.client.get_run(version.run_id).info.status == "FINISHED"


def test_a_failed_registration_leaves_a_failed_run_and_no_version(
    registry: Registry, fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Versions, "create", full)
        with pytest.raises(StorageError, match="disk is full"):
            registry.register(fitted.model, fitted.registration("flights"))
    assert registry.names() == []
    client, experiment = registry.connection.client, registry.connection.experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["FAILED"]
    assert [model.status.name for model in client.search_logged_models([experiment])] == ["FAILED"]
    assert list(registry.workspace.cache.glob("registering-*")) == []


def test_a_living_operation_is_not_taken_for_a_change_done_elsewhere(registry: Registry, fitted: Fitted) -> None:
    journal = Journal.open(registry.workspace)
    with journal.operation("model.registered", "model/flights", {"name": "flights"}) as operation:
        made = registry.register(fitted.model, fitted.registration("flights", operation=operation.id))
        assert registry.reconcile() == []
        operation.done(f"model/{made.reference}", name=made.name, version=made.version)
    assert registry.reconcile() == []


def test_a_version_of_somebody_else_is_recorded_once(registry: Registry, fitted: Fitted) -> None:
    made = registry.register(fitted.model, fitted.registration("flights", tags={"area": "botany"}))
    (event,) = registry.reconcile()
    assert event.kind == "observed.model.registered"
    assert event.data["digest"] == made.digest
    assert event.data["tags"] == {"area": "botany"}
    assert registry.reconcile() == []
