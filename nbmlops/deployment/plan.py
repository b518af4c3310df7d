"""Plans: what a deployment would change, as plain data with a digest, so that what was shown is what is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbmlops.core import digests
from nbmlops.core.display import Card, Shown, short, table
from nbmlops.core.records import Record
from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.spec import EndpointSpec, format_traffic

Manifests = Mapping[str, Mapping[str, Any]]  # digest of a bundle -> its bundle.json
UNSET = ""


@dataclass(frozen=True)
class Change(Record):
    """One line of a plan; `before` is empty for what is new, `after` for what goes."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class DeploymentPlan(Record, Shown):
    """What applying `spec` to a target would change.

    Attributes
    ----------
    spec : EndpointSpec
        The endpoint as it shall be.
    target : str
        Name of the target.
    changes : tuple of Change
        Empty where the endpoint is as wanted already.
    digest : str
        Over the target, the endpoint as it is and as it shall be. Applying computes it again and refuses where the
        endpoint was changed meanwhile.
    """

    spec: EndpointSpec
    target: str
    changes: tuple[Change, ...]
    digest: str

    def _show_(self) -> Card:
        rows = table(("change", "from", "to"), [(one.what, one.before, one.after) for one in self.changes])
        fields = {"model": self.spec.model, "target": self.target, "traffic": format_traffic(self.spec.traffic)}
        return Card(
            title=f"Plan for endpoint {self.spec.endpoint}",
            fields=fields | {"plan": self.digest},
            tables=(rows,) if self.changes else (),
            note="Nothing was changed yet." if self.changes else "The endpoint is as wanted already.",
        )


def make_plan(
    target: str, current: EndpointSpec | None, wanted: EndpointSpec, *, manifests: Manifests, running: bool = True
) -> DeploymentPlan:
    """Return the plan from `current` (None where there is no such endpoint) to `wanted`.

    Parameters
    ----------
    manifests : mapping
        ``bundle.json`` of every bundle that either side names.
    running : bool
        Whether the endpoint runs now.
    """
    changes = tuple(_changes(current, wanted, manifests=manifests, running=running))
    return DeploymentPlan(wanted, target, changes, plan_digest(target, current, wanted))


def plan_digest(target: str, current: EndpointSpec | None, wanted: EndpointSpec) -> str:
    """Return the digest of a plan; where bundles lie does not count, what is in them does."""
    return digests.of_json(
        {"target": target, "current": None if current is None else _content(current), "wanted": _content(wanted)}
    )


def _content(spec: EndpointSpec) -> dict[str, Any]:
    data = spec.to_dict()
    for arm in data["arms"]:
        for holder in (arm, *arm["members"]):
            del holder["bundle"]
    return data


def _changes(
    now: EndpointSpec | None, wanted: EndpointSpec, *, manifests: Manifests, running: bool
) -> Iterator[Change]:
    if now is None:
        yield Change("endpoint", UNSET, wanted.endpoint)
    elif not running:
        yield Change("state", "down", "running")
    pairs = _facts(now, manifests) if now else {}
    for what, after in _facts(wanted, manifests).items():
        before = pairs.get(what, UNSET)
        if before != after:
            yield Change(what, before, after)
    if now is not None:
        yield from _schema(_signature(main_arm(now), manifests), _signature(main_arm(wanted), manifests))


def _facts(spec: EndpointSpec, manifests: Manifests) -> dict[str, str]:
    """Return what a plan compares, as text, in the order in which it is shown."""
    arm = main_arm(spec)
    facts = manifests.get(arm.digest, {})
    resources, limits = spec.resources, spec.limits
    return {
        "model version": arm.reference,
        "traffic": format_traffic(spec.traffic),
        "shadow": format_traffic(spec.shadows),
        "kept warm": ", ".join(one.version for one in spec.arms if one.is_idle),
        "progressive": UNSET if spec.progressive is None else f"{spec.progressive.candidate}: {spec.progressive}",
        "guardrails": "off" if spec.guardrails is None else str(spec.guardrails),
        "runtime": arm.runtime,
        "bundle": short(arm.digest),
        "environment": short(str(facts.get("environment_id") or "")),
        "cpu": "all cores" if resources.cpu is None else f"{resources.cpu:g} cores (soft)",
        "memory": "no limit" if resources.memory_mib is None else f"{resources.memory_mib} MiB a process (soft)",
        "workers": str(resources.workers),
        "limits": f"{limits.body_bytes / 2**20:g} MiB a request, {limits.timeout_s:g} s, queue of {limits.queue}",
        "idle time": f"{spec.idle_hours:g} h",
        "port": "a free one" if spec.port is None else str(spec.port),
        "capture": "off" if spec.capture is None else str(spec.capture),
        "authentication": "bearer token" if spec.auth else "none",
    }


def main_arm(spec: EndpointSpec) -> ArmSpec:
    """Return the arm with the largest share, the newest of equals."""
    return max(enumerate(spec.arms), key=lambda pair: (pair[1].weight, pair[0]))[1]


def _signature(arm: ArmSpec, manifests: Manifests) -> Mapping[str, Any]:
    signature: Mapping[str, Any] = manifests.get(arm.digest, {}).get("signature") or {}
    return signature


def _schema(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the columns that come, go or change their type; one line where a side has no columns."""
    for side in ("inputs", "outputs"):
        old, new = before.get(side), after.get(side)
        if not isinstance(old, list) or not isinstance(new, list):
            if old != new:
                yield Change(side, _form(old), _form(new))
            continue
        left, right = _columns(old), _columns(new)
        for name in dict.fromkeys([*left, *right]):
            if left.get(name, UNSET) != right.get(name, UNSET):
                yield Change(f"{side[:-1]} {name}", left.get(name, UNSET), right.get(name, UNSET))


def _columns(columns: list[dict[str, Any]]) -> dict[str, str]:
    return {
        str(column.get("name", place)): str(column.get("type", ""))
        + (", may be null" if column.get("nullable") else "")
        for place, column in enumerate(columns)
    }


def _form(side: Any) -> str:
    if side is None:
        return "anything"
    return f"{len(side)} columns" if isinstance(side, list) else f"tensor {side.get('tensor', side)}"
