"""What an endpoint shall be: arms with their traffic, resources and limits, as plain frozen data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record
from nbmlops.core.references import check_name
from nbmlops.core.settings import settings
from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.progressive import Progressive

FORMAT = 2  # 1 had neither shadows, ensembles, capture, guardrails nor progressive rollouts
MOST_WORKERS = 64
SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Resources(Record):
    """What an endpoint may use; both limits are soft.

    Attributes
    ----------
    cpu : float or None, cores
        Rounded up, the number of cores that its processes are kept on.
    memory_mib : int or None, MiB
        A scorer or worker process whose resident memory passes it is replaced.
    workers : int
        Scorer processes, each with a worker process of its own for every arm that needs one.
    """

    cpu: float | None = None
    memory_mib: int | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        if self.cpu is not None and not (math.isfinite(self.cpu) and self.cpu > 0):
            raise InvalidInput(f"cpu is {self.cpu!r}", expected="a positive number of cores, such as 0.5 or 2")
        if self.memory_mib is not None and self.memory_mib < 1:
            raise InvalidInput(f"memory is {self.memory_mib!r}", expected="a positive number of MiB")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InvalidInput(f"workers is {self.workers!r}", expected=f"a number from 1 to {MOST_WORKERS}")


@dataclass(frozen=True)
class Limits(Record):
    """Bounds of a request: size of its body (bytes), requests that wait, time to its answer (seconds)."""

    body_bytes: int = 32 * 1024 * 1024
    queue: int = 1024
    timeout_s: float = 30.0

    @classmethod
    def from_settings(cls) -> Limits:
        """Return the limits that the settings ask for."""
        return cls(body_bytes=settings().body_limit, timeout_s=settings().request_timeout)


@dataclass(frozen=True)
class Capture(Record):
    """What of the traffic is kept.

    Attributes
    ----------
    mode : {"on", "strict"}
        ``on`` commits shortly after the answer, ``strict`` before it.
    sample : float
        Share of the requests that are kept, from 0 (exclusive) to 1.
    redact : tuple of str
        Columns that are never written.
    """

    mode: Literal["on", "strict"] = "on"
    sample: float = 1.0
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in ("on", "strict"):
            raise InvalidInput(f"capture is {self.mode!r}", expected="on, strict or off")
        if not 0 < self.sample <= 1:
            raise InvalidInput(f"the sample is {self.sample!r}", expected="a share above 0 and up to 1, as in 0.1")

    def __str__(self) -> str:
        parts: list[str] = [self.mode]
        parts += [f"{100 * self.sample:g} % of the requests"] if self.sample < 1 else []
        parts += [f"without {', '.join(self.redact)}"] if self.redact else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Guardrails(Record):
    """That candidates are judged while they share the traffic with a champion, and by which rules.

    Attributes
    ----------
    rules : mapping of str to (float or None)
        What differs from the defaults of :class:`nbmlops.serving.guardrails.Rules`; None switches a rule off.
    """

    rules: Mapping[str, float | None] = field(default_factory=dict)

    def __str__(self) -> str:
        told = [f"{name} {'off' if limit is None else f'{limit:g}'}" for name, limit in self.rules.items()]
        return ", ".join(["on", *told])


@dataclass(frozen=True)
class EndpointSpec(Record):
    """An endpoint as it shall be.

    Attributes
    ----------
    endpoint : str
        Its name.
    model : str
        Name of the model that it serves.
    arms : tuple of ArmSpec
        At least one; weights sum to 100, versions are distinct.
    resources : Resources
    limits : Limits
    idle_hours : float, hours
        It stops by itself after that time without a request.
    port : int or None
        The port to listen on; None lets the target choose one and keep it.
    auth : bool
        Whether requests need the bearer token.
    capture : Capture or None
        None keeps nothing of the traffic.
    guardrails : Guardrails or None
        None judges no candidate.
    progressive : Progressive or None
        The rollout that is under way.
    explain : bool
        Whether ``/explain`` is answered.
    candidates : mapping of str to (mapping of str to float, percent)
        Version on trial -> the split before it got traffic, which a guardrail returns to. `with_traffic` keeps it.
    """

    endpoint: str
    model: str
    arms: tuple[ArmSpec, ...]
    resources: Resources = field(default_factory=Resources)
    limits: Limits = field(default_factory=Limits)
    idle_hours: float = 8.0
    port: int | None = None
    auth: bool = True
    capture: Capture | None = None
    guardrails: Guardrails | None = None
    progressive: Progressive | None = None
    explain: bool = False
    candidates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.endpoint, "endpoint name")
        if not self.arms:
            raise InvalidInput(f"endpoint {self.endpoint!r} has no arm", expected="at least one version to serve")
        check_traffic({arm.version: arm.weight for arm in self.arms}, [arm.version for arm in self.arms])
        if self.port is not None and not 1 <= self.port <= 65535:
            raise InvalidInput(f"port is {self.port!r}", expected="a number from 1 to 65535")
        if not self.idle_hours > 0:
            raise InvalidInput(f"idle_hours is {self.idle_hours!r}", expected="a positive number of hours")

    @property
    def traffic(self) -> dict[str, float]:
        """Version -> percent, of the arms that get any."""
        return {arm.version: arm.weight for arm in self.arms if arm.weight > 0}

    @property
    def shadows(self) -> dict[str, float]:
        """Version -> percent of the requests that it gets a copy of, of the arms that get any."""
        return {arm.version: arm.shadow for arm in self.arms if arm.shadow > 0}

    @property
    def champion(self) -> str:
        """The version that candidates are compared with: the largest share among those not on trial."""
        proven = [arm for arm in self.arms if arm.version not in self.candidates]
        return max(enumerate(proven or self.arms), key=lambda pair: (pair[1].weight, pair[0]))[1].version

    def arm(self, version: str) -> ArmSpec | None:
        """Return the arm of `version`, or None."""
        return next((arm for arm in self.arms if arm.version == str(version)), None)

    def with_traffic(
        self, traffic: Mapping[str, float], arms: Iterable[ArmSpec] | None = None, *, back: bool = False
    ) -> EndpointSpec:
        """Return this endpoint with `arms` (default: its own) weighted as `traffic` says, 0 where it says nothing.

        A progressive rollout ends with it, and an arm that gets traffic is a shadow no longer. What gets traffic anew
        is on trial beside what had some already, unless `back` says that this returns to an earlier split.
        """
        chosen = tuple(self.arms if arms is None else arms)
        check_traffic(traffic, [arm.version for arm in chosen])
        shares = {version: float(share) for version, share in traffic.items() if share > 0}
        weighted = tuple(
            dataclasses.replace(
                arm, weight=shares.get(arm.version, 0.0), shadow=0.0 if arm.version in shares else arm.shadow
            )
            for arm in chosen
        )
        on_trial = self._on_trial(
            shares, [] if back else [version for version in shares if version not in self.traffic]
        )
        return dataclasses.replace(self, arms=weighted, progressive=None, candidates=on_trial)

    def with_shadows(self, shadows: Mapping[str, float]) -> EndpointSpec:
        """Return this endpoint with other shares of its shadows; one that is not named keeps its own.

        Raises
        ------
        InvalidInput
            A version is not loaded, or answers callers already.
        """
        for version in shadows:
            check_known(version, [arm.version for arm in self.arms])
            if version in self.traffic and shadows[version] > 0:
                raise InvalidInput(
                    f"version {version} has {self.traffic[version]:g} % of the traffic, so it can be no shadow",
                    hint="Take its traffic away first, or leave it as it is.",
                )
        arms = (dataclasses.replace(arm, shadow=float(shadows.get(arm.version, arm.shadow))) for arm in self.arms)
        return dataclasses.replace(self, arms=tuple(arms))

    def shares_beside(self, version: str, share: float) -> dict[str, float]:
        """Return the split that gives `version` its `share`, percent, and leaves the others the rest in proportion.

        Raises
        ------
        InvalidInput
            There is nothing to leave the rest to.
        """
        if not (math.isfinite(share) and 0 <= share <= 100):
            raise InvalidInput(f"the share of version {version} is {share!r}", expected="a percentage from 0 to 100")
        others = {other: weight for other, weight in self.traffic.items() if other != version}
        rest, total = 100.0 - share, sum(others.values())
        if not others and rest:
            raise InvalidInput(
                f"version {version} is alone at this endpoint, and {share:g} % would leave the rest unanswered",
                expected="--traffic 100",
            )
        return {other: weight * rest / total for other, weight in others.items() if rest} | {version: share}

    def returned_from(self, candidate: str) -> EndpointSpec:
        """Return this endpoint with the split before `candidate` got traffic, as far as its versions are loaded."""
        loaded = {arm.version for arm in self.arms} - {candidate}
        earlier = {version: share for version, share in self.candidates[candidate].items() if version in loaded}
        total = sum(earlier.values())
        shares = {version: 100.0 * share / total for version, share in earlier.items()}
        return self.with_traffic(shares or {self.champion: 100.0}, back=True)

    def stepped(self) -> EndpointSpec:
        """Return this endpoint one step further in its progressive rollout; without a next step, at its end."""
        progressive = self.progressive
        if progressive is None or progressive.next_share is None:
            return dataclasses.replace(self, progressive=None)
        moved = self.with_traffic(self.shares_beside(progressive.candidate, progressive.next_share))
        return dataclasses.replace(moved, progressive=progressive.advanced())

    def _on_trial(self, shares: Mapping[str, float], fresh: Iterable[str]) -> dict[str, Mapping[str, float]]:
        """Return the versions of a new split that are on trial; none where nothing proven stands beside them."""
        new: dict[str, Mapping[str, float]] = dict.fromkeys(fresh, self.traffic)
        for on_trial in ({one: split for one, split in self.candidates.items() if one in shares} | new, new):
            if len(on_trial) < len(shares):
                return on_trial
        return {}


def check_traffic(traffic: Mapping[str, float], known: Iterable[str]) -> None:
    """Refuse a split whose shares are negative, do not sum to 100, or name a version that is not there.

    Raises
    ------
    InvalidInput
    """
    known = list(known)
    if len(set(known)) != len(known):
        raise InvalidInput(f"versions {', '.join(known)} are not distinct", expected="each version once")
    for version, share in traffic.items():
        check_known(version, known)
        if not (math.isfinite(share) and share >= 0):
            raise InvalidInput(f"the share of version {version} is {share!r}", expected="a percentage from 0 to 100")
    total = sum(traffic.values())
    if abs(total - 100.0) > SUM_TOLERANCE:
        raise InvalidInput(
            f"the shares {format_traffic(traffic)} sum to {total:g}",
            expected="percentages that sum to 100",
        )


def check_known(version: str, known: Sequence[str]) -> None:
    """Raise InvalidInput where `version` is not one of `known`."""
    if version not in known:
        raise InvalidInput(
            f"version {version!r} is not at this endpoint",
            expected=f"one of {', '.join(known)}",
            hint=f"To add it, deploy it there: %deploy MODEL/{version} --endpoint NAME --traffic PERCENT.",
        )


def format_traffic(traffic: Mapping[str, float]) -> str:
    """Return ``1=90 2=10``, as the traffic verb takes it."""
    return " ".join(f"{version}={share:g}" for version, share in traffic.items())
