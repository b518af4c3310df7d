"""What an endpoint shall be: arms with their traffic, resources and limits, as plain frozen data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from nbmlops.core.errors import Corrupt, InvalidInput
from nbmlops.core.records import Record
from nbmlops.core.references import check_name
from nbmlops.core.settings import settings

MOST_WORKERS = 64
SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ArmSpec(Record):
    """One version of a model behind an endpoint.

    Attributes
    ----------
    version, model : str
        Together the reference ``model/version``.
    bundle : pathlib.Path
        Absolute path of the bundle's folder.
    digest : str
        The bundle's digest.
    runtime : str
        ``onnx``, ``sklearn`` or ``pyfunc``.
    weight : float, percent
        Share of the traffic; an arm of weight 0 stays loaded for an instant rollback.
    why : str
        Why this runtime was chosen.
    """

    version: str
    model: str
    bundle: Path
    digest: str
    runtime: str
    weight: float = 100.0
    why: str = ""

    @property
    def reference(self) -> str:
        """``model/version``."""
        return f"{self.model}/{self.version}"


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
    """

    endpoint: str
    model: str
    arms: tuple[ArmSpec, ...]
    resources: Resources = field(default_factory=Resources)
    limits: Limits = field(default_factory=Limits)
    idle_hours: float = 8.0
    port: int | None = None
    auth: bool = True

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

    def arm(self, version: str) -> ArmSpec | None:
        """Return the arm of `version`, or None."""
        return next((arm for arm in self.arms if arm.version == str(version)), None)

    def with_traffic(self, traffic: Mapping[str, float], arms: Iterable[ArmSpec] | None = None) -> EndpointSpec:
        """Return this endpoint with `arms` (default: its own) weighted as `traffic` says, 0 where it says nothing."""
        chosen = tuple(self.arms if arms is None else arms)
        check_traffic(traffic, [arm.version for arm in chosen])
        weighted = tuple(dataclasses.replace(arm, weight=float(traffic.get(arm.version, 0.0))) for arm in chosen)
        return dataclasses.replace(self, arms=weighted)


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
        if version not in known:
            raise InvalidInput(
                f"version {version!r} is not at this endpoint",
                expected=f"one of {', '.join(known)}",
                hint=f"To add it, deploy it there: %deploy MODEL/{version} --endpoint NAME --traffic PERCENT.",
            )
        if not (math.isfinite(share) and share >= 0):
            raise InvalidInput(f"the share of version {version} is {share!r}", expected="a percentage from 0 to 100")
    total = sum(traffic.values())
    if abs(total - 100.0) > SUM_TOLERANCE:
        raise InvalidInput(
            f"the shares {format_traffic(traffic)} sum to {total:g}",
            expected="percentages that sum to 100",
        )


def format_traffic(traffic: Mapping[str, float]) -> str:
    """Return ``1=90 2=10``, as the traffic verb takes it."""
    return " ".join(f"{version}={share:g}" for version, share in traffic.items())


def encode(spec: EndpointSpec, home: Path) -> dict[str, Any]:
    """Return `spec` as plain data; bundles below `home` are relative to it, so that the workspace may be moved."""
    data = spec.to_dict()
    for arm in data["arms"]:
        path = Path(arm["bundle"])
        if path.is_relative_to(home):
            arm["bundle"] = path.relative_to(home).as_posix()
    return data


def decode(data: Any, home: Path) -> EndpointSpec:
    """Return the endpoint that `encode` wrote.

    Raises
    ------
    Corrupt
        When the data is not of that form.
    """

    def path(kind: type, value: Any) -> Any:
        return home / str(value) if kind is Path else value

    try:
        return msgspec.convert(data, EndpointSpec, dec_hook=path)
    except msgspec.ValidationError as error:
        raise Corrupt(f"the stored endpoint can't be read: {error}", hint="Deploy it again.") from error
