"""Runs and logged models: what a registration writes before its version becomes visible."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbmlops.journal.operations import ABANDONED, is_alive, this_process
from nbmlops.registry import mlflow_door
from nbmlops.registry.connection import EXPERIMENT, Connection
from nbmlops.registry.dataset import Dataset
from nbmlops.registry.records import PREFIX

PAGE = 200
PROCESS = f"{PREFIX}process"


@dataclass(frozen=True)
class NewModel:
    """A logged model that is being written."""

    model_id: str
    run_id: str
    location: str


class Tracking:
    """MLflow's runs and logged models.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def start_run(self, name: str, tags: Mapping[str, str]) -> str:
        """Open a run and return its identifier; it remembers its process, so that a killed one's run is known."""
        everything = {**tags, PROCESS: json.dumps(this_process())}
        with self.connection.errors():
            run = self.connection.client.create_run(self.connection.experiment_id, run_name=name, tags=everything)
        return str(run.info.run_id)

    def log(
        self, run_id: str, *, params: Mapping[str, str] | None = None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Log parameters and metrics in one call."""
        entities = mlflow_door.module("entities")
        now = int(time.time() * 1000)
        values = [entities.Metric(key, float(value), now, 0) for key, value in (metrics or {}).items()]
        settings = [entities.Param(key, value) for key, value in (params or {}).items()]
        with self.connection.errors():
            self.connection.client.log_batch(run_id, metrics=values, params=settings)

    def log_dataset(self, run_id: str, dataset: Dataset) -> None:
        """Log a dataset as the run's training input."""
        entities = mlflow_door.module("entities")
        tags = [
            entities.InputTag("mlflow.data.context", "training"),
            entities.InputTag(f"{PREFIX}digest", dataset.full_digest),
        ]
        made = entities.Dataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type=EXPERIMENT,
            source=dataset.source,
            schema=dataset.schema,
            profile=dataset.profile,
        )
        with self.connection.errors():
            self.connection.client.log_inputs(run_id, [entities.DatasetInput(made, tags)])

    def upload(self, run_id: str, folder: Path, path: str) -> None:
        """Store the files of `folder` as the run's artifacts below `path`."""
        with self.connection.errors():
            self.connection.client.log_artifacts(run_id, str(folder), path)

    def finish_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Close a run; `status` is ``FINISHED``, ``FAILED`` or ``KILLED``."""
        with self.connection.errors(), _no_links():
            self.connection.client.set_terminated(run_id, status)

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted."""
        with self.connection.errors():
            self.connection.client.delete_run(run_id)

    def metrics(self, run_ids: set[str]) -> dict[str, dict[str, float]]:
        """Return run -> metrics of the runs that exist."""
        wanted = sorted(run_ids - {""})
        found: dict[str, dict[str, float]] = {}
        with self.connection.errors():
            if not wanted:
                return found
            experiments = [e.experiment_id for e in self.connection.client.search_experiments()]
            for start in range(0, len(wanted), PAGE):
                listed = ", ".join(f"'{run_id}'" for run_id in wanted[start : start + PAGE])
                runs = self.connection.client.search_runs(
                    experiments, f"attributes.run_id IN ({listed})", max_results=PAGE
                )
                found |= {run.info.run_id: dict(run.data.metrics) for run in runs}
        return found

    # Logged models

    def start_model(self, name: str, run_id: str) -> NewModel:
        """Make a logged model, still pending, as the run's output."""
        entities = mlflow_door.module("entities")
        client = self.connection.client
        with self.connection.errors():
            made = client.create_logged_model(self.connection.experiment_id, name=name, source_run_id=run_id)
            client.log_outputs(run_id, [entities.LoggedModelOutput(made.model_id, step=0)])
        return NewModel(str(made.model_id), run_id, str(made.artifact_location))

    def finish_model(self, model: NewModel, folder: Path) -> None:
        """Upload the model's files and mark it as ready."""
        with self.connection.errors():
            self.connection.client.log_model_artifacts(model.model_id, str(folder))
            self.connection.client.finalize_logged_model(model.model_id, "READY")

    def fail_model(self, model_id: str) -> None:
        """Mark a logged model as failed."""
        with self.connection.errors():
            self.connection.client.finalize_logged_model(model_id, "FAILED")

    # What a killed process left

    def abandoned_runs(self) -> list[str]:
        """Return the open runs of nbmlops whose process died, or is elsewhere and they are older than a day."""
        with self.connection.errors():
            running = self.connection.client.search_runs(
                [self.connection.experiment_id], "attributes.status = 'RUNNING'", max_results=1000
            )
        return [run.info.run_id for run in running if PROCESS in run.data.tags and _is_abandoned(run)]

    def fail_models_of(self, run_id: str) -> None:
        """Mark the logged models of a run as failed."""
        with self.connection.errors():
            found = self.connection.client.search_logged_models(
                [self.connection.experiment_id], f"source_run_id = '{run_id}'"
            )
        for model in found:
            self.fail_model(model.model_id)

    # Files

    def run_files(self, run_id: str, path: str, cache: Path) -> Path:
        """Return a local folder with the run's artifacts below `path`: the store's own, or a copy in `cache`."""
        with self.connection.errors():
            location = str(self.connection.client.get_run(run_id).info.artifact_uri)
        return self.local(f"{location}/{path}", cache)

    def local(self, location: str, cache: Path) -> Path:
        """Return a local folder with what is at `location`: the folder itself, or a copy in `cache`."""
        plain = location.removeprefix("file://")
        if "://" not in plain and plain.startswith("/"):
            return Path(plain)
        registries = mlflow_door.module("store.artifact.artifact_repository_registry")
        cache.mkdir(parents=True, exist_ok=True)
        with self.connection.errors():
            repository = registries.get_artifact_repository(location, tracking_uri=self.connection.uri)
            return Path(repository.download_artifacts("", str(cache)))


def _is_abandoned(run: Any) -> bool:
    alive = is_alive(json.loads(run.data.tags[PROCESS]))
    if alive is None:
        return datetime.now(UTC) - datetime.fromtimestamp(run.info.start_time / 1000, UTC) > ABANDONED
    return not alive


@contextmanager
def _no_links() -> Iterator[None]:
    """Keep MLflow from printing the run's address when it is closed."""
    name = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
