"""The registry: versions, tags, aliases and files of models, with guards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import InvalidInput, NotFound, Refused, Untrusted
from nbmlops.core.records import ModelVersion, frozen_map
from nbmlops.core.references import ModelReference, check_alias, nearest
from nbmlops.core.workspace import Workspace
from nbmlops.registry.records import PREFIX, Reference, Registration, Signature, StoredVersion

if TYPE_CHECKING:
    from nbmlops.journal import Journal
    from nbmlops.registry.tracking import Tracking

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
    def tracking(self) -> Tracking:
        """The adapter over MLflow's stores."""
        from nbmlops.registry.tracking import Tracking

        self.workspace.open()
        return Tracking(self.workspace.tracking_uri, self.workspace.artifacts)

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
        from nbmlops.registry.registering import Registering, prepare

        prepared = prepare(obj, registration)
        return self._public(Registering(self.workspace, self.tracking).register(prepared, registration))

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
        found = [version for version in self.tracking.versions() if condition(version)]
        metrics = self.tracking.metrics({version.run_id for version in found})
        deployed = self.deployed()
        return [self._public(version, metrics.get(version.run_id), deployed) for version in found]

    def names(self) -> list[str]:
        """Return the names that have a version."""
        return sorted({version.name for version in self.tracking.versions()})

    def aliases(self, name: str | None = None) -> dict[str, dict[str, int]]:
        """Return name -> alias -> version, of all models or of one."""
        found: dict[str, dict[str, int]] = {}
        for version in self.tracking.versions(name):
            found.setdefault(version.name, {}).update(dict.fromkeys(version.aliases, version.version))
        return found

    def tag(self, ref: Ref, tags: Mapping[str, str]) -> ModelVersion:
        """Set tags of a version and return it."""
        from nbmlops.registry.registering import check_tags

        checked = check_tags(tags)
        found = self.stored(ref)
        self.tracking.set_tags(found, checked)
        return self.version(found.reference)

    def set_alias(self, ref: Ref, alias: str) -> int | None:
        """Give `alias` to a version and return the version that held it before."""
        check_alias(alias)
        found = self.stored(ref)
        previous = self.tracking.aliases(found.name).get(alias)
        self.tracking.set_alias(found, alias)
        return previous

    def delete(self, ref: Ref) -> ModelVersion:
        """Delete a version that nothing uses, and return what it was.

        Its number is never given again; its run and files stay, as with MLflow itself.

        Raises
        ------
        Refused
            When an endpoint serves it or an alias names it.
        """
        found = self.stored(ref)
        self._guard(found, "deleted")
        public = self._public(found)
        self.tracking.delete_version(found)
        return public

    def delete_run(self, run_id: str) -> None:
        """Delete a run, unless a version that it logged is in use.

        Raises
        ------
        Refused
            When a version of the run is deployed or holds an alias.
        """
        for version in self.tracking.versions():
            if version.run_id == run_id:
                self._guard(version, f"deleted with its run {run_id}")
        self.tracking.delete_run(run_id)

    def _guard(self, version: StoredVersion, what: str) -> None:
        endpoints = self.deployed().get((version.name, version.version), ())
        if endpoints:
            raise Refused(
                f"{version.reference} can't be {what}: it is deployed at {_listed(endpoints)}",
                hint=f"Run %undeploy {endpoints[0]} first, or take its traffic away.",
            )
        if version.aliases:
            raise Refused(
                f"{version.reference} can't be {what}: it holds the alias {_listed(version.aliases)}",
                hint=f"Give the alias to another version first: %promote {version.name}/N {version.aliases[0]}.",
            )

    def deployed(self) -> dict[tuple[str, int], tuple[str, ...]]:
        """Return (name, version) -> endpoints that hold it now, from the journal."""
        from nbmlops.registry.deployed import deployed

        return deployed(self.journal)

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

        folder = self.tracking.model_files(version, self._cache(version) / "model")
        digest = version.own.get("digest")
        if digest:
            integrity.check(folder, self._own(version), digest, version.reference)
        return folder

    def _own(self, version: StoredVersion) -> Path:
        from nbmlops.registry.registering import ARTIFACTS

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
        from nbmlops.registry import formats, integrity

        found = self.stored(ref)
        own = found.own
        if trust:
            return
        if not integrity.sealed(self.workspace.home, own.get("digest", ""), own.get("seal", "")):
            because = "it was not registered from this workspace"
        elif own.get("kind") == "files" and formats.pickles(
            str(path) for path in self._folder(found).rglob("*") if path.is_file()
        ):
            because = "it is a pickle that was made elsewhere"
        else:
            return
        raise Untrusted(
            f"{found.reference} was not loaded: {because}, and loading it would run the code it holds",
            hint="If you know where it comes from, say so with --trust (trust=True).",
        )

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

    def captured(self, ref: Ref) -> dict[str, Any]:
        """Return the snapshot: environment, machine, git, notebook and data as plain data; empty where unknown."""
        return self._json(ref, "captured.json")

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
        parsed = ref if isinstance(ref, ModelReference) else ModelReference.parse(ref)
        if parsed.version is not None:
            found = self.tracking.version(parsed.name, parsed.version)
            if found is not None:
                return found
        versions = self.tracking.versions(parsed.name)
        if not versions:
            names = self.names()
            raise NotFound(
                f"no model is named {parsed.name!r}",
                expected=f"one of {', '.join(names)}" if names else None,
                hint=nearest(parsed.name, names) if names else "Nothing is registered yet: use %register_model.",
            )
        if parsed.alias is not None:
            return self._by_alias(parsed, versions)
        if parsed.version is not None:
            numbers = ", ".join(str(version.version) for version in versions[-10:])
            raise NotFound(f"{parsed.name} has no version {parsed.version}", expected=f"one of {numbers}")
        return versions[-1]

    def _by_alias(self, parsed: ModelReference, versions: list[StoredVersion]) -> StoredVersion:
        for version in versions:
            if parsed.alias in version.aliases:
                return version
        known = sorted({alias for version in versions for alias in version.aliases})
        raise NotFound(
            f"{parsed.name} has no alias {parsed.alias!r}",
            expected=f"one of {', '.join(known)}" if known else "a version number: it has no aliases yet",
            hint=nearest(str(parsed.alias), known),
        )

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
            tags=frozen_map({key: value for key, value in stored.tags.items() if not key.startswith(PREFIX)}),
            aliases=stored.aliases,
            deployed_at=places.get((stored.name, stored.version), ()),
            kind=own.get("kind", ""),
            label=own.get("label", ""),
            uri=stored.source,
            created_at=stored.created_at,
            metrics=frozen_map(metrics),
            warnings=tuple(json.loads(own.get("warnings") or "[]")),
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)
