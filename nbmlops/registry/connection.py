"""The way to MLflow's stores at one address, with errors that say what to do; nothing global of MLflow's is touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from nbmlops.core.errors import Corrupt, NbmlopsError, NotFound, StorageError
from nbmlops.registry import mlflow_door, moved, template

EXPERIMENT = "nbmlops"
SQLITE = "sqlite:///"
REACHED_WITHIN = 10.0  # seconds; MLflow's own client would try again for minutes

MISSING, EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"


class Connection:
    """MLflow's stores at one address.

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
        """Whether a server stands between here and the store."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def database(self) -> Path | None:
        """The SQLite file, where the store is one."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    @cached_property
    def client(self) -> Any:
        """The ``MlflowClient``, made on first use."""
        if self.database is not None:
            self._prepare(self.database)
        if self.remote:
            self._reach()
        mlflow = mlflow_door.module()
        with self.errors():
            return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _prepare(self, database: Path) -> None:
        if database.exists() and database.stat().st_size == 0:
            raise Corrupt(
                f"{database} is empty", expected="MLflow's database", hint="Restore it from a copy, or remove it."
            )
        template.create(database, self.artifacts)
        moved.follow(database, self.artifacts)

    def _reach(self) -> None:
        import requests

        try:
            requests.get(f"{self.uri.rstrip('/')}/health", timeout=REACHED_WITHIN)
        except requests.RequestException as error:
            raise StorageError(
                f"the MLflow server at {self.uri} can't be reached",
                hint="Start it, or correct or unset MLFLOW_TRACKING_URI.",
            ) from error

    @cached_property
    def experiment_id(self) -> str:
        """The experiment of ``MLFLOW_EXPERIMENT_NAME``, or ``nbmlops``, made where it does not exist."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        with self.errors():
            found = self.client.get_experiment_by_name(name)
            if found is None:
                place = None if self.remote else str(self.artifacts)
                with self.tolerating(EXISTS):  # another process was faster
                    return str(self.client.create_experiment(name, artifact_location=place))
                found = self.client.get_experiment_by_name(name)
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)

    @contextmanager
    def tolerating(self, *codes: str) -> Iterator[None]:
        """Pass over MLflow's errors with one of these codes."""
        exceptions = mlflow_door.module("exceptions")
        try:
            yield
        except exceptions.MlflowException as error:
            if error.error_code not in codes:
                raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn MLflow's and SQLAlchemy's errors into ours, and keep its notices out of the user's cell."""
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
            return Corrupt(f"the database of {self.uri} is damaged", hint="Restore it from a copy.")
        for sign, hint in HINTS.items():
            if sign in text:
                return StorageError(f"MLflow's store at {self.uri} can't be written: {sign}", hint=hint)
        if getattr(error, "error_code", "") == MISSING:
            return NotFound(text)
        return StorageError(f"MLflow's store at {self.uri} answered: {text.splitlines()[0]}")


HINTS = {
    "database or disk is full": "Free some space, then run it again.",
    "database is locked": "Another program holds it: close that, then run it again.",
    "readonly database": "Set NBMLOPS_WORKSPACE to a folder that can be written.",
    "unable to open database file": "Set NBMLOPS_WORKSPACE to a folder that can be written.",
}
