"""One registration, from the object to the version: judge, lay out, log, and only then make it visible."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.core.errors import InvalidInput
from nbmlops.core.identifiers import new_id
from nbmlops.core.progress import stage
from nbmlops.core.references import check_name
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace, storage_errors
from nbmlops.registry import dataset, formats, integrity, kinds, layout, mlflow_door, sample, signature, tables
from nbmlops.registry.records import PREFIX, Reference, Registration, Signature, StoredVersion
from nbmlops.registry.tracking import NewModel, Tracking

ARTIFACTS = "nbmlops"
"""Folder of nbmlops' own artifacts in a run."""

STAGING = "registering-"


@dataclass(frozen=True)
class Prepared:
    """An object that was judged: all that is known before anything is written."""

    obj: Any
    kind: str
    inputs: tables.Inputs | None
    reference: Reference | None
    signature: Signature
    external: bool
    warnings: tuple[str, ...]

    def few_rows(self) -> Any:
        """A few rows in the form that the object takes, or None."""
        if self.inputs is None or self.reference is None:
            return None
        return self.inputs.native(self.reference.inputs.head(formats.CHECKED_ROWS))


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the user's tags, or raise where one has an empty name or one of nbmlops' own."""
    for key in tags:
        if not key or key.startswith((PREFIX, "mlflow.")):
            raise InvalidInput(
                f"{key!r} is no name for a tag", expected=f"a name that does not start with {PREFIX} or mlflow."
            )
    return {str(key): str(value) for key, value in tags.items()}


def prepare(obj: Any, registration: Registration) -> Prepared:
    """Judge everything that can be judged before a byte is written."""
    check_name(registration.name)
    check_tags(registration.tags)
    layout.check_assets(registration.assets)
    stage("checking the model")
    kind = kinds.kind_of(obj)
    external = kind in (kinds.ONNX, kinds.FILES)
    if kind == kinds.FILES and registration.trust:
        obj, kind = _unpickled(Path(obj).expanduser(), obj, kind)
    kinds.check(obj, kind)
    if kind in (kinds.ONNX, kinds.FILES):
        known = signature.of_onnx(Path(obj).expanduser()) if kind == kinds.ONNX else signature.UNKNOWN
        return Prepared(obj, kind, None, None, known, external, _provenance(kind, registration))
    inputs = tables.read(registration.data, registration.label, _fitted_on(obj))
    stage("drawing the reference sample")
    reference = _reference(obj, inputs)
    warnings = (*_provenance(kind if external else "", registration), *(inputs.warnings if inputs else ()))
    found = signature.infer(obj, inputs, reference)
    return Prepared(obj, kind, inputs, reference, found, external, warnings)


def _fitted_on(obj: Any) -> list[str] | None:
    names = getattr(obj, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _unpickled(path: Path, obj: Any, kind: str) -> tuple[Any, str]:
    if path.is_file() and formats.pickles([path.name]):
        loaded = formats.unpickle(path)
        return loaded, kinds.kind_of(loaded)
    return obj, kind


def _provenance(kind: str, registration: Registration) -> tuple[str, ...]:
    if not kind:
        return ()
    return ("trained elsewhere: provenance external, environment and data unknown",)


def _reference(obj: Any, inputs: tables.Inputs | None) -> Reference | None:
    if inputs is None:
        return None
    drawn = sample.draw(inputs.frame, settings().sample_rows)
    predictions, probabilities, classes = sample.answers(obj, inputs.native(drawn))
    if len(predictions) != len(drawn):
        raise InvalidInput(
            f"predict gave {len(predictions)} answers for {len(drawn)} rows", expected="one answer for each row"
        )
    return Reference(drawn, predictions, probabilities, classes)


class Registering:
    """Writes a prepared object as the next version of its name.

    Parameters
    ----------
    workspace : Workspace
    tracking : Tracking
    """

    def __init__(self, workspace: Workspace, tracking: Tracking) -> None:
        self.workspace = workspace
        self.tracking = tracking

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
                return self._log(prepared, registration, laid, own, run_id)

    def _lay_out(self, prepared: Prepared, registration: Registration, folder: Path) -> layout.Layout:
        captured = registration.captured
        if prepared.external:
            laid = layout.Layout(folder, mlflow_door.module("models").Model(), [])
        else:
            laid = layout.Layout.begin(folder, captured, signature.to_mlflow(prepared.signature))
        if prepared.inputs is not None and prepared.inputs.form == "frame":
            signature.write_example(laid.model, prepared.inputs.frame, folder)
        for asset in layout.check_assets(registration.assets):
            layout.copy_in(asset, folder / layout.ASSETS / asset.name)
        formats.write(prepared.obj, prepared.kind, laid, prepared.few_rows())
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
        self, prepared: Prepared, registration: Registration, laid: layout.Layout, own: Path, run_id: str
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
            self.tracking.finish_run(run_id)
            tags = self._version_tags(prepared, registration, digest, [*prepared.warnings, *laid.warnings])
            stage("registering the version")
            return self.tracking.create_version(registration.name, model, tags)

    def _version_tags(
        self, prepared: Prepared, registration: Registration, digest: str, warnings: list[str]
    ) -> dict[str, str]:
        own = {
            "digest": digest,
            "seal": integrity.seal(self.workspace.home, digest),
            "kind": prepared.kind,
            "label": registration.label,
            "environment_id": "" if prepared.external else registration.captured.environment.id,
            "data_digest": registration.captured.data.digest if registration.captured.data else "",
            "provenance": "external" if prepared.external else "",
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
        except BaseException:  # an interrupt too: what is half-written must not look finished
            self.tracking.finish_run(run_id, "FAILED")
            raise

    @contextmanager
    def _failing_model(self, model: NewModel) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.tracking.fail_model(model.model_id)
            raise
