"""The seam of deployment targets: a small protocol, found by entry points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

from nbmlops.core.errors import NotFound
from nbmlops.core.records import Record
from nbmlops.core.references import nearest
from nbmlops.core.workspace import Workspace
from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.plan import DeploymentPlan
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.journal import Journal

GROUP = "nbmlops.targets"


@dataclass(frozen=True)
class EndpointStatus(Record):
    """How an endpoint is now.

    Attributes
    ----------
    name, url : str
    health : str
        ``healthy``; ``degraded`` where a process is missing or strained; ``down`` where nothing answers.
    because : str
        Why it is not healthy.
    arms : tuple of ArmSpec
    pid : int or None
        The supervisor's, where there is one and it lives.
    pids : tuple of int
        Of the processes that score.
    rss : int, bytes
        Resident memory of all of them.
    uptime_s : float, seconds
    requests : int
        Answered since it was started.
    revision : int
        Grows with every change; 0 where the target does not count.
    since : float, seconds since the epoch
        When its traffic was last divided; 0 where that is not known.
    rollout : mapping
        ``judged``: how each candidate stands; ``next``: when a progressive rollout goes on.
    capture : mapping
        ``committed``, ``dropped`` and ``failing``, where traffic is kept.
    comparisons : tuple of mapping
        ``shadow`` and ``counts`` of each process that compared a shadow's answers with those that callers got.
    environments : mapping
        Version -> ``environment_id`` of its run, ``serving_environment_id`` of what is installed where it is served,
        ``locked``, the id that its bundle pins, and ``differs``, the packages that are not as pinned.
    """

    name: str
    url: str
    health: str
    because: str = ""
    arms: tuple[ArmSpec, ...] = ()
    pid: int | None = None
    pids: tuple[int, ...] = ()
    rss: int = 0
    uptime_s: float = 0.0
    requests: int = 0
    revision: int = 0
    since: float = 0.0
    rollout: Mapping[str, Any] = field(default_factory=dict)
    capture: Mapping[str, Any] = field(default_factory=dict)
    comparisons: tuple[Mapping[str, Any], ...] = ()
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def traffic(self) -> dict[str, float]:
        """Version -> percent, of the arms that get any."""
        return {arm.version: arm.weight for arm in self.arms if arm.weight > 0}

    @property
    def shadows(self) -> dict[str, float]:
        """Version -> percent of the requests that it gets a copy of, of the arms that get any."""
        return {arm.version: arm.shadow for arm in self.arms if arm.shadow > 0}


@runtime_checkable
class Target(Protocol):
    """A place where endpoints run; `nbmlops.testing.targets.check_target` checks that an implementation keeps this.

    Every method that takes a name raises `NotFound`, with the nearest names, for one that is not there.
    """

    name: str

    def spec(self, name: str) -> EndpointSpec | None:
        """Return the endpoint as it was last applied, None where there is none."""
        ...

    def plan(self, spec: EndpointSpec) -> DeploymentPlan:
        """Return what applying `spec` would change; changes nothing."""
        ...

    def apply(self, plan: DeploymentPlan) -> EndpointStatus:
        """Carry out `plan` and return when the endpoint answers.

        Raises `Refused` where the endpoint is no longer as it was planned from, and `EndpointError` where it can't be
        brought up; what served before serves on then.
        """
        ...

    def status(self, name: str) -> EndpointStatus:
        """Return how an endpoint is now."""
        ...

    def statuses(self) -> tuple[EndpointStatus, ...]:
        """Return every endpoint's status, by name."""
        ...

    def logs(self, name: str, lines: int = 50) -> str:
        """Return the last lines of its logs."""
        ...

    def restart(self, name: str) -> EndpointStatus:
        """Bring an endpoint back as it was, at the same address."""
        ...

    def delete(self, name: str) -> None:
        """End it and remove every trace; nothing of it runs when this returns."""
        ...

    def token(self, name: str) -> str:
        """Return the bearer token, empty where it needs none."""
        ...


def targets(workspace: Workspace, journal: Journal) -> dict[str, Target]:
    """Return the installed targets by name: ours, and those of other packages.

    An entry point of the group ``nbmlops.targets`` names a callable that takes the workspace and the journal.
    """
    from nbmlops.deployment.local import LocalTarget

    made: list[Target] = [LocalTarget(workspace, journal)]
    made += [point.load()(workspace, journal) for point in _installed()]
    return {target.name: target for target in made}


def target_of(workspace: Workspace, journal: Journal, name: str) -> Target:
    """Return one target by its name.

    Raises
    ------
    NotFound
        With the names of those that are installed.
    """
    known = targets(workspace, journal)
    if name not in known:
        raise NotFound(f"no target is named {name!r}", expected=f"one of {', '.join(known)}", hint=nearest(name, known))
    return known[name]


def unknown(name: str, known: Iterable[str]) -> NotFound:
    """Return the error for an endpoint that is not there."""
    known = list(known)
    return NotFound(
        f"no endpoint is named {name!r}",
        expected=f"one of {', '.join(known)}" if known else None,
        hint=nearest(name, known) or ("%endpoints lists them." if known else "%deploy REF starts one."),
    )


@lru_cache(maxsize=1)
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))
