"""Plans: what a deployment would change, as plain data with a digest, so that what was shown is what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbmlops.core import digests
from nbmlops.core.display import Card, Shown, short, table
from nbmlops.core.errors import Refused
from nbmlops.core.records import Record
from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.spec import EndpointSpec, format_traffic
from nbmlops.serving.pins import read_pins

LOCK = "lock"  # where a manifest that a plan is made from has the text of its bundle's lock
Manifests = Mapping[str, Mapping[str, Any]]  # digest of a bundle -> its bundle.json and its lock
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
    current : EndpointSpec or None
        The endpoint as it was when this was planned.
    running : bool
        Whether it ran then.
    told : mapping of str to str
        What else one should know before applying it, and what applying does not depend on.
    carry : callable or None
        Carries it out; takes the reason.
    """

    spec: EndpointSpec
    target: str
    changes: tuple[Change, ...]
    digest: str
    current: EndpointSpec | None = None
    running: bool = True
    told: Mapping[str, str] = field(default_factory=dict)
    carry: Callable[[str | None], Any] | None = field(default=None, repr=False, compare=False)

    def apply(self, *, reason: str | None = None) -> Any:
        """Carry out exactly this plan, as ``%deploy REF --apply DIGEST`` does.

        Returns
        -------
        Endpoint

        Raises
        ------
        Refused
            What it was made from is no longer so; what moved is named and nothing is changed.
        """
        if self.carry is None:
            raise Refused("this plan can't be applied by itself", expected="one that deploy(…, plan=True) returned")
        return self.carry(reason)

    def _show_(self) -> Card:
        rows = table(("change", "from", "to"), [(one.what, one.before, one.after) for one in self.changes])
        fields = {"model": self.spec.model, "target": self.target, "traffic": format_traffic(self.spec.traffic)}
        return Card(
            title=f"Plan for endpoint {self.spec.endpoint}",
            fields=fields | dict(self.told) | {"plan": self.digest},
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
        ``bundle.json`` of every bundle that either side names, with the text of its lock under ``lock``.
    running : bool
        Whether the endpoint runs now.
    """
    running = running and current is not None
    changes = tuple(_changes(current, wanted, manifests=manifests, running=running))
    digest = plan_digest(target, current, wanted, running=running)
    return DeploymentPlan(wanted, target, changes, digest, current=current, running=running)


def plan_digest(target: str, current: EndpointSpec | None, wanted: EndpointSpec, *, running: bool = True) -> str:
    """Return the digest of a plan; where bundles and environments lie does not count, what is in them does."""
    before = None if current is None else _content(current)
    facts = {"target": target, "current": before, "wanted": _content(wanted), "running": running and before is not None}
    return digests.of_json(facts)


def stale(planned: DeploymentPlan, now: DeploymentPlan) -> Refused:
    """Return the refusal of a plan in whose place `now` would be made by now, naming what moved.

    What the endpoint was and what it would become are looked at apart: another kernel may have changed the one, a moved
    alias or another reading of the same words the other.
    """
    moved = [*_moved(planned.current, now.current), *_moved(planned.spec, now.spec)]
    if planned.running != now.running:
        moved.append(Change("state", *("running" if one.running else "down" for one in (planned, now))))
    told = dict.fromkeys(f"{one.what} was {one.before or 'nothing'}, is {one.after or 'nothing'}" for one in moved)
    return Refused(
        f"endpoint {planned.spec.endpoint!r} was changed after this was planned"
        + (f": {'; '.join(told)}" if told else ""),
        hint="Nothing was changed. Look at it with %endpoints, then plan anew: %deploy REF --plan",
    )


def _moved(before: EndpointSpec | None, after: EndpointSpec | None) -> Iterator[Change]:
    left = {} if before is None else _facts(before, main_arm(before), {})
    right = {} if after is None else _facts(after, main_arm(after), {})
    for what in dict.fromkeys([*left, *right]):
        if left.get(what, UNSET) != right.get(what, UNSET):
            yield Change(what, left.get(what, UNSET), right.get(what, UNSET))


def _content(spec: EndpointSpec) -> dict[str, Any]:
    data = spec.to_dict()
    for arm in data["arms"]:
        del arm["why"]  # words about measurements, which differ each time the same choice is made
        for holder in (arm, *arm["members"]):
            del holder["bundle"]
            holder["proved"] = bool(holder.pop("python"))
    return data


def _changes(
    now: EndpointSpec | None, wanted: EndpointSpec, *, manifests: Manifests, running: bool
) -> Iterator[Change]:
    if now is None:
        yield Change("endpoint", UNSET, wanted.endpoint)
    elif not running:
        yield Change("state", "down", "running")
    served, coming = main_arm(now) if now else None, _coming(now, wanted)
    pairs = _facts(now, served, manifests) if now and served else {}
    for what, after in _facts(wanted, coming, manifests).items():
        before = pairs.get(what, UNSET)
        if before != after:
            yield Change(what, before, after)
    if served is not None and coming.digest != served.digest:
        yield from _packages(manifests.get(served.digest, {}), manifests.get(coming.digest, {}))
        yield from _schema(_signature(served, manifests), _signature(coming, manifests))


def _coming(now: EndpointSpec | None, wanted: EndpointSpec) -> ArmSpec:
    """Return the arm that comes, however small its share; the main one where none does."""
    known = set() if now is None else {(arm.version, arm.digest) for arm in now.arms}
    new = [arm for arm in wanted.arms if (arm.version, arm.digest) not in known]
    return new[-1] if new else main_arm(wanted)


def _facts(spec: EndpointSpec, arm: ArmSpec, manifests: Manifests) -> dict[str, str]:
    """Return what a plan compares, as text, in the order in which it is shown; `arm` is the one it tells of."""
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
        "proof": "in a fresh environment" if arm.is_proved else "skipped",
        "serving environment": short(str(facts.get("serving_environment_id") or "")),
        "packages": "any" if arm.any_environment else "as locked",
        "cpu": "all cores" if resources.cpu is None else f"{resources.cpu:g} cores (soft)",
        "memory": "no limit" if resources.memory_mib is None else f"{resources.memory_mib} MiB a process (soft)",
        "workers": str(resources.workers),
        "limits": f"{limits.body_bytes / 2**20:g} MiB a request, {limits.timeout_s:g} s, queue of {limits.queue}",
        "idle time": f"{spec.idle_hours:g} h",
        "port": "a free one" if spec.port is None else str(spec.port),
        "capture": "off" if spec.capture is None else str(spec.capture),
        "explanations": "at /explain" if spec.explain else "off",
        "authentication": "bearer token" if spec.auth else "none",
    }


def _packages(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the packages whose pins differ between two locks."""
    old, new = (read_pins(str(manifest.get(LOCK, ""))) for manifest in (before, after))
    for name in sorted(old.keys() | new.keys()):
        left, right = (pins[name].told if name in pins else UNSET for pins in (old, new))
        if left != right:
            yield Change(f"package {name}", left, right)


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
