"""One registration, from the object to the version: judge, lay out, log, and only then make it visible."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbmlops.core.errors import NbmlopsError, StorageError
from nbmlops.core.identifiers import new_id
from nbmlops.core.progress import stage
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace, storage_errors
from nbmlops.registry import dataset, formats, integrity, kinds, layout, mlflow_door, sample, signature
from nbmlops.registry.preparing import Prepared, check_tags
from nbmlops.registry.records import ARTIFACTS, PREFIX, STAGING, Registration, StoredVersion
from nbmlops.registry.tracking import NewModel, Tracking
from nbmlops.registry.versions import Versions


class Registering:
    """Writes a prepared object as the next version of its name.

    Parameters
    ----------
    workspace : Workspace
    tracking : Tracking
    versions : Versions
    """

    def __init__(self, workspace: Workspace, tracking: Tracking, versions: Versions) -> None:
        self.workspace = workspace
        self.tracking = tracking
        self.versions = versions

    def register(self, prepared: Prepared, registration: Registration) -> StoredVersion:
        """Lay out, log and register; a failure leaves a failed run and no version."""
        with storage_errors(self.workspace.home), self._staging() as staging:
            stage("writing the model")
            folder, own = staging / "model", staging / ARTIFACTS
            folder.mkdir()
            own.mkdir()
            laid = self._lay_out(prepared, registration, folder)
            self._write_own(prepared, registration, own)
            stage("logging the run")
            run_id = self.tracking.start_run(registration.name, self._run_tags(prepared, registration))
            with self._failing(run_id):
                made = self._log(prepared, registration, laid, own=own, run_id=run_id)
            self._close(run_id)
            return made

    def _close(self, run_id: str) -> None:
        try:
            self.tracking.finish_run(run_id)
        except StorageError as error:  # the version stands: `reconcile` closes the run when this process is gone
            warnings.warn(f"The version is registered, but its run could not be closed: {error}", stacklevel=4)

    def _lay_out(self, prepared: Prepared, registration: Registration, folder: Path) -> layout.Layout:
        captured = registration.captured
        if prepared.kind in kinds.FROM_PATHS:
            laid = layout.Layout(folder, mlflow_door.module("models").Model(), [])
        else:
            frame = prepared.inputs.frame if prepared.inputs else None
            laid = layout.Layout.begin(folder, captured, signature.to_mlflow(prepared.signature, frame))
        if prepared.inputs is not None and prepared.inputs.form == "frame":
            signature.write_example(laid.model, prepared.inputs.frame, folder)
        for asset in layout.check_assets(registration.assets):
            layout.copy_in(asset, folder / layout.ASSETS / layout.asset_place(asset))
        formats.write(prepared.obj, prepared.kind, laid, rows=prepared.few_rows())
        return laid

    def _write_own(self, prepared: Prepared, registration: Registration, own: Path) -> None:
        captured = dict(registration.captured.to_dict())
        if prepared.external:
            captured["provenance"] = {"source": "external", "trained_by": "unknown", "environment": "unknown"}
        (own / "captured.json").write_text(json.dumps(captured, indent=1))
        (own / "signature.json").write_text(json.dumps(signature.finite(prepared.signature), indent=1))
        if prepared.reference is not None:
            sample.write(prepared.reference, own)

    def _log(
        self, prepared: Prepared, registration: Registration, laid: layout.Layout, *, own: Path, run_id: str
    ) -> StoredVersion:
        fingerprint = registration.captured.data
        if fingerprint is not None:
            self.tracking.log_dataset(run_id, dataset.describe(fingerprint))
        model = self.tracking.start_model(registration.name, run_id)
        with self._failing_model(model):
            laid.finish(run_id, model.model_id, model.location)
            digest = integrity.write(integrity.list_files(laid.folder), own)
            self.tracking.upload(run_id, own, ARTIFACTS)
            self.tracking.finish_model(model, laid.folder)
            tags = self._version_tags(prepared, registration, digest, warnings=[*prepared.warnings, *laid.warnings])
            stage("registering the version")
            return self.versions.create(registration.name, model, tags)

    def _version_tags(
        self, prepared: Prepared, registration: Registration, digest: str, *, warnings: list[str]
    ) -> dict[str, str]:
        own = {
            "digest": digest,
            "seal": integrity.seal(self.workspace.home, digest),
            "kind": prepared.kind,
            "label": registration.label,
            "environment_id": "" if prepared.external else registration.captured.environment.id,
            "data_digest": registration.captured.data.digest if registration.captured.data else "",
            "provenance": "external" if prepared.external else "",
            "pickles": ", ".join(prepared.pickles()),
            "warnings": json.dumps(warnings) if warnings else "",
            "operation": registration.operation,
        }
        return check_tags(registration.tags) | {f"{PREFIX}{key}": value for key, value in own.items() if value}

    def _run_tags(self, prepared: Prepared, registration: Registration) -> dict[str, str]:
        captured = registration.captured
        tags = {
            f"{PREFIX}operation": registration.operation or new_id(),
            f"{PREFIX}kind": prepared.kind,
            f"{PREFIX}environment_id": captured.environment.id,
            f"{PREFIX}data_digest": captured.data.digest if captured.data else "",
            "mlflow.user": settings().actor,
        }
        return {key: value for key, value in tags.items() if value}

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        # The process's number lets `reconcile` tell what a killed one left behind.
        folder = self.workspace.cache / f"{STAGING}{os.getpid()}-{new_id()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _failing(self, run_id: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # an interrupt too: what is half-written must not look finished
            with _noting(error):
                self.tracking.finish_run(run_id, "FAILED")
            raise

    @contextmanager
    def _failing_model(self, model: NewModel) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            with _noting(error):
                self.tracking.fail_model(model.model_id)
            raise


@contextmanager
def _noting(first: BaseException) -> Iterator[None]:
    """Add what goes wrong while cleaning up to the error that was the cause."""
    try:
        yield
    except NbmlopsError as second:
        first.add_note(f"Marking it as failed did not work either: {second}")
