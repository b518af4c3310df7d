"""The registry: versions, tags, aliases and files of models, with guards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import ModelVersion, frozen_map
from nbmlops.core.references import ModelReference, check_alias
from nbmlops.core.workspace import Workspace
from nbmlops.registry import guards
from nbmlops.registry.records import ARTIFACTS, Reference, Registration, Signature, StoredVersion

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.journal import Event, Journal
    from nbmlops.registry.connection import Connection
    from nbmlops.registry.runs import TrackedFit
    from nbmlops.registry.tracking import Tracking
    from nbmlops.registry.versions import Versions

Ref = str | ModelReference


class Registry:
    """Models of one workspace. Making one imports nothing heavy; MLflow is imported on first use.

    Parameters
    ----------
    workspace : Workspace
    journal : Journal
        Read for what is deployed; written by `reconcile` alone (a verb records what it did itself).
    """

    def __init__(self, workspace: Workspace, journal: Journal) -> None:
        self.workspace = workspace
        self.journal = journal

    @cached_property
    def connection(self) -> Connection:
        """The way to MLflow's stores."""
        from nbmlops.registry.connection import Connection

        self.workspace.open()
        return Connection(self.workspace.tracking_uri, self.workspace.artifacts)

    @cached_property
    def tracking(self) -> Tracking:
        """Runs and logged models."""
        from nbmlops.registry.tracking import Tracking

        return Tracking(self.connection)

    @cached_property
    def versions(self) -> Versions:
        """Registered versions and aliases."""
        from nbmlops.registry.versions import Versions

        return Versions(self.connection)

    def register(self, obj: Any, registration: Registration) -> ModelVersion:
        """Register `obj` as the next version of a name.

        Everything is judged before anything is written; the version becomes visible in the last step.

        Parameters
        ----------
        obj : object
            A fitted estimator, an object with ``predict``, a function, or the path of a file or folder.
        registration : Registration

        Raises
        ------
        InvalidInput
            A name, tag or data that can't be taken, or an unfitted estimator.
        InvalidObject
            An object that can't be stored.
        NotFound
            A path with nothing there.
        StorageError
            The workspace can't be written, or MLflow can't be reached.
        """
        from nbmlops.registry.preparing import prepare
        from nbmlops.registry.registering import Registering

        prepared = prepare(obj, registration)
        registering = Registering(self.workspace, self.tracking, self.versions)
        return self._public(registering.register(prepared, registration))

    def answered(self, obj: Any, data: Any, label: str = "") -> Reference:
        """Return rows of `data` with the answers that `obj` gives on them, as a registration would keep them.

        Raises
        ------
        InvalidInput
            When the data is empty, or lacks a column that the object needs.
        """
        from nbmlops.registry.preparing import answered

        return answered(obj, data, label)

    def inputs(self, obj: Any, data: Any, label: str = "") -> pd.DataFrame:
        """Return the rows of `data` as a table of the columns that `obj` takes, without the label.

        Raises
        ------
        InvalidInput
            When the data is empty, or lacks a column that the object needs.
        """
        from nbmlops.registry.preparing import inputs_of

        return inputs_of(obj, data, label).frame

    def log_run(self, fit: TrackedFit) -> str:
        """Log one fit as a finished run and return the run's identifier."""
        from nbmlops.registry.runs import log

        return log(self.tracking, fit)

    def reconcile(self) -> list[Event]:
        """Complete or mark what was interrupted, record what was changed elsewhere; return the events appended."""
        from nbmlops.registry.reconciling import Reconciling

        return Reconciling(self.workspace, self.journal, self.tracking, stored=self.versions).reconcile()

    def version(self, ref: Ref) -> ModelVersion:
        """Return the version that `ref` names.

        Raises
        ------
        NotFound
            With the nearest names.
        """
        found = self.stored(ref)
        return self._public(found, self.tracking.metrics({found.run_id}).get(found.run_id))

    def search(self, filter: str | None = None) -> list[ModelVersion]:
        """Return the versions that a filter lets through, by name and number (all without one).

        Parameters
        ----------
        filter : str, optional
            Conditions such as ``area=botany``, separated by spaces or commas; all must hold. ``name``, ``alias``,
            ``version`` and ``kind`` are known; any other key is a tag.

        Raises
        ------
        InvalidInput
            When the filter can't be read.
        """
        from nbmlops.registry.filters import parse

        condition = parse(filter)
        found = [version for version in self.versions.all() if condition(version)]
        metrics = self.tracking.metrics({version.run_id for version in found})
        deployed = self.deployed()
        return [self._public(version, metrics.get(version.run_id), deployed) for version in found]

    def names(self) -> list[str]:
        """Return the names that have a version."""
        return sorted({version.name for version in self.versions.all()})

    def aliases(self, name: str | None = None) -> dict[str, dict[str, int]]:
        """Return name -> alias -> version, of all models or of one."""
        found: dict[str, dict[str, int]] = {}
        for version in self.versions.all(name):
            found.setdefault(version.name, {}).update(dict.fromkeys(version.aliases, version.version))
        return found

    def tag(self, ref: Ref, tags: Mapping[str, str]) -> ModelVersion:
        """Set tags of a version and return it; an empty value takes the tag away."""
        from nbmlops.registry.preparing import check_tags

        checked = check_tags(tags)
        found = self.stored(ref)
        self.versions.set_tags(found, checked)
        return self.version(found.reference)

    def set_alias(self, ref: Ref, alias: str) -> int | None:
        """Give `alias` to a version and return the version that held it before."""
        check_alias(alias)
        found = self.stored(ref)
        previous = self.versions.aliases(found.name).get(alias)
        self.versions.set_alias(found, alias)
        return previous

    def remove_alias(self, name: str, alias: str) -> int:
        """Take an alias away and return the version that held it.

        Raises
        ------
        NotFound
            When no version holds it.
        """
        found = self.stored(ModelReference(name, alias=alias))
        self.versions.remove_alias(name, alias)
        return found.version

    def delete(self, ref: Ref) -> ModelVersion:
        """Delete a version that nothing uses, and return what it was.

        Its number is never given again; its run and files stay, as with MLflow itself.

        Raises
        ------
        Refused
            When an endpoint serves it or an alias names it.
        """
        found = self.stored(ref)
        guards.check_unused(found, self.deployed(), "deleted")
        public = self._public(found)
        self.versions.delete(found)
        return public

    def delete_run(self, run_id: str) -> None:
        """Delete a run, unless a version that it logged is in use.

        Raises
        ------
        Refused
            When a version of the run is deployed or holds an alias.
        """
        for version in self.versions.all():
            if version.run_id == run_id:
                guards.check_unused(version, self.deployed(), f"deleted with its run {run_id}")
        self.tracking.delete_run(run_id)

    def deployed(self) -> dict[tuple[str, int], tuple[str, ...]]:
        """Return (name, version) -> endpoints that hold it now, from the journal."""
        return guards.deployed(self.journal)

    # Files

    def model_folder(self, ref: Ref) -> Path:
        """Return the version's MLflow model folder, for reading only; every file was checked.

        Raises
        ------
        Corrupt
            Naming the file that does not match its digest at registration.
        """
        return self._folder(self.stored(ref))

    def _folder(self, version: StoredVersion) -> Path:
        from nbmlops.registry import integrity

        folder = self.tracking.local(self.versions.location(version), self._cache(version) / "model")
        digest = version.own.get("digest")
        if digest:
            integrity.check(folder, self._own(version), digest=digest, reference=version.reference)
        return folder

    def _own(self, version: StoredVersion) -> Path:
        return self.tracking.run_files(version.run_id, ARTIFACTS, self._cache(version) / ARTIFACTS)

    def _cache(self, version: StoredVersion) -> Path:
        return self.workspace.cache / "models" / (version.model_id or f"{version.name}-{version.version}")

    def load(self, ref: Ref, trust: bool = False) -> Any:
        """Return the object that was registered; a registered file or folder comes back as its path.

        Raises
        ------
        Untrusted
            When loading would run code that this workspace did not register, and `trust` is false.
        Corrupt
            When a file changed since registration.
        """
        from nbmlops.registry import formats

        found = self.stored(ref)
        self.check_trust(found.reference, trust)
        folder = self._folder(found)
        loaded = formats.load(folder, found.own.get("kind", ""))
        if trust and isinstance(loaded, Path) and loaded.is_file() and formats.pickles([loaded.name]):
            return formats.unpickle(loaded)
        return loaded

    def check_trust(self, ref: Ref, trust: bool = False) -> None:
        """Refuse a version whose loading runs code that this workspace did not register.

        Raises
        ------
        Untrusted
            Unless `trust` is true.
        """
        if not trust:
            guards.check_trust(self.stored(ref), self.workspace.home)

    def download(self, ref: Ref, folder: Path) -> Path:
        """Write every registered file of a version into `folder`, checked by sha256, and return `folder`.

        A registered file or folder comes back as it was; of any other kind, the MLflow model folder.

        Raises
        ------
        InvalidInput
            When `folder` exists and is not empty.
        """
        from nbmlops.registry.downloading import plan, write

        target = Path(folder).expanduser()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InvalidInput(f"{target} exists and is not empty", expected="a folder that does not exist yet")
        found = self.stored(ref)
        write(plan(self._folder(found), found.own.get("kind", "")), target)
        return target

    def reference(self, ref: Ref) -> Reference | None:
        """Return the reference sample, or None where the version was registered without data."""
        from nbmlops.registry import sample

        return sample.read(self._own(self.stored(ref)))

    def keep(self, ref: Ref, folder: Path, path: str) -> None:
        """Keep the files of `folder` with a version: as its run's artifacts below ``nbmlops/`` and `path`.

        Raises
        ------
        InvalidInput
            The version has no run.
        """
        found = self.stored(ref)
        if not found.run_id:
            raise InvalidInput(f"{found.reference} has no run to keep files in", hint="Register it with nbmlops.")
        self.tracking.upload(found.run_id, folder, f"{ARTIFACTS}/{path}")

    def captured(self, ref: Ref) -> dict[str, Any]:
        """Return the snapshot: environment, machine, git, notebook and data as plain data; empty where unknown."""
        return self._json(ref, "captured.json")

    def attach(self, ref: Ref, folder: Path, place: str) -> bool:
        """Store the files of `folder` beside a version, below `place` in nbmlops' own artifacts of its run.

        Returns
        -------
        bool
            Whether they are stored: a version that something else registered may have no run.
        """
        found = self.stored(ref)
        if found.run_id:
            self.tracking.upload(found.run_id, folder, f"{ARTIFACTS}/{place}")
        return bool(found.run_id)

    def signature(self, ref: Ref) -> Signature:
        """Return the signature as plain data."""
        return self._json(ref, "signature.json")

    def _json(self, ref: Ref, name: str) -> dict[str, Any]:
        path = self._own(self.stored(ref)) / name
        if not path.exists():
            return {}
        data: dict[str, Any] = json.loads(path.read_text())
        return data

    # Looking up

    def stored(self, ref: Ref) -> StoredVersion:
        """Return the version that `ref` names, as MLflow holds it."""
        from nbmlops.registry.lookup import find

        return find(self.versions, ref)

    def _public(
        self,
        stored: StoredVersion,
        metrics: Mapping[str, float] | None = None,
        deployed: Mapping[tuple[str, int], tuple[str, ...]] | None = None,
    ) -> ModelVersion:
        own = stored.own
        places = self.deployed() if deployed is None else deployed
        return ModelVersion(
            name=stored.name,
            version=stored.version,
            run_id=stored.run_id,
            digest=own.get("digest", ""),
            environment_id=own.get("environment_id", ""),
            tags=frozen_map(stored.user_tags),
            aliases=stored.aliases,
            deployed_at=places.get((stored.name, stored.version), ()),
            kind=own.get("kind", ""),
            label=own.get("label", ""),
            uri=stored.source,
            created_at=stored.created_at,
            metrics=frozen_map(metrics),
            warnings=stored.warnings,
        )
