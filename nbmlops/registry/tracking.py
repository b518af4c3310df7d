"""One adapter over MLflow's stores: the same answers whether they come from SQLite or over REST."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from nbmlops.core.errors import Corrupt, NbmlopsError, NotFound, StorageError
from nbmlops.registry import mlflow_door, template
from nbmlops.registry.dataset import Dataset
from nbmlops.registry.records import PREFIX, StoredVersion

EXPERIMENT = "nbmlops"
PAGE = 200


@dataclass(frozen=True)
class NewModel:
    """A logged model that is being written."""

    model_id: str
    run_id: str
    location: str


class Tracking:
    """MLflow's runs, logged models, versions and aliases at one address.

    Nothing global of MLflow's is read or changed: neither its tracking URI nor its active run.

    Parameters
    ----------
    uri : str
        ``sqlite:///…``, another database's URL, or ``http(s)://…``.
    artifacts : pathlib.Path
        Where files go when the store is not behind a server.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self.artifacts = artifacts

    @property
    def remote(self) -> bool:
        return self.uri.startswith(("http://", "https://", "databricks"))

    @property
    def database(self) -> Path | None:
        """The SQLite file, where the store is one."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    @cached_property
    def client(self) -> Any:
        """The ``MlflowClient``, made on first use."""
        if self.database is not None:
            template.create(self.database, self.artifacts)
        mlflow = mlflow_door.module()
        with self._errors():
            return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of ``MLFLOW_EXPERIMENT_NAME``, or ``nbmlops``, made where it does not exist."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        with self._errors():
            found = self.client.get_experiment_by_name(name)
            if found is None:
                place = None if self.remote else str(self.artifacts)
                try:
                    return str(self.client.create_experiment(name, artifact_location=place))
                except mlflow_door.module("exceptions").MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                        raise
                    found = self.client.get_experiment_by_name(name)
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)

    # Runs

    def start_run(self, name: str, tags: Mapping[str, str]) -> str:
        """Open a run and return its identifier."""
        with self._errors():
            run = self.client.create_run(self.experiment_id, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def log(
        self, run_id: str, *, params: Mapping[str, Any] | None = None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Log parameters and metrics in one call."""
        entities = mlflow_door.module("entities")
        now = int(time.time() * 1000)
        values = [entities.Metric(key, float(value), now, 0) for key, value in (metrics or {}).items()]
        settings = [entities.Param(key, str(value)) for key, value in (params or {}).items()]
        with self._errors():
            self.client.log_batch(run_id, metrics=values, params=settings)

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
        with self._errors():
            self.client.log_inputs(run_id, [entities.DatasetInput(made, tags)])

    def upload(self, run_id: str, folder: Path, path: str) -> None:
        """Store the files of `folder` as the run's artifacts below `path`."""
        with self._errors():
            self.client.log_artifacts(run_id, str(folder), path)

    def finish_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Close a run; `status` is ``FINISHED``, ``FAILED`` or ``KILLED``."""
        with self._errors(), _no_links():
            self.client.set_terminated(run_id, status)

    # Logged models and versions

    def start_model(self, name: str, run_id: str) -> NewModel:
        """Make a logged model, still pending, as the run's output."""
        entities = mlflow_door.module("entities")
        with self._errors():
            made = self.client.create_logged_model(self.experiment_id, name=name, source_run_id=run_id)
            self.client.log_outputs(run_id, [entities.LoggedModelOutput(made.model_id, step=0)])
        return NewModel(str(made.model_id), run_id, str(made.artifact_location))

    def finish_model(self, model: NewModel, folder: Path) -> None:
        """Upload the model's files and mark it as ready."""
        with self._errors():
            self.client.log_model_artifacts(model.model_id, str(folder))
            self.client.finalize_logged_model(model.model_id, "READY")

    def fail_model(self, model_id: str) -> None:
        """Mark a logged model as failed."""
        with self._errors():
            self.client.finalize_logged_model(model_id, "FAILED")

    def create_version(self, name: str, model: NewModel, tags: Mapping[str, str]) -> StoredVersion:
        """Register a finished model as the next version of `name`: the one step that makes it visible."""
        exceptions = mlflow_door.module("exceptions")
        # A server refuses paths; on a database the other spelling would be resolved with MLflow's global URI.
        source = f"models:/{model.model_id}" if self.remote else model.location
        own = {**tags, f"{PREFIX}model_id": model.model_id}
        with self._errors():
            try:
                self.client.create_registered_model(name)
            except exceptions.MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self.client.create_model_version(name, source=source, run_id=model.run_id, tags=own)
        return _stored(made, {})

    def versions(self, name: str | None = None) -> list[StoredVersion]:
        """Return all versions, or those of one model, by name and number."""
        found: list[StoredVersion] = []
        where = f"name='{name}'" if name else None
        with self._errors():
            aliases = self._aliases(name)
            token = None
            while True:
                page = self.client.search_model_versions(where, max_results=PAGE, page_token=token)
                found += [_stored(version, aliases.get(version.name, {})) for version in page]
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: (version.name, version.version))

    def version(self, name: str, number: int) -> StoredVersion | None:
        """Return one version, or None where there is none."""
        exceptions = mlflow_door.module("exceptions")
        with self._errors():
            try:
                found = self.client.get_model_version(name, str(number))
            except exceptions.MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
        return _stored(found, dict.fromkeys(found.aliases, number))

    def aliases(self, name: str) -> dict[str, int]:
        """Return alias -> version of one model."""
        with self._errors():
            return self._aliases(name).get(name, {})

    def _aliases(self, name: str | None) -> dict[str, dict[str, int]]:
        where = f"name='{name}'" if name else None
        found: dict[str, dict[str, int]] = {}
        token = None
        while True:
            page = self.client.search_registered_models(where, max_results=PAGE, page_token=token)
            found |= {model.name: {alias: int(v) for alias, v in model.aliases.items()} for model in page}
            token = page.token
            if not token:
                return found

    def set_tags(self, version: StoredVersion, tags: Mapping[str, str]) -> None:
        with self._errors():
            for key, value in tags.items():
                self.client.set_model_version_tag(version.name, str(version.version), key, value)

    def set_alias(self, version: StoredVersion, alias: str) -> None:
        with self._errors():
            self.client.set_registered_model_alias(version.name, alias, str(version.version))

    def delete_version(self, version: StoredVersion) -> None:
        with self._errors():
            self.client.delete_model_version(version.name, str(version.version))

    def delete_run(self, run_id: str) -> None:
        with self._errors():
            self.client.delete_run(run_id)

    def metrics(self, run_ids: set[str]) -> dict[str, dict[str, float]]:
        """Return run -> metrics of the runs that have any."""
        found = {}
        exceptions = mlflow_door.module("exceptions")
        with self._errors():
            for run_id in run_ids - {""}:
                try:
                    found[run_id] = dict(self.client.get_run(run_id).data.metrics)
                except exceptions.MlflowException as error:
                    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                        raise
        return found

    # Files

    def model_files(self, version: StoredVersion, cache: Path) -> Path:
        """Return a local folder with the version's model: the store's own, or a copy below `cache`."""
        with self._errors():
            location = self.client.get_model_version_download_uri(version.name, str(version.version))
        if not self.remote and "://" not in location:
            return Path(location.removeprefix("file:"))
        if location.startswith("file://"):
            return Path(location.removeprefix("file://"))
        return self._download(location, cache)

    def run_files(self, run_id: str, path: str, cache: Path) -> Path:
        """Return a local folder with the run's artifacts below `path`."""
        with self._errors():
            location = self.client.get_run(run_id).info.artifact_uri
        if not self.remote and "://" not in location:
            return Path(location) / path
        return self._download(f"{location}/{path}", cache)

    def _download(self, location: str, cache: Path) -> Path:
        repository = mlflow_door.module("store.artifact.artifact_repository_registry")
        cache.mkdir(parents=True, exist_ok=True)
        with self._errors():
            source = repository.get_artifact_repository(location, tracking_uri=self.uri)
            return Path(source.download_artifacts("", str(cache)))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn MLflow's and SQLAlchemy's errors into ours, with the address and the next step."""
        exceptions = mlflow_door.module("exceptions")
        from sqlalchemy.exc import DatabaseError

        with mlflow_door.quiet():
            try:
                yield
            except NbmlopsError:
                raise
            except (exceptions.MlflowException, DatabaseError) as error:
                raise self._translated(error) from error

    def _translated(self, error: Exception) -> NbmlopsError:
        text = str(error)
        if "malformed" in text or "not a database" in text:
            return Corrupt(f"the database {self.uri} is damaged", hint="Restore it from a copy.")
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return NotFound(text)
        return StorageError(f"MLflow at {self.uri} said: {text.splitlines()[0]}")


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


def _stored(found: Any, aliases: Mapping[str, int]) -> StoredVersion:
    number = int(found.version)  # a number on a database, text over REST
    tags = {str(key): str(value) for key, value in (found.tags or {}).items()}
    source = str(found.source or "")
    model_id = tags.get(f"{PREFIX}model_id", "")
    if not model_id and source.startswith("models:/m-"):
        model_id = source.removeprefix("models:/")
    return StoredVersion(
        name=str(found.name),
        version=number,
        run_id=str(found.run_id or ""),
        model_id=model_id,
        source=source,
        created_at=datetime.fromtimestamp(int(found.creation_timestamp) / 1000, UTC),
        tags=tags,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
    )
