"""From what a deployment asks for to its plan: bundles prepared, the endpoint arranged, nothing started for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.records import Record
from nbmlops.core.references import check_name, nearest
from nbmlops.workflows.arranging import Wish, arranged, captured, check_redacted
from nbmlops.workflows.ensembles import is_ensemble, parse, prepare_ensemble
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.session import Session

if TYPE_CHECKING:
    from nbmlops.deployment import ArmSpec, DeploymentPlan, Resources, Target


@dataclass(frozen=True)
class Asked(Record):
    """What a deployment asks for, as the options of the verb say it."""

    ref: str
    endpoint: str | None = None
    target: str = "local"
    cpu: float | None = None
    memory: int | None = None
    workers: int | None = None
    traffic: float | None = None
    shadow: float | None = None
    progressive: tuple[float, ...] | None = None
    hold: float | str = "10m"
    guardrails: bool = True
    rules: tuple[str, ...] | None = None
    combine: str = "mean"
    capture: str | None = None
    sample: float | None = None
    redact: tuple[str, ...] | None = None
    port: int | None = None
    auth: bool = True

    @property
    def wish(self) -> Wish:
        """How the version is to be rolled out."""
        return Wish(self.traffic, self.shadow, self.progressive, self.hold, self.guardrails, self.rules)


@dataclass(frozen=True)
class Ready:
    """What is to be deployed, prepared.

    Attributes
    ----------
    arm : ArmSpec
    endpoint, reference : str
    replay : mapping
        What was seen when the saved sample was replayed.
    """

    arm: ArmSpec
    endpoint: str
    reference: str
    replay: Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """A plan with what it was made of."""

    asked: Asked
    place: Target
    ready: Ready
    plan: DeploymentPlan


def planned(session: Session, asked: Asked, *, trust: bool = False) -> Planned:
    """Return the plan of a deployment: its bundles are built, its endpoint is left alone.

    Raises
    ------
    InvalidInput
        What is asked for contradicts itself.
    Refused
        The served answers differ from the fitted object's, or the endpoint serves another model.
    """
    place = _target(session, asked.target)
    ready = _ready(session, asked, place, trust=trust)
    now = place.spec(ready.endpoint)
    spec = arranged(now, ready.arm, asked.wish, name=ready.endpoint)
    resources = _resources(session, ready.reference, now=spec.resources, asked=(asked.cpu, asked.memory, asked.workers))
    check_redacted(asked.redact or (), ready.arm.bundle)
    kept = captured(spec.capture, is_new=now is None, asked=(asked.capture, asked.sample, asked.redact))
    port = asked.port or spec.port
    plan = place.plan(replace(spec, resources=resources, port=port, auth=asked.auth, capture=kept))
    return Planned(asked, place, ready, replace(plan, told=_told(ready)))


def _ready(session: Session, asked: Asked, place: Target, *, trust: bool) -> Ready:
    """Return a model version or an ensemble with its bundles, and the name of its endpoint."""
    if is_ensemble(asked.ref):
        return _ready_ensemble(session, asked, place, trust=trust)
    from nbmlops.deployment import ArmSpec

    version = session.registry.version(asked.ref)
    name = check_name(asked.endpoint or version.name, "endpoint name")
    prepared = prepare(session, version, trust=trust)
    bundle = prepared.bundle
    arm = ArmSpec(
        version=str(version.version),
        model=version.name,
        bundle=bundle.path,
        digest=bundle.digest,
        runtime=bundle.runtime,
        why=prepared.why,
    )
    return Ready(arm, name, version.reference, prepared.replay)


def _ready_ensemble(session: Session, asked: Asked, place: Target, *, trust: bool) -> Ready:
    models = {session.registry.version(member.ref).name for member in parse(asked.ref)}
    own = models.pop() if len(models) == 1 else None
    if asked.endpoint is None and own is None:
        raise InvalidInput(
            f"the ensemble {asked.ref!r} is of several models, so its endpoint has no name of itself",
            expected="--endpoint NAME",
        )
    name = check_name(asked.endpoint or str(own), "endpoint name")
    now = place.spec(name)
    model = now.model if now else own or name
    arm, prepared = prepare_ensemble(session, asked.ref, combine=asked.combine, model=model, trust=trust)
    return Ready(arm, name, arm.reference, prepared.replay)


def _told(ready: Ready) -> dict[str, str]:
    """Return what a plan tells beside its changes: why this runtime, and what was checked."""
    from nbmlops.packaging import attestations, read_bundle

    stated = attestations(read_bundle(ready.arm.bundle))
    told = {"runtime": f"{ready.arm.runtime}; {ready.arm.why}", "replayed": _replayed(ready.replay)}
    if rung := stated.get("certificate", {}).get("rung"):
        told["conversion"] = f"certified at rung {rung}"
    told["proof"] = f"{stated['proof'].get('rows', 0):,} rows" if "proof" in stated else "not run"
    return {what: text for what, text in told.items() if text}


def _replayed(replay: Mapping[str, Any]) -> str:
    if "rows" not in replay:
        return "" if replay else "nothing: no rows were kept at its registration"
    found = replay["max_difference"]
    return f"{replay['rows']:,} rows, {f'values within {found:.1g}' if found else 'every answer equal'}"


def _target(session: Session, name: str) -> Target:
    from nbmlops.deployment import targets

    known = targets(session.workspace, session.journal)
    if name not in known:
        raise NotFound(
            f"no target is named {name!r}", expected=f"one of {', '.join(sorted(known))}", hint=nearest(name, known)
        )
    return known[name]


def _resources(
    session: Session, reference: str, *, now: Resources, asked: tuple[float | None, int | None, int | None]
) -> Resources:
    """Return what was asked for, else what the newest profile of this version recommends, else what there is now."""
    from nbmlops.deployment import Resources

    cpu, memory, workers = asked
    profiled = session.journal.events("model.profiled", f"model/{reference}", limit=1)
    advice: Mapping[str, Any] = profiled[-1].data["report"]["recommendation"] if profiled else {}
    return Resources(
        cpu=cpu if cpu is not None else advice.get("cores", now.cpu),
        memory_mib=memory if memory is not None else advice.get("memory_mib", now.memory_mib),
        workers=workers if workers is not None else advice.get("workers", now.workers),
    )
