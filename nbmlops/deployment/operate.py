"""Operate what runs: divide traffic, roll back, take down; each change is an operation in the journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.core import digests
from nbmlops.core.errors import NotFound, Refused
from nbmlops.core.records import Record
from nbmlops.core.workspace import Workspace
from nbmlops.deployment.spec import ArmSpec, EndpointSpec, format_traffic
from nbmlops.deployment.target import EndpointStatus, Target, target_of, targets, unknown
from nbmlops.journal import EndpointState, Journal
from nbmlops.journal import endpoints as fold

LOCAL = "local"
GONE = "deleted"


@dataclass(frozen=True)
class Stopped(Record):
    """What was taken down.

    Attributes
    ----------
    endpoints : tuple of str
    """

    endpoints: tuple[str, ...]

    def __str__(self) -> str:
        return f"Stopped and removed: {', '.join(self.endpoints)}." if self.endpoints else "Nothing was running."

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


def set_traffic(
    workspace: Workspace, journal: Journal, name: str, *, traffic: Mapping[Any, float], reason: str | None = None
) -> EndpointStatus:
    """Divide the traffic of an endpoint between its loaded versions; no request is dropped.

    Parameters
    ----------
    traffic : mapping of version to percent
        Sums to 100; a version that is not named gets nothing and stays loaded.

    Raises
    ------
    NotFound
        There is no such endpoint.
    InvalidInput
        The shares don't sum to 100, or name a version that is not loaded there.
    """
    target, spec = _found(workspace, journal, name)
    shares = {str(version): float(share) for version, share in traffic.items()}
    return _move(
        journal, target, before=spec, wanted=spec.with_traffic(shares), verb="endpoint.traffic_moved", reason=reason
    )


def rollback(workspace: Workspace, journal: Journal, name: str, *, reason: str | None = None) -> EndpointStatus:
    """Take an endpoint back to its traffic before the last change; what it served until now stays loaded.

    Raises
    ------
    NotFound
        There is no such endpoint.
    Refused
        There is no earlier traffic, or a version of it is no longer there.
    """
    target, spec = _found(workspace, journal, name)
    state = states(journal).get(name)
    earlier = [dict(split) for split in state.splits if dict(split) != spec.traffic] if state else []
    if not earlier:
        raise Refused(
            f"endpoint {name!r} has no earlier traffic to go back to than {format_traffic(spec.traffic)}",
            expected="a deployment or division of traffic before this one",
        )
    shares = earlier[-1]
    back = [_arm(workspace, journal, spec, version=version) for version in shares]
    warm = [arm for arm in spec.arms if arm.weight > 0 and arm.version not in shares]
    wanted = spec.with_traffic(shares, [*back, *warm])
    return _move(journal, target, before=spec, wanted=wanted, verb="endpoint.rolled_back", reason=reason)


def undeploy(workspace: Workspace, journal: Journal, name: str, *, reason: str | None = None) -> Stopped:
    """Stop an endpoint and remove every trace of it but its history.

    Raises
    ------
    NotFound
        There is no such endpoint.
    """
    target = _target(workspace, journal, name)
    with journal.operation("endpoint.deleted", f"endpoint/{name}", {"endpoint": name}, reason=reason) as operation:
        if target.spec(name) is not None:
            target.delete(name)
        operation.done(endpoint=name)
    return Stopped((name,))


def down(workspace: Workspace, journal: Journal, *, reason: str | None = None) -> Stopped:
    """Stop and remove every endpoint of the workspace; no process, port or socket of theirs is left."""
    stopped = [undeploy(workspace, journal, name, reason=reason) for name in places(workspace, journal)]
    return Stopped(tuple(name for one in stopped for name in one.endpoints))


def live(target: Target, name: str) -> EndpointStatus:
    """Return an endpoint's status; one whose files were removed behind our back is down."""
    try:
        return target.status(name)
    except NotFound:
        return EndpointStatus(name, "", "down", because=f"the target {target.name!r} does not know it any more")


def states(journal: Journal) -> dict[str, EndpointState]:
    """Return the endpoints that the journal says exist, by name."""
    found = fold(journal.events(subject="endpoint/*"))
    return {name: state for name, state in found.items() if state.status != GONE}


def places(workspace: Workspace, journal: Journal) -> dict[str, str]:
    """Return endpoint -> target, of those that the journal or a target knows."""
    found = {name: state.target or LOCAL for name, state in states(journal).items()}
    for target in targets(workspace, journal).values():
        for status in target.statuses():
            found.setdefault(status.name, target.name)
    return dict(sorted(found.items()))


def token_file(target: Target, name: str) -> Path | None:
    """Return the file that holds an endpoint's token, None where it needs none or the target keeps none."""
    keeps = getattr(target, "token_file", None)
    return Path(keeps(name)) if keeps is not None and target.token(name) else None


def place(workspace: Workspace, journal: Journal, name: str) -> str:
    """Return the target of an endpoint.

    Raises
    ------
    NotFound
        With the nearest names.
    """
    known = places(workspace, journal)
    if name not in known:
        raise unknown(name, known)
    return known[name]


def _target(workspace: Workspace, journal: Journal, name: str) -> Target:
    return target_of(workspace, journal, place(workspace, journal, name))


def _found(workspace: Workspace, journal: Journal, name: str) -> tuple[Target, EndpointSpec]:
    target = _target(workspace, journal, name)
    spec = target.spec(name)
    if spec is None:
        raise Refused(
            f"endpoint {name!r} was removed behind nbmlops' back",
            hint=f"Deploy it again, or clear it away: %undeploy {name}",
        )
    return target, spec


def _move(
    journal: Journal, target: Target, *, before: EndpointSpec, wanted: EndpointSpec, verb: str, reason: str | None
) -> EndpointStatus:
    name = wanted.endpoint
    about: dict[str, Any] = {"endpoint": name, "traffic": wanted.traffic, "previous": before.traffic}
    with journal.operation(verb, f"endpoint/{name}", about, reason=reason) as operation:
        status = target.apply(target.plan(wanted))
        operation.done(**about)
    return status


def _arm(workspace: Workspace, journal: Journal, spec: EndpointSpec, *, version: str) -> ArmSpec:
    """Return the arm of `version`: as it is loaded, else as the journal last knew it at this endpoint."""
    loaded = spec.arm(version)
    if loaded is not None:
        return loaded
    events = journal.events("endpoint.deployed", f"endpoint/{spec.endpoint}")
    known = [arm for event in events for arm in event.data.get("arms", []) if str(arm["version"]) == version]
    bundle = workspace.bundles / str(known[-1]["bundle"]).removeprefix(digests.PREFIX) if known else None
    if bundle is None or not bundle.is_dir():
        raise Refused(
            f"version {version} was served before, but its bundle is no longer in the workspace",
            hint=f"Deploy it again: %deploy {spec.model}/{version} --endpoint {spec.endpoint}",
        )
    arm = known[-1]
    return dataclasses.replace(
        spec.arms[0],
        version=version,
        bundle=bundle,
        digest=str(arm["bundle"]),
        runtime=str(arm["runtime"]),
        why=str(arm.get("why", "")),
        weight=0.0,
    )
