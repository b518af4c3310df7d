"""What was interrupted is completed or marked; what was changed behind nbmlops' back is recorded, once."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock

from nbmlops.journal import Event, Journal, aliases, versions
from nbmlops.registry.records import STAGING, StoredVersion

if TYPE_CHECKING:
    from nbmlops.core.workspace import Workspace
    from nbmlops.registry.tracking import Tracking
    from nbmlops.registry.versions import Versions

OURS = ("model.", "alias.", "run.")
STARTED = "operation.started"


class Reconciling:
    """Brings the journal and MLflow's stores into agreement.

    Parameters
    ----------
    workspace : Workspace
    journal : Journal
    tracking : Tracking
    versions : Versions
    """

    def __init__(self, workspace: Workspace, journal: Journal, tracking: Tracking, *, stored: Versions) -> None:
        self.workspace = workspace
        self.journal = journal
        self.tracking = tracking
        self.versions = stored

    def reconcile(self) -> list[Event]:
        """Do what is to be done and return the events that were appended."""
        with FileLock(self.workspace.home / "reconcile.lock"):
            self._sweep_staging()
            self._sweep_runs()
            interrupted = [event for event in self.journal.unfinished() if _verb(event).startswith(OURS)]
            stored = {(v.name, v.version): v for v in self.versions.all()}
            done = [self._settle(event, stored) for event in interrupted]
            return [event for event in done if event is not None] + self._observe(stored)

    # What was interrupted

    def _sweep_staging(self) -> None:
        for folder in self.workspace.cache.glob(f"{STAGING}*"):
            pid = folder.name.removeprefix(STAGING).partition("-")[0]
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep_runs(self) -> None:
        """Close runs whose process died: finished where their version was registered, failed otherwise."""
        abandoned = self.tracking.abandoned_runs()
        registered = {version.run_id for version in self.versions.all()} if abandoned else set()
        for run_id in abandoned:
            if run_id in registered:
                self.tracking.finish_run(run_id)
            else:
                self.tracking.fail_models_of(run_id)
                self.tracking.finish_run(run_id, "FAILED")
        if abandoned:
            self.versions.delete_empty(keep=_ever_registered(self.journal.events()))

    def _settle(self, event: Event, stored: Mapping[tuple[str, int], StoredVersion]) -> Event | None:
        outcome = _outcome(event, stored)
        if outcome is None:
            return self.journal.interrupted(event)
        subject, data = outcome
        content = {**data, "operation": event.data["operation"], "reconciled": True}
        return self.journal.append(_verb(event), subject, content, reason=event.reason)

    # What was changed behind our back

    def _observe(self, stored: Mapping[tuple[str, int], StoredVersion]) -> list[Event]:
        events = self.journal.events()
        busy = _busy(events)
        known = {(name, number) for name, numbers in versions(events).items() for number in numbers}
        found: list[Event] = []
        for name, number in sorted(known - stored.keys()):
            if name not in busy:
                data = {"name": name, "version": number}
                found.append(self.journal.append("observed.model.deleted", f"model/{name}/{number}", data))
        for key in sorted(stored.keys() - known):
            if key[0] not in busy:
                version = stored[key]
                subject = f"model/{version.reference}"
                found.append(self.journal.append("observed.model.registered", subject, facts(version)))
        return found + self._observe_aliases(stored, busy)

    def _observe_aliases(self, stored: Mapping[tuple[str, int], StoredVersion], busy: set[str]) -> list[Event]:
        before = aliases(self.journal.events())
        now: dict[str, dict[str, int]] = {}
        for version in stored.values():
            now.setdefault(version.name, {}).update(dict.fromkeys(version.aliases, version.version))
        found = []
        for name in sorted((before.keys() | now.keys()) - busy):
            old, new = before.get(name, {}), now.get(name, {})
            for alias in sorted(old.keys() | new.keys()):
                if old.get(alias) != new.get(alias):
                    found.append(self._observe_alias(name, alias, old=old.get(alias), new=new.get(alias)))
        return found

    def _observe_alias(self, name: str, alias: str, *, old: int | None, new: int | None) -> Event:
        data = {"name": name, "alias": alias}
        if new is None:
            return self.journal.append("observed.alias.removed", f"model/{name}/{old}", {**data, "version": old})
        return self.journal.append(
            "observed.alias.set", f"model/{name}/{new}", {**data, "version": new, "previous": old}
        )


def facts(version: StoredVersion) -> dict[str, Any]:
    """Return what the journal keeps of a version."""
    own = version.own
    return {
        "name": version.name,
        "version": version.version,
        "run_id": version.run_id,
        **{key: own.get(key, "") for key in ("digest", "environment_id", "kind", "label")},
        "tags": version.user_tags,
        "warnings": list(version.warnings),
    }


def _verb(event: Event) -> str:
    return str(event.data.get("verb", ""))


def _busy(events: Sequence[Event]) -> set[str]:
    """Return the models that a living operation is changing right now."""
    started = {event.data["operation"]: event for event in events if event.kind == STARTED}
    ended = {event.data["operation"] for event in events if event.kind != STARTED and event.data.get("operation")}
    living = [started[operation] for operation in started.keys() - ended]
    return {event.subject.split("/")[1] for event in living if event.subject.startswith("model/")}


def _ever_registered(events: Iterable[Event]) -> set[str]:
    return {str(event.data["name"]) for event in events if event.kind.removeprefix("observed.") == "model.registered"}


def _outcome(event: Event, stored: Mapping[tuple[str, int], StoredVersion]) -> tuple[str, dict[str, Any]] | None:
    """Return subject and data of what an interrupted operation did achieve, or None where it did not."""
    verb, data = _verb(event), event.data
    if verb == "model.registered":
        made = [v for v in stored.values() if v.own.get("operation") == data["operation"]]
        return (f"model/{made[0].reference}", facts(made[0])) if made else None
    about = {
        key: value for key, value in data.items() if key not in ("operation", "verb", "process", "actor", "reason")
    }
    if "name" not in about or "version" not in about:
        return None
    version = stored.get((str(about["name"]), int(about["version"])))
    achieved = (
        (verb == "model.deleted" and version is None)
        or (verb == "alias.set" and version is not None and about.get("alias") in version.aliases)
        or (verb == "model.tagged" and version is not None and _has_tags(version, about.get("tags") or {}))
    )
    return (event.subject, about) if achieved else None


def _has_tags(version: StoredVersion, tags: Mapping[str, str]) -> bool:
    return all(version.tags.get(key, "") == value for key, value in tags.items())
