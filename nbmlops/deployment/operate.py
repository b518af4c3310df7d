"""Operate what runs: divide traffic, roll back, take down; each change is an operation in the journal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, InvalidInput, NotFound, Refused
from nbmlops.core.records import Record
from nbmlops.core.workspace import Workspace
from nbmlops.deployment.arms import ArmSpec, MemberSpec, for_journal
from nbmlops.deployment.spec import EndpointSpec, format_traffic
from nbmlops.deployment.splits import TrafficChange
from nbmlops.deployment.target import EndpointStatus, Target, target_of, targets, unknown
from nbmlops.journal import EndpointState, Journal
from nbmlops.journal import endpoints as fold
from nbmlops.packaging import read_bundle
from nbmlops.packaging.venv import interpreter

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
    workspace: Workspace,
    journal: Journal,
    name: str,
    *,
    traffic: Mapping[Any, float] | None = None,
    shadows: Mapping[Any, float] | None = None,
    reason: str | None = None,
) -> TrafficChange:
    """Divide the traffic of an endpoint between its loaded versions, and set its shadows; no request is dropped.

    A progressive rollout ends where the traffic is divided by hand.

    Parameters
    ----------
    traffic : mapping of version to percent, optional
        Sums to 100; a version that is not named gets nothing and stays loaded. Without it the split stays.
    shadows : mapping of version to percent, optional
        Share of the requests that a version gets a copy of; one that is not named keeps its own.

    Raises
    ------
    NotFound
        There is no such endpoint.
    InvalidInput
        The shares don't sum to 100, or name a version that is not loaded there.
    """
    target, spec = _found(workspace, journal, name)
    wanted = spec if traffic is None else spec.with_traffic(_named(traffic))
    wanted = wanted.with_shadows(_named(shadows or {}))
    status = _move(journal, target, before=spec, wanted=wanted, verb="endpoint.traffic_moved", reason=reason)
    return _change(spec, wanted, status)


def traffic_of(workspace: Workspace, journal: Journal, name: str) -> TrafficChange:
    """Return how the traffic of an endpoint is divided, as a change from the same to the same.

    Raises
    ------
    NotFound
        There is no such endpoint.
    """
    target, spec = _found(workspace, journal, name)
    return _change(spec, spec, target.status(name))


def rollback(workspace: Workspace, journal: Journal, name: str, *, reason: str | None = None) -> EndpointStatus:
    """Take an endpoint back to its traffic before the last change; what it served until now stays loaded.

    A progressive rollout ends, and is one change with all its steps. Shadows stay as they are.

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
    kept = [arm for arm in spec.arms if not arm.is_idle and arm.version not in shares]
    wanted = spec.with_traffic(shares, [*back, *kept], back=True)
    return _move(journal, target, before=spec, wanted=wanted, verb="endpoint.rolled_back", reason=reason)


def rotate_token(
    workspace: Workspace, journal: Journal, name: str, *, grace_s: float, reason: str | None = None
) -> None:
    """Give an endpoint a new bearer token; the one before it is taken for `grace_s` seconds more.

    Raises
    ------
    NotFound
        There is no such endpoint.
    Refused
        It needs no token, or its target can't change it.
    """
    target, spec = _found(workspace, journal, name)
    rotate = getattr(target, "rotate_token", None)
    if not (math.isfinite(grace_s) and grace_s >= 0):
        raise InvalidInput(f"the grace is {grace_s!r} s", expected="a time, as in 3600 or '1h'")
    if not spec.auth:
        raise Refused(f"endpoint {name!r} needs no token", hint=f"Deploy it again with one: %deploy {spec.model}")
    if rotate is None:
        raise Refused(f"the target {target.name!r} can't rotate tokens", hint="Deploy the endpoint anew.")
    about = {"endpoint": name, "grace_s": grace_s}
    with journal.operation("endpoint.token_rotated", f"endpoint/{name}", about, reason=reason) as operation:
        rotate(name, grace_s)
        operation.done(**about)


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
    if {arm.version for arm in wanted.arms} != {arm.version for arm in before.arms}:
        about["arms"] = [for_journal(arm) for arm in wanted.arms]
    if before.shadows or wanted.shadows:
        about |= {"shadows": wanted.shadows, "previous_shadows": before.shadows}
    with journal.operation(verb, f"endpoint/{name}", about, reason=reason) as operation:
        status = target.apply(target.plan(wanted))
        operation.done(**about, revision=status.revision)
    return status


def _change(before: EndpointSpec, wanted: EndpointSpec, status: EndpointStatus) -> TrafficChange:
    ended = before.progressive if wanted.progressive is None else None
    return TrafficChange(
        wanted.endpoint,
        before=before.traffic,
        traffic=status.traffic,
        shadows_before=before.shadows,
        shadows=status.shadows,
        since=datetime.fromtimestamp(status.since, UTC) if status.since else None,
        ended=f"the rollout of version {ended.candidate} over {ended}" if ended else "",
    )


def _named(shares: Mapping[Any, float]) -> dict[str, float]:
    return {str(version): float(share) for version, share in shares.items()}


def _arm(workspace: Workspace, journal: Journal, spec: EndpointSpec, *, version: str) -> ArmSpec:
    """Return the arm of `version`: as it is loaded, else as the journal last knew it at this endpoint."""
    loaded = spec.arm(version)
    if loaded is not None:
        return loaded
    events = journal.events("endpoint.deployed", f"endpoint/{spec.endpoint}")
    known = [arm for event in events for arm in event.data.get("arms", []) if str(arm["version"]) == version]
    stored = known[-1] if known else {}
    members = tuple(_member(workspace, spec, member) for member in stored.get("members", ()))
    bundle = members[0].bundle if members else _bundle(workspace, spec, stored, version=version)
    return dataclasses.replace(
        spec.arms[0],
        version=version,
        bundle=bundle,
        digest=str(stored["bundle"]),
        runtime=str(stored["runtime"]),
        why=str(stored.get("why", "")),
        weight=0.0,
        shadow=0.0,
        members=members,
        combine=stored.get("combine", "mean"),
        python="" if members else _interpreter(bundle),
        any_environment=bool(stored.get("any_environment")),
    )


def _member(workspace: Workspace, spec: EndpointSpec, stored: Mapping[str, Any]) -> MemberSpec:
    model, version = str(stored["model"]), str(stored["version"])
    bundle = _bundle(workspace, spec, stored, version=f"{model}/{version}")
    return MemberSpec(
        version,
        model,
        bundle,
        digest=str(stored["bundle"]),
        runtime=str(stored["runtime"]),
        weight=float(stored["weight"]),
        python=_interpreter(bundle),
    )


def _interpreter(bundle: Path) -> str:
    """Return the interpreter of the environment that a bundle was proved in, where that is still there."""
    try:
        python = interpreter(read_bundle(bundle))
    except Corrupt:  # applying checks every file and says what is wrong
        return ""
    return str(python) if python.exists() else ""


def _bundle(workspace: Workspace, spec: EndpointSpec, stored: Mapping[str, Any], *, version: str) -> Path:
    bundle = workspace.bundles / str(stored["bundle"]).removeprefix(digests.PREFIX) if stored else None
    if bundle is None or not bundle.is_dir():
        raise Refused(
            f"version {version} was served before, but its bundle is no longer in the workspace",
            hint=f"Deploy it again: %deploy {spec.model}/{version} --endpoint {spec.endpoint}",
        )
    return bundle
